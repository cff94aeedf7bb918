"""What is wrong with a text that somebody gave as a payout address, in a miner's words."""

from __future__ import annotations

import re
from typing import Final

from p2pool.base.text import printable
from p2pool.dash.address import AddressError, AddressVersions, decode_address, encode_address
from p2pool.dash.long_base58 import ALPHABET

LENGTH: Final = 34
"""Characters of every Dash address: 25 bytes that begin with one of its version bytes."""
_MAX_SHOWN: Final = 40
_KIND_OF_VERSION: Final = {
    0: "a Bitcoin address",
    5: "a Bitcoin script address",
    16: "a script (P2SH) address of the Dash main network",
    19: "a script (P2SH) address of the Dash test network",
    30: "a Dogecoin address",
    48: "a Litecoin address",
    50: "a Litecoin script address",
    76: "an address of the Dash main network",
    111: "an address of the Bitcoin test network",
    140: "an address of the Dash test network",
}
"""Version bytes of addresses that miners have."""
_KIND_OF_PREFIX: Final = {
    "bc1": "a Bitcoin address",
    "bitcoincash:": "a Bitcoin Cash address",
    "ltc1": "a Litecoin address",
    "tb1": "an address of the Bitcoin test network",
    "0x": "an Ethereum address",
}
_NOT_BASE58: Final = re.compile(f"[^{ALPHABET}]")
_LOOKS_LIKE_ONE: Final = range(LENGTH - 4, LENGTH + 5)
"""Lengths of a text that is probably a mistyped address."""


def address_problem(text: str, versions: AddressVersions, network: str) -> str:
    """Return a sentence that says why `text` is not an address to pay to, and what to set."""
    first = encode_address(versions.pubkey_hash, bytes(20))[0]
    wanted = f"a Dash address ({LENGTH} characters, begins with {first})"
    if not text:
        return f"no address in the username: set {wanted} as the username"
    shown = printable(text, _MAX_SHOWN) + ("..." if len(text) > _MAX_SHOWN else "")
    try:
        version, _ = decode_address(text)
    except AddressError:
        return _not_decoded(text, shown=shown, first=first, wanted=wanted)
    if version == versions.script_hash:
        return f"{shown} is a script (P2SH) address, which shares cannot pay: set {wanted} as the username"
    kind = _KIND_OF_VERSION.get(version, "an address of another coin")
    return f"{shown} is {kind}, not an address of the network {network}: set {wanted} as the username"


def _not_decoded(text: str, *, shown: str, first: str, wanted: str) -> str:
    for prefix, kind in _KIND_OF_PREFIX.items():
        if text.lower().startswith(prefix):
            return f"{shown} is {kind}, not a Dash address: set {wanted} as the username"
    if text[0] == first and len(text) in _LOOKS_LIKE_ONE:
        return f"{shown} is mistyped ({_slip(text)}): copy the address again"
    return f"{shown} is not {wanted}: set one as the username"


def _slip(text: str) -> str:
    """Return what is wrong with a text that looks like an address."""
    bad = _NOT_BASE58.search(text)
    if bad is not None:
        return f"no address contains the character {printable(bad[0])!r}"
    if len(text) != LENGTH:
        return f"it has {len(text)} characters instead of {LENGTH}"
    return "its checksum is wrong"
