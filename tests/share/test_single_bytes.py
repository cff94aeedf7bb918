"""One byte of a share's contents changed: it is refused, or its maker was free to choose that byte."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from p2pool.base.errors import ParseError
from p2pool.share.errors import ShareInvalid
from p2pool.share.parsing import parse_share
from p2pool.share.share import Share
from p2pool.share.versions import VERSION_16
from p2pool.sharechain.tracker import Tracker
from tests.share.builder import EASY, Draft, grow, mined, share_of, valid_draft

NETWORK = replace(EASY, max_target=2**256 - 1)
"""Nearly every hash has enough work, so that it is the rules themselves that refuse."""
PAID, SKIPPED = "!6a", "zz"

FREE = {
    "header_version": "the parent chain's business",
    "previous_block": "the parent chain's business",
    "header_timestamp": "the parent chain's business",
    "block_bits": "the parent chain's business, as long as the weight limit that follows cuts nothing",
    "header_nonce": "where the work is searched",
    "last_txout_nonce": "where the work is searched",
    "share_nonce": "means nothing",
    "donation": "counts for the shares that follow",
    "stale_info": "a claim that nothing can check",
    "desired_version": "a vote",
    "payment_amount": "a figure for people: what is paid follows from the payments",
    "payments": "the text of a skipped one, its amount, and upper or lower case of a raw script",
    "timestamp": "within its window after the parent's",
    "bits": "within its window, where abswork stays the same whole number",
    "ref_merkle_link": "stands for other share_infos over the same generation transaction, which nobody knows",
}
"""What a share's maker chooses, and why no rule can speak against another value."""


@pytest.fixture(scope="module")
def chain() -> tuple[Tracker, Draft]:
    """A chain of 103 and a share on it that has something in every field."""
    tracker = Tracker(NETWORK)
    tip = grow(tracker, 101)[-1].hash
    for wanted in ((7, 8), (9,)):
        share = share_of(valid_draft(tracker, tip, wanted))
        tracker.add(share, 0.0)
        tip = share.hash
    draft = valid_draft(
        tracker,
        tip,
        wanted=(100, 8, 101, 9),
        paid=[(b"\x6a", 1000)],
        seconds=5,
        payments=((PAID, 1000), (SKIPPED, 2000)),
        payment_amount=3000,
        coinbase_payload=b"a payload",
        stale_info=253,
        ref_merkle_link=(b"\x03" * 32,),
    )
    return tracker, draft


def changed_fields(one: Share, other: Share) -> list[str]:
    follows = {"contents", "hash", "gentx_hash", "ref_hash", "payments_start", "payments_count"}
    names = [name.removeprefix("kept_") for name in Share.__slots__]
    return [n for n in names if n not in follows and getattr(one, n) != getattr(other, n)]


def assert_equivalent(original: Share, changed: Share) -> str:
    """Nothing but one free field differs. Returns its name."""
    assert changed.hash != original.hash
    [name] = changed_fields(original, changed)
    assert name in FREE
    if name == "payments":
        (paid, amount), (_, _) = changed.payments
        assert (paid.lower(), amount) == (PAID, 1000)
    elif name == "timestamp":
        assert 1 <= changed.timestamp - (original.timestamp - 5) < 2 * NETWORK.share_period
    elif name == "bits":
        assert changed.attempts == original.attempts
    return name


def test_every_single_byte(chain):
    tracker, draft = chain
    contents = mined(draft)
    original = parse_share(VERSION_16, contents, NETWORK)
    assert tracker.check(original).gentx == draft.gentx
    assert original.far_share_hash is not None
    rng = random.Random(1)
    survived: Counter[str] = Counter()
    for place in range(len(contents)):
        flips = {1 << bit for bit in range(8)} | {rng.randrange(1, 256) for _ in range(3)}
        for flip in flips:
            data = bytearray(contents)
            data[place] ^= flip
            try:
                changed = parse_share(VERSION_16, bytes(data), NETWORK)
                tracker.check(changed)
            except (ParseError, ShareInvalid):
                continue
            survived[assert_equivalent(original, changed)] += 1
    assert set(survived) == set(FREE)


OTHER_VALUES = {
    "header_version": 1,
    "previous_block": 0,
    "header_timestamp": 0,
    "block_bits": 0x1A012345,
    "last_txout_nonce": b"\xff" * 8,
    "share_nonce": 2**32 - 1,
    "donation": 65535,
    "stale_info": 99,
    "desired_version": 2**64 - 1,
    "payment_amount": 2**64 - 1,
    "payments": ((PAID.upper(), 1000), ("", 2**64 - 1)),
    "ref_merkle_link": (b"\x04" * 32,) * 40,
}


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_a_free_field_may_have_quite_another_value(chain, name):
    tracker, draft = chain
    share = share_of(replace(draft, **{name: OTHER_VALUES[name]}))
    tracker.check(share)
