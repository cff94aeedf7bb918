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
_CHUNK = 10
"""Base58 digits that fit a machine word."""
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
    """Bytes -> base58; leading zero bytes become leading '1's."""
    number = int.from_bytes(data, "big")
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\x00"))
    return "1" * zeros + "".join(reversed(digits))


def base58_decode(text: str) -> bytes:
    """Base58 -> bytes. ParseError names a letter outside the alphabet.

    Neighbouring chunks are joined, then neighbouring pairs, and so on: digit by digit the time would be quadratic,
    and a payee's text has no limit of its own.
    """
    bad = next((letter for letter in text if letter not in _DIGITS), None)
    if bad is not None:
        raise ParseError(f"{bad!r} is not a base58 character")
    digits = text.lstrip("1")
    first = len(digits) % _CHUNK
    numbers = [_chunk_value(digits[:first])]
    numbers += [_chunk_value(digits[at : at + _CHUNK]) for at in range(first, len(digits), _CHUNK)]
    base = 58**_CHUNK
    while len(numbers) > 1:
        if len(numbers) % 2:
            numbers.insert(0, 0)
        numbers = [high * base + low for high, low in zip(numbers[::2], numbers[1::2], strict=True)]
        base *= base
    number = numbers[0]
    zeros = len(text) - len(digits)
    return b"\x00" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _chunk_value(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * 58 + _DIGITS[digit]
    return value


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


def payee_script(payee: str, versions: AddressVersions) -> bytes | None:
    """The script that a share's payee text (one character a byte) stands for; None where it is skipped.

    Consensus, from the share-chain format, "packed payments": raises ParseError where the text makes the share
    invalid, and never because of anything else.
    """
    return (_judge_payee if len(payee) > _MAX_CACHED else _cached_payee)(payee, versions)


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
    if len(data) < 25 or sha256d(data[:21])[:4] != data[21:25]:
        return None
    if len(data) > 25:
        raise ParseError("bytes after an address's checksum")
    if data[0] == versions.pubkey_hash:
        return p2pkh_script(data[1:21])
    if data[0] == versions.script_hash:
        return p2sh_script(data[1:21])
    return None


# Bound: payees of templates change slowly; texts come from miners and other nodes, so the cache is finite.
_cached_payee = lru_cache(maxsize=4096)(_judge_payee)


def _unhex(text: str) -> bytes:
    if len(text) % 2 or any(c not in "0123456789abcdefABCDEF" for c in text):
        raise ParseError("a raw payee script is not hexadecimal")
    return bytes.fromhex(text)
