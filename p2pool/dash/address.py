"""Base58 addresses: text <-> version and 20 bytes of hash.

Two readers on purpose: `decode_address` for people (says what is wrong), `payee_script` for the texts inside
shares, whose odd acceptance rules are consensus.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache
from threading import get_ident

from p2pool.base.bounded import BoundedDict
from p2pool.base.errors import ParseError
from p2pool.base.steps import SharedSteps, finish
from p2pool.dash.hashes import sha256d
from p2pool.dash.long_base58 import ALPHABET, DIGITS, leading_bytes, reaches, value_of
from p2pool.dash.script import p2pkh_hash, p2pkh_script, p2sh_hash, p2sh_script

_BASE58 = re.compile("[1-9A-HJ-NP-Za-km-z]*")
_HEXADECIMAL = re.compile("[0-9a-fA-F]*")
_ADDRESS_BYTES = 25
"""A version, 20 bytes of hash, four of checksum."""
_MAX_ADDRESS = 100
"""Characters: no text of more is decoded for people, since 25 bytes never need as many."""
_LONG = 200
"""Base58 digits beyond which only the first bytes of a payee's number are computed."""
_MAX_CACHED = 128
"""Characters: texts far longer than any payee are judged but not remembered."""


class AddressError(ParseError):
    """A text is not a usable address; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class AddressVersions:
    """The version bytes of a network's addresses."""

    pubkey_hash: int
    script_hash: int


def base58_encode(data: bytes) -> str:
    """Return the base58 of bytes; leading zero bytes become leading '1's."""
    number = int.from_bytes(data, "big")
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\x00"))
    return "1" * zeros + "".join(reversed(digits))


def base58_decode(text: str) -> bytes:
    """Return the bytes of a base58 text. ParseError names a letter outside the alphabet.

    Only for texts whose length the caller has bounded: the time grows faster than the length.
    """
    bad = next((letter for letter in text if letter not in DIGITS), None)
    if bad is not None:
        raise ParseError(f"{bad!r} is not a base58 character")
    digits = text.lstrip("1")
    number = value_of(digits)
    zeros = len(text) - len(digits)
    return b"\x00" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode_address(version: int, hash_bytes: bytes) -> str:
    """Return the address of a version byte and 20 bytes of hash."""
    payload = bytes([version]) + hash_bytes
    return base58_encode(payload + sha256d(payload)[:4])


# Bound: base58 is slow, and every tip asks for the address of every payee.
cached_address = lru_cache(maxsize=20_000)(encode_address)


def payee_text(script: bytes, versions: AddressVersions) -> str:
    """Return the address that a script pays, or "!<hex>" if it has none: the payee text of `payee_script`."""
    key_hash = p2pkh_hash(script)
    if key_hash is not None:
        return cached_address(versions.pubkey_hash, key_hash)
    script_hash = p2sh_hash(script)
    if script_hash is not None:
        return cached_address(versions.script_hash, script_hash)
    return "!" + script.hex()


def decode_address(text: str) -> tuple[int, bytes]:
    """Return (version, 20 bytes) of an address. AddressError says what is wrong with it."""
    if len(text) > _MAX_ADDRESS:
        raise AddressError(f"an address has 34 characters, this one {len(text)}")
    try:
        data = base58_decode(text)
    except ParseError as error:
        raise AddressError(str(error)) from None
    if len(data) != 25:
        raise AddressError(f"an address holds 25 bytes, this one {len(data)}")
    if sha256d(data[:21])[:4] != data[21:]:
        raise AddressError("its checksum is wrong (mistyped?)")
    return data[0], data[1:21]


@lru_cache(maxsize=10_000)  # bound: thousands of miners reconnect at once; no address is longer than _MAX_ADDRESS
def payout_hash160(text: str, versions: AddressVersions, network: str) -> bytes:
    """Return the 20 bytes of key hash to pay for an address that a person gave. A share can express nothing but
    P2PKH, so P2SH is refused: treating its hash as a key's would pay nobody.

    Raises AddressError: bad checksum, another network, or P2SH.
    """
    version, hash_bytes = decode_address(text)
    if version == versions.script_hash:
        raise AddressError("it is a P2SH (script) address; shares can pay only P2PKH (key) addresses")
    if version != versions.pubkey_hash:
        raise AddressError(f"it is not an address of the network {network}")
    return hash_bytes


