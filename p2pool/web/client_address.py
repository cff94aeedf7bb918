"""The address of a client: the connection's own address, or the one that a trusted proxy says it came from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from p2pool.base.hosts import IpNetwork, is_in, parse_address

MAX_HOPS = 32
"""Addresses of one X-Forwarded-For that are examined; chains of proxies have a handful."""
_WITH_PORT = re.compile(r"\[([^\[\]]*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
"""Some proxies append the port."""


def client_address(peer: str, forwarded: Sequence[str], trusted: tuple[IpNetwork, ...]) -> str:
    """Return the address of the client.

    `peer` is the connection's. Only if that is a trusted proxy's are the values of X-Forwarded-For (`forwarded`,
    as received) examined: from the right, where the nearest proxy wrote, up to the first address that is not a
    trusted proxy's. Anything left of that may be forged by the client. At a value that is not an address the walk
    ends with the last one that was.
    """
    client = peer
    if not is_in(peer, trusted):
        return client
    hops = ",".join(forwarded).rsplit(",", MAX_HOPS)[-MAX_HOPS:]
    for hop in reversed(hops):
        text = hop.strip(" \t")
        match = _WITH_PORT.fullmatch(text)
        address = parse_address(match[1] or match[2] if match else text)
        if address is None or "%" in text:  # a zone is known to the proxy's machine only
            return client
        client = str(address)
        if not is_in(client, trusted):
            return client
    return client
