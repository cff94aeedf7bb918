"""Payee texts that are hard to judge, from a seed, and what the specification says of them, computed naively."""

from __future__ import annotations

import hashlib
import random

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
VERSIONS = (140, 19)
"""Of the test networks: P2PKH, P2SH."""
INVALID = "invalid"


def number_of(text: str) -> int:
    number = 0
    for letter in text:
        number = number * 58 + ALPHABET.index(letter)
    return number


def text_of(number: int) -> str:
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def with_checksum(payload: bytes) -> bytes:
    return payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]


def verdict(payee: str) -> bytes | str | None:
    """The script, None where the payee is skipped, INVALID where its share is invalid."""
    if not payee or payee.startswith("script:"):
        return None
    if payee[0] == "!":
        if len(payee) % 2 == 0 or not set(payee[1:]) <= set("0123456789abcdefABCDEF"):
            return INVALID
        return bytes.fromhex(payee[1:])
    if not set(payee) <= set(ALPHABET):
        return None
    number = number_of(payee)
    zeros = len(payee) - len(payee.lstrip("1"))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(data) < 25 or with_checksum(data[:21]) != data[:25]:
        return None
    if len(data) > 25:
        return INVALID
    if data[0] == VERSIONS[0]:
        return b"\x76\xa9\x14" + data[1:21] + b"\x88\xac"
    if data[0] == VERSIONS[1]:
        return b"\xa9\x14" + data[1:21] + b"\x87"
    return None


def hard_texts(count: int, seed: int, longest: int = 1500):
    """`count` texts of up to about `longest` characters."""
    rng = random.Random(seed)
    kinds = (_any, _border, _border, _border, _low_checksum, _ones, _stranger, _raw, _power, _short)
    for _ in range(count):
        yield rng.choice(kinds)(rng, longest)


def _length(rng: random.Random, longest: int) -> int:
    """Often around the lengths at which something changes."""
    around = rng.choice((34, 128, 160, 200, 1000, longest, rng.randrange(1, longest)))
    return max(1, around + rng.randrange(-30, 31))


def _any(rng: random.Random, longest: int) -> str:
    return "".join(rng.choices(ALPHABET, k=_length(rng, longest)))


def _good(rng: random.Random) -> bytes:
    """25 bytes with their checksum: any version, often with zero bytes at the beginning."""
    zeros = rng.choice((0, 0, 0, 1, 2, 10, 20, 21))
    version = b"" if zeros else bytes([rng.choice((*VERSIONS, 76, 255))])
    payload = (bytes(zeros) + version + rng.randbytes(21))[:21]
    return with_checksum(payload)


def _as_text(first: bytes, number: int) -> str:
    """A number whose first bytes are `first`, or nearly: the zero bytes before it are letters of their own."""
    zeros = len(first) - len(first.lstrip(b"\x00"))
    return "1" * zeros + text_of(number)


def _border(rng: random.Random, longest: int) -> str:
    """25 good bytes and zeros after them, give or take a little: the next smaller number is not good."""
    good = _good(rng)
    tail = max(0, _length(rng, longest) * 73 // 100 - 25)
    some = rng.choice((0, 0, 1, 2, 58, 256 ** rng.randrange(tail + 1), 58 ** rng.randrange(tail + 1)))
    number = int.from_bytes(good, "big") + rng.choice((0, 0, 0, 1))
    number = (number << 8 * tail) + rng.choice((1, -1)) * some
    return _as_text(good, max(0, number))


def _low_checksum(rng: random.Random, longest: int) -> str:
    """An address's 25 bytes at the end."""
    return text_of(int.from_bytes(rng.randbytes(_length(rng, longest)) + _good(rng), "big"))


def _ones(rng: random.Random, longest: int) -> str:
    ones = "1" * rng.choice((1, 20, 24, 25, 26, _length(rng, longest)))
    return ones + rng.choice(("", "2", _any(rng, longest), _border(rng, longest)))


def _stranger(rng: random.Random, longest: int) -> str:
    """A letter that base58 has not."""
    text, letter = _border(rng, longest), rng.choice("0OIl \n\r\x00+/\x7f\xe9\xff!")
    at = rng.choice((len(text), len(text), 0, rng.randrange(len(text) + 1)))
    return text[:at] + letter + text[at:]


def _raw(rng: random.Random, longest: int) -> str:
    if rng.random() < 0.2:
        return "script:" + _any(rng, longest)
    text = "!" + rng.randbytes(_length(rng, longest) // 2).hex()
    return rng.choice(
        (text, text.upper(), text + "a", text + " ", text + "\n", text[:-1] + "g", text + "\xb2\xb2")
    )


def _power(rng: random.Random, longest: int) -> str:
    """Next to a power of 256 or 58: the number of bytes, or of digits, is about to change."""
    size = _length(rng, longest)
    number = rng.choice((256 ** (size * 73 // 100), 58 ** (size - 1))) + rng.choice((-2, -1, 0, 1, 2))
    return "1" * rng.choice((0, 0, 1, 5, 23, 24)) + text_of(max(1, number))


def _short(rng: random.Random, longest: int) -> str:
    """Addresses, and those with a few bytes too many or too few."""
    data = _good(rng)
    data = rng.choice((data, data + b"\x00", data + rng.randbytes(3), data[:-1], b"\x00" + data))
    return _as_text(data, int.from_bytes(data, "big"))
