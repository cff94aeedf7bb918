"""Payees inside shares: which texts are paid, which are skipped, which make the share invalid, at any length."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.dash import address as address_module
from p2pool.dash.address import base58_decode, base58_encode, payee_script
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.sharechain.tracker import Tracker
from tests.share.builder import EASY, double_sha, share_of, valid_draft

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
VERSIONS = EASY.parent.addresses
KEY_HASH = b"\x05" * 20
KEY_SCRIPT = b"\x76\xa9\x14" + KEY_HASH + b"\x88\xac"


def naive_decode(text: str) -> bytes:
    """Digit by digit."""
    number = 0
    for letter in text:
        number = number * 58 + ALPHABET.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


@given(st.integers(0, 600), st.integers(0, 40), st.randoms(use_true_random=False))
def test_base58_is_decoded_as_digit_by_digit(length, ones, rng):
    text = "1" * min(ones, length) + "".join(rng.choice(ALPHABET) for _ in range(length - min(ones, length)))
    data = base58_decode(text)
    assert data == naive_decode(text)
    assert base58_encode(data) == text


def test_base58_of_every_short_length():
    """Around the borders of the chunks that are joined in pairs."""
    for length in (*range(200), 255, 256, 257, 511, 512, 513, 599, 600):
        for text in ("z" * length, "1" * length, "2" + "1" * length, "1" + "z" * length):
            assert base58_decode(text) == naive_decode(text)


@given(st.text(st.sampled_from(ALPHABET + "0OIl \x00\xe9"), max_size=60))
def test_a_letter_outside_the_alphabet_is_refused(text):
    if all(letter in ALPHABET for letter in text):
        assert base58_decode(text) == naive_decode(text)
    else:
        with pytest.raises(ParseError, match="not a base58"):
            base58_decode(text)


def address(version: int, tail: bytes = b"", damage: int = 0) -> str:
    payload = bytes([version]) + KEY_HASH
    checksum = bytearray(double_sha(payload)[:4])
    checksum[3] ^= damage
    return base58_encode(payload + bytes(checksum) + tail)


@settings(max_examples=60)
@given(st.sampled_from([140, 19, 76, 0]), st.integers(0, 130), st.booleans())
def test_what_follows_a_good_checksum_makes_a_share_invalid(version, left_over, good):
    """Around 128 characters, where texts are no longer remembered, nothing may change."""
    text = address(version, bytes(left_over), 0 if good else 1)
    for _ in range(2):  # the second time from memory
        if good and left_over:
            with pytest.raises(ParseError):
                payee_script(text, VERSIONS)
        elif good and version in (140, 19):
            script = KEY_SCRIPT if version == 140 else b"\xa9\x14" + KEY_HASH + b"\x87"
            assert payee_script(text, VERSIONS) == script
        else:
            assert payee_script(text, VERSIONS) is None


LEFT_OVER = b"\x09" * 3000
"""So many bytes make a text of more than 4096 characters."""


def test_a_long_text_with_a_good_checksum_makes_the_share_invalid():
    tracker = Tracker(EASY)
    text = address(140, LEFT_OVER)
    assert len(text) > 4096
    share = share_of(valid_draft(tracker, None, payments=((text, 0),)))
    with pytest.raises(ShareInvalid) as caught:
        tracker.check(share)
    assert caught.value.reason is Reason.PAYEE_MALFORMED


@pytest.mark.parametrize(
    "text",
    [address(140, LEFT_OVER, damage=1), "z" * 5000, "1" * 5000, "0" * 5000, "script:" + "6a" * 3000],
    ids=["bad checksum", "z", "1", "no base58", "script:"],
)
def test_a_long_text_without_a_good_checksum_is_skipped(text):
    """Its amount may be greater than the subsidy: what is skipped is not subtracted."""
    tracker = Tracker(EASY)
    draft = valid_draft(tracker, None, payments=((text, 2**64 - 1), ("!6a", 7)), paid=[(b"\x6a", 7)])
    tracker.check(share_of(draft))


def test_a_long_raw_script_is_paid():
    tracker = Tracker(EASY)
    script = bytes(range(256)) * 20
    draft = valid_draft(tracker, None, payments=(("!" + script.hex(), 7),), paid=[(script, 7)])
    tracker.check(share_of(draft))


def test_no_long_text_is_decoded_whole(monkeypatch):
    """800,000 digits cost two seconds in one turn of the reactor, for the price of one share."""
    decoded = []
    whole = address_module.base58_decode
    monkeypatch.setattr(address_module, "base58_decode", lambda text: decoded.append(len(text)) or whole(text))
    for text in ("z" * 3000, "1" * 3000, "1" * 24 + "z" * 3000, "z" * 3000 + "0"):
        assert payee_script(text, VERSIONS) is None
    assert decoded == []