def payee_script(payee: str, versions: AddressVersions) -> bytes | None:
    """Return the script that a share's payee text (one character a byte) stands for; None if it is skipped.

    Consensus ("Packed payments" in docs/protocol/share-chain.md): raises ParseError if the text makes the share
    invalid, and never because of anything else. `payee_script_steps` does the same in steps.
    """
    if len(payee) <= _MAX_CACHED:
        return _cached_payee(payee, versions)
    return finish(payee_script_steps(payee, versions))


def payee_script_steps(payee: str, versions: AddressVersions) -> Generator[None, None, bytes | None]:
    """Return what `payee_script` does; every yield ends a step of at most about ten milliseconds.

    Only a text that was made for it takes more than one: one of megabytes whose number lies on the border between
    two answers.
    """
    if len(payee) <= _MAX_CACHED:
        return _cached_payee(payee, versions)
    if payee[0] == "!" or payee.startswith("script:"):
        return _judge_payee(payee, versions)
    if not _BASE58.fullmatch(payee):
        return None
    digits = payee.lstrip("1")
    zeros = len(payee) - len(digits)
    if zeros >= _ADDRESS_BYTES:
        return None  # 25 zero bytes, whose checksum is wrong
    if len(digits) <= _LONG:
        return _judge_payee(payee, versions)
    if (yield from _begins_with_an_address(digits, zeros)):
        raise ParseError(_LEFT_OVER)
    return None


def _begins_with_an_address(digits: str, zeros: int) -> Generator[None, None, bool]:
    """Return whether so many zero bytes and the number of these digits begin with 21 bytes and their checksum."""
    count = _ADDRESS_BYTES - zeros
    low, high = leading_bytes(digits, count)
    if low == high:
        return _has_checksum(low[1].to_bytes(_ADDRESS_BYTES, "big"))
    good_low, good_high = (_has_checksum(first.to_bytes(_ADDRESS_BYTES, "big")) for _, first in (low, high))
    if good_low == good_high:
        return good_low
    length, first = high
    key = sha256d(digits.encode()), get_ident()
    comparison = _comparisons.get(key)
    if comparison is None:
        comparison = _comparisons[key] = SharedSteps(reaches(digits, first, length - count))
    reached = yield from comparison.result()
    return good_high if reached else good_low


def _has_checksum(data: bytes) -> bool:
    return sha256d(data[:21])[:4] == data[21:_ADDRESS_BYTES]


def _judge_payee(payee: str, versions: AddressVersions) -> bytes | None:
    if payee == "":
        return None
    if payee[0] == "!":
        return _unhex(payee[1:])
    if payee.startswith("script:"):
        return None
    try:
        data = base58_decode(payee)
    except ParseError:
        return None
    if len(data) < _ADDRESS_BYTES or not _has_checksum(data):
        return None
    if len(data) > _ADDRESS_BYTES:
        raise ParseError(_LEFT_OVER)
    if data[0] == versions.pubkey_hash:
        return p2pkh_script(data[1:21])
    if data[0] == versions.script_hash:
        return p2sh_script(data[1:21])
    return None


# Bound: each is of megabytes while it is under way, and one bit afterwards. The same share comes from many peers,
# at the same time and again later. By thread as well: shares are read from disk in one of their own.
_comparisons: BoundedDict[tuple[bytes, int], SharedSteps[bool]] = BoundedDict(8)
_LEFT_OVER = "bytes after an address's checksum"

# Bound: payees of templates change slowly; texts come from miners and other nodes, so the cache is finite.
_cached_payee = lru_cache(maxsize=4096)(_judge_payee)


def _unhex(text: str) -> bytes:
    if len(text) % 2 or not _HEXADECIMAL.fullmatch(text):
        raise ParseError("a raw payee script is not hexadecimal")
    return bytes.fromhex(text)
