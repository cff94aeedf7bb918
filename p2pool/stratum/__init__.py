"""Miners: stratum over TCP. A pure session, a thin Twisted protocol, and a server that broadcasts jobs."""
