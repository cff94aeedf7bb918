"""Ports that listen for miners and browsers: TLS, the PROXY protocol, and telling protocols apart."""
