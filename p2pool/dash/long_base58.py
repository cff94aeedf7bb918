"""The first bytes of a very long base58 number, without decoding all of it. Called by `address`.

A share's payee has no limit of length, its verdict needs the first 25 bytes of the number only, and the digits are
in another base: decoding three megabytes of them takes half a minute. The leading digits and an interval for the
power of 58 that follows give those bytes, unless the number lies within one part in 2**900 of the border between
two values. Nobody meets that by chance, but one can choose such a number, so `reaches` compares exactly, in steps
that each take about ten milliseconds. See docs/adr/0002-own-base58.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, Inexact
from itertools import zip_longest

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
DIGITS = {letter: value for value, letter in enumerate(ALPHABET)}

LEADING = 160
"""Digits that the interval is made of: 937 bits. Shorter numbers are for `address.base58_decode`."""
_PRECISION = 1024
"""Bits of the power of 58; each of the few dozen multiplications loses less than one of them."""
_CHUNK = 10
"""Base58 digits that fit a machine word."""
_BLOCK = 2000
"""Base58 digits that become one integer before decimal arithmetic begins: Python's is quicker below that."""
_LIMB_DIGITS = 250_000
"""Decimal digits in a limb: `decimal` multiplies two of them in about 8 ms."""
_BLOCKS_AT_ONCE = 16
_COMBINED_AT_ONCE = 40
"""Short combinations in a step."""

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])
_LIMB = _EXACT.scaleb(Decimal(1), _LIMB_DIGITS)

Limbs = list[Decimal]
"""A number in base 10**_LIMB_DIGITS, the lowest limb first."""


def value_of(digits: str) -> int:
    """Return the number that base58 digits stand for. For at most a few thousand of them: the time is worse than
    linear.

    Neighbouring chunks are joined, then neighbouring pairs, and so on: digit by digit the time would be quadratic.
    """
    first = len(digits) % _CHUNK
    numbers = [_chunk_value(digits[:first])]
    numbers += [_chunk_value(digits[at : at + _CHUNK]) for at in range(first, len(digits), _CHUNK)]
    base: int = 58**_CHUNK
    while len(numbers) > 1:
        if len(numbers) % 2:
            numbers.insert(0, 0)
        numbers = [high * base + low for high, low in zip(numbers[::2], numbers[1::2], strict=True)]
        base *= base
    return numbers[0]


def _chunk_value(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * 58 + DIGITS[digit]
    return value


# --- the interval ----------------------------------------------------------------------------------------


def leading_bytes(digits: str, count: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the lowest and the highest possible (length of the number in bytes, value of its first `count`
    bytes).

    They are equal, or neighbours. `digits` has more than LEADING digits and does not begin with "1" (zero).
    """
    leading = value_of(digits[:LEADING])
    low, high, exponent = _power_of_58(len(digits) - LEADING)
    return _first_bytes(leading * low, exponent, count), _first_bytes((leading + 1) * high, exponent, count)


def _power_of_58(exponent: int) -> tuple[int, int, int]:
    """Return (low, high, shift) with low * 2**shift <= 58**exponent <= high * 2**shift."""
    low, high, shift = 1, 1, 0
    for bit in f"{exponent:b}":
        low, high, shift = low * low, high * high, 2 * shift
        if bit == "1":
            low, high = 58 * low, 58 * high
        excess = max(0, low.bit_length() - _PRECISION)
        if excess:
            low, high, shift = low >> excess, (high >> excess) + 1, shift + excess
    return low, high, shift


def _first_bytes(mantissa: int, exponent: int, count: int) -> tuple[int, int]:
    """Return (length in bytes, value of the first `count` bytes) of mantissa * 2**exponent."""
    length = (mantissa.bit_length() + exponent + 7) // 8
    shift = 8 * (length - count) - exponent
    return length, mantissa >> shift if shift >= 0 else mantissa << -shift


# --- the exact comparison --------------------------------------------------------------------------------


def reaches(digits: str, mantissa: int, exponent: int) -> Generator[None, None, bool]:
    """Return whether the number is at least mantissa * 256**exponent; every yield ends a step."""
    number = yield from _to_limbs(digits)
    border = yield from _multiply_all(Decimal(mantissa), 8 * exponent)
    for ours, theirs in reversed(list(zip_longest(number, border, fillvalue=Decimal(0)))):
        if ours != theirs:
            return ours > theirs
    return True


def _to_limbs(digits: str) -> Generator[None, None, Limbs]:
    """Turn blocks into limbs, then combine neighbours, as in `value_of`."""
    first = len(digits) % _BLOCK
    blocks = [digits[:first]] if first else []
    blocks += [digits[at : at + _BLOCK] for at in range(first, len(digits), _BLOCK)]
    numbers: list[Limbs] = []
    for number, block in enumerate(blocks, 1):
        numbers.append([Decimal(value_of(block))])
        if number % _BLOCKS_AT_ONCE == 0:
            yield
    base: Limbs = [Decimal(58**_BLOCK)]
    while len(numbers) > 1:
        if len(numbers) % 2:
            numbers.insert(0, [Decimal(0)])
        combined = []
        for number, (high, low) in enumerate(zip(numbers[::2], numbers[1::2], strict=True), 1):
            combined.append((yield from _multiply(high, base, low)))
            if number % _COMBINED_AT_ONCE == 0:
                yield
        numbers = combined
        if len(numbers) > 1:
            base = yield from _multiply(base, base, [])
    return numbers[0]


def _multiply_all(factor: Decimal, exponent: int) -> Generator[None, None, Limbs]:
    """Return factor * 2**exponent for each factor."""
    power: Limbs = [Decimal(1)]
    for bit in f"{exponent:b}":
        power = yield from _multiply(power, power, [])
        if bit == "1":
            power = yield from _multiply(power, [Decimal(2)], [])
    return (yield from _multiply(power, [factor], []))


def _multiply(left: Limbs, right: Limbs, added: Limbs) -> Generator[None, None, Limbs]:
    """Return left * right + added. A step is one product of whole limbs, or some of shorter numbers."""
    columns: Limbs = [Decimal(0)] * (len(left) + len(right))
    columns[: len(added)] = added
    for at, one in enumerate(left):
        for offset, other in enumerate(right):
            columns[at + offset] = _EXACT.add(columns[at + offset], _EXACT.multiply(one, other))
            if one.adjusted() + other.adjusted() > _LIMB_DIGITS // 16:
                yield
    return list(_carried(columns))


def _carried(columns: Limbs) -> Iterator[Decimal]:
    """Return columns of any size as limbs, without the empty ones at the top."""
    limbs: Limbs = []
    carry, waiting = Decimal(0), deque(columns)
    while waiting or carry:
        column = waiting.popleft() if waiting else Decimal(0)
        total = _EXACT.add(column, carry)
        carry = Decimal(0)
        if total >= _LIMB:
            carry = _EXACT.shift(total, -_LIMB_DIGITS)
            total = _EXACT.subtract(total, _EXACT.shift(carry, _LIMB_DIGITS))
        limbs.append(total)
    while len(limbs) > 1 and not limbs[-1]:
        limbs.pop()
    yield from limbs
