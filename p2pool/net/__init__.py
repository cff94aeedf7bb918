"""Listening ports for miners and browsers: TLS, the PROXY protocol, and telling protocols apart."""
