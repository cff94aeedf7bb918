"""Keys and payout addresses of a simulated world's people, by what they are called."""

from __future__ import annotations

import hashlib

from p2pool.dash.address import encode_address
from p2pool.networks import Network


def key_of(what: str) -> bytes:
    """Return the key hash of somebody."""
    return hashlib.sha256(what.encode()).digest()[:20]


def address_of(network: Network, what: str) -> str:
    """Return the payout address of that key."""
    return encode_address(network.parent.addresses.pubkey_hash, key_of(what))
