"""How people name another daemon: host:port. For the command line and the `simnet_connect` control."""

from __future__ import annotations


def parse_peer_name(text: str) -> tuple[str, int]:
    """Return host and port. ValueError with a sentence for people."""
    host, _, digits = text.rpartition(":")
    port = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 5 else 0
    if not host or host != host.strip() or not 0 < port <= 65535:
        raise ValueError(f"'{text[:200]}' is not host:port with a port from 1 to 65535")
    return host, port
