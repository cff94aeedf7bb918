"""Miners: stratum over TCP. A pure session, a thin Twisted protocol, and the server that fans work out."""
