"""Very long base58 numbers: their first bytes, the exact comparison, and what both cost in digits and steps."""

from __future__ import annotations

import random

import pytest

from p2pool.base.errors import ParseError
from p2pool.base.steps import finish
from p2pool.dash import address, long_base58
from p2pool.dash.address import AddressVersions, decode_address, payee_script, payee_script_steps
from tests.share.payee_texts import (
    ALPHABET,
    INVALID,
    VERSIONS,
    hard_texts,
    number_of,
    text_of,
    verdict,
    with_checksum,
)

NETWORK_VERSIONS = AddressVersions(*VERSIONS)


def judged(text: str) -> bytes | str | None:
    try:
        return payee_script(text, NETWORK_VERSIONS)
    except ParseError:
        return INVALID


@pytest.mark.parametrize("seed", range(4))
def test_every_verdict_is_that_of_the_whole_number(seed):
    for text in hard_texts(500, seed):
        assert judged(text) == verdict(text), (len(text), text)


def test_every_verdict_is_that_of_the_whole_number_with_many_limbs(monkeypatch):
    """As for megabytes: numbers of many blocks and limbs."""
    monkeypatch.setattr(long_base58, "_LIMB_DIGITS", 60)
    monkeypatch.setattr(long_base58, "_LIMB", long_base58._EXACT.scaleb(long_base58.Decimal(1), 60))
    monkeypatch.setattr(long_base58, "_BLOCK", 30)
    for text in hard_texts(500, 5):
        assert judged(text) == verdict(text), (len(text), text)


def test_hard_texts_are_hard(monkeypatch):
    """They have every verdict at every length, and many need the exact comparison."""
    compared = []
    monkeypatch.setattr(address, "reaches", lambda *a: compared.append(a) or (yield from long_base58.reaches(*a)))
    found = {(type(judged(text)), len(text) > 1000) for text in hard_texts(500, 0)}
    assert found >= {(str, True), (str, False), (type(None), True), (type(None), False), (bytes, False)}
    assert len(compared) > 20


def test_a_long_text_costs_its_leading_digits_only(monkeypatch):
    converted = []
    whole = long_base58.value_of
    monkeypatch.setattr(long_base58, "value_of", lambda digits: converted.append(len(digits)) or whole(digits))
    monkeypatch.setattr(address, "value_of", long_base58.value_of)
    digits = "".join(random.Random(1).choices(ALPHABET, k=800_000))
    for text in (digits, "1" * 24 + digits, "1" * 400_000 + digits, digits + "0", digits + "\xe9"):
        steps = payee_script_steps(text, NETWORK_VERSIONS)
        with pytest.raises(StopIteration) as done:
            next(steps)
        assert done.value.value is None
    assert sum(converted) <= 5 * long_base58.LEADING


def test_a_number_on_the_border_is_compared_in_steps():
    """Whoever chooses a number that the interval does not decide gets no more of a turn than others."""
    good = with_checksum(bytes([VERSIONS[0]]) + b"\x05" * 20)
    border = int.from_bytes(good, "big") << 8 * 20_000
    for number, expected in ((border, INVALID), (border - 1, None)):
        text = text_of(number)
        steps = payee_script_steps(text, NETWORK_VERSIONS)
        steps_taken = 0
        try:
            while True:
                next(steps)
                steps_taken += 1
        except (StopIteration, ParseError):
            pass
        assert steps_taken > 3
        assert judged(text) == expected


def test_the_comparison_of_megabytes_yields_between_products_of_limbs(monkeypatch):
    """300,000 digits: no more than one product of long numbers, or a few dozen short ones, between two yields."""
    products = []
    original = long_base58._EXACT

    class Counted:
        add, shift, subtract = original.add, original.shift, original.subtract

        @staticmethod
        def multiply(one, other):
            products.append(one.adjusted() + other.adjusted())
            return original.multiply(one, other)

    monkeypatch.setattr(long_base58, "_EXACT", Counted)
    digits = "z" * 300_000
    steps = long_base58.reaches(digits, 58**30, 219_000)
    steps_taken = longest = 0
    while True:
        products.clear()
        try:
            next(steps)
        except StopIteration:
            break
        steps_taken += 1
        longest = max(longest, sum(products))
    assert steps_taken > 20
    assert longest <= 2 * long_base58._LIMB_DIGITS + 40 * long_base58._LIMB_DIGITS // 16


def test_a_number_wider_than_its_limb_is_carried(monkeypatch):
    monkeypatch.setattr(long_base58, "_BLOCK", 10)
    monkeypatch.setattr(long_base58, "_LIMB_DIGITS", 20)
    monkeypatch.setattr(long_base58, "_LIMB", long_base58._EXACT.scaleb(long_base58.Decimal(1), 20))
    for mantissa in (10**20 - 1, 10**20, 10**59, 256**25 - 1):
        number = mantissa * 256**200
        assert finish(long_base58.reaches(text_of(number), mantissa, 200))
        assert not finish(long_base58.reaches(text_of(number - 1), mantissa, 200))


@pytest.mark.parametrize("above", [0, 1])
def test_reaches_is_exact(above):
    number = 58**3000 + 12345
    assert finish(long_base58.reaches(text_of(number), number + above, 0)) is (above == 0)


def test_the_interval_holds_the_first_bytes():
    rng = random.Random(3)
    for _ in range(300):
        digits = rng.choice(ALPHABET[1:]) + "".join(rng.choices(ALPHABET, k=rng.randrange(200, 900)))
        number = number_of(digits)
        length = (number.bit_length() + 7) // 8
        low, high = long_base58.leading_bytes(digits, 25)
        assert low <= (length, number >> 8 * (length - 25)) <= high


def test_no_long_text_is_decoded_for_people():
    with pytest.raises(address.AddressError, match="34 characters, this one 800000"):
        decode_address("z" * 800_000)


def test_the_same_number_on_the_border_is_compared_once(monkeypatch):
    """The share comes from many peers at the same time, and from who means harm again and again."""
    compared = []
    whole = long_base58.reaches
    monkeypatch.setattr(address, "reaches", lambda *a: compared.append(1) or whole(*a))
    good = with_checksum(bytes([VERSIONS[0]]) + b"\x07" * 20)
    text = text_of((int.from_bytes(good, "big") << 8 * 20_000) - 1)
    waiting = [payee_script_steps(text, NETWORK_VERSIONS) for _ in range(3)]
    steps, results = 0, []
    while waiting:
        for each in list(waiting):
            try:
                next(each)
                steps += 1
            except StopIteration as done:
                results.append(done.value)
                waiting.remove(each)
    assert results == [None] * 3
    assert judged(text) is None
    assert len(compared) == 1
    assert steps < 20
