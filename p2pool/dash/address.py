"""Base58 addresses: text <-> version and 20 bytes of hash.

Two readers on purpose: `decode_address` for people (says what is wrong), `payee_script` for the texts inside
shares, whose odd acceptance rules are consensus.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import sha256d
from p2pool.dash.script import p2pkh_script, p2sh_script

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {letter: value for value, letter in enumerate(_ALPHABET)}
_MAX_BASE58 = 4096  # far beyond any address: conversion is quadratic, so long texts are refused unread


class AddressError(ParseError):
    """A text is not a usable address; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class AddressVersions:
    """The version bytes of a network's addresses."""

    pubkey_hash: int
    script_hash: int


def base58_encode(data: bytes) -> str:
    """Bytes -> base58; leading zero bytes become leading '1's."""
    number = int.from_bytes(data, "big")
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\x00"))
    return "1" * zeros + "".join(reversed(digits))


def base58_decode(text: str) -> bytes:
    """Base58 -> bytes. ParseError names a letter outside the alphabet."""
    if len(text) > _MAX_BASE58:
        raise ParseError(f"{len(text)} characters of base58 are too many")
    number = 0
    for letter in text:
        digit = _DIGITS.get(letter)
        if digit is None:
            raise ParseError(f"{letter!r} is not a base58 character")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return b"\x00" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode_address(version: int, hash_bytes: bytes) -> str:
    """Version byte and 20 bytes of hash -> address."""
    payload = bytes([version]) + hash_bytes
    return base58_encode(payload + sha256d(payload)[:4])


def decode_address(text: str) -> tuple[int, bytes]:
    """Address -> (version, 20 bytes). AddressError says what is wrong with it."""
    try:
        data = base58_decode(text)
    except ParseError as error:
        raise AddressError(str(error)) from None
    if len(data) != 25:
        raise AddressError(f"an address holds 25 bytes, this one {len(data)}")
    if sha256d(data[:21])[:4] != data[21:]:
        raise AddressError("its checksum is wrong (mistyped?)")
    return data[0], data[1:21]


def payout_hash160(text: str, versions: AddressVersions, network: str) -> bytes:
    """The 20 bytes of key hash to pay for an address that a person gave. A share can express nothing but
    P2PKH, so P2SH is refused: treating its hash as a key's would pay nobody.

    Raises AddressError: bad checksum, another network, or P2SH.
    """
    version, hash_bytes = decode_address(text)
    if version == versions.script_hash:
        raise AddressError("it is a P2SH (script) address; shares can pay only P2PKH (key) addresses")
    if version != versions.pubkey_hash:
        raise AddressError(f"it is not an address of the network {network}")
    return hash_bytes


# Bound: payees of templates change slowly; texts come from miners and other nodes, so the cache is finite.
@lru_cache(maxsize=4096)
def payee_script(payee: str, versions: AddressVersions) -> bytes | None:
    """The script that a share's payee text (one character a byte) stands for; None where it is skipped.

    Consensus, from the share-chain format, "packed payments": raises ParseError where the text makes the share
    invalid, and never because of anything else.
    """
    if payee == "":
        return None
    if payee[0] == "!":
        return _unhex(payee[1:])
    if payee.startswith("script:"):
        return None
    try:
        data = _base58_bytes(payee)
    except ParseError:
        return None
    if len(data) < 25 or sha256d(data[:21])[:4] != data[21:25]:
        return None
    if len(data) > 25:
        raise ParseError("bytes after an address's checksum")
    if data[0] == versions.pubkey_hash:
        return p2pkh_script(data[1:21])
    if data[0] == versions.script_hash:
        return p2sh_script(data[1:21])
    return None


def _unhex(text: str) -> bytes:
    if len(text) % 2 or any(c not in "0123456789abcdefABCDEF" for c in text):
        raise ParseError("a raw payee script is not hexadecimal")
    return bytes.fromhex(text)


def _base58_bytes(text: str) -> bytes:
    """Like base58_decode without its length limit where the text could still be a long address with leftovers:
    the verdict on such a text is consensus, so it must be read whole."""
    if len(text) <= _MAX_BASE58:
        return base58_decode(text)
    number = 0
    for start in range(0, len(text), 512):
        chunk = text[start : start + 512]
        value = 0
        for letter in chunk:
            digit = _DIGITS.get(letter)
            if digit is None:
                raise ParseError(f"{letter!r} is not a base58 character")
            value = value * 58 + digit
        number = number * 58 ** len(chunk) + value
    zeros = len(text) - len(text.lstrip("1"))
    return b"\x00" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
