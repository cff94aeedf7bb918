"""The hash link at the end of what SHA-256 can count: 2^64 bits are too many, whatever else is right."""

from __future__ import annotations

import pytest

from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.parsing import parse_share
from p2pool.share.share import Share
from p2pool.share.versions import VERSION_16
from p2pool.sharechain.tracker import Tracker
from tests.share.builder import BEFORE_REF_HASH, EASY, START, Draft, grow, valid_draft

MOST = 2**61
"""Bytes that make 2^64 bits."""


@pytest.fixture(scope="module")
def tracker() -> Tracker:
    tracker = Tracker(EASY)
    grow(tracker, 3)
    return tracker


def linked(tracker: Tracker, total: int, **choices: object) -> Draft:
    """A share whose hash link claims a generation transaction of `total` bytes; all else is as it must be."""
    [tip] = tracker.forest.heads
    draft = valid_draft(tracker, tip, **choices)
    length = total - len(draft.gentx) + len(draft.gentx_prefix)
    extra = bytes(max(0, length % 64 - len(BEFORE_REF_HASH)))
    return valid_draft(tracker, tip, **choices, hash_link_length=length, hash_link_extra=extra)


def parsed_with_some_nonce(draft: Draft) -> Share:
    """What the link claims cannot be hashed here from the start: so it is the parser that finds whether a nonce
    has work."""
    for nonce in range(10_000):
        try:
            return parse_share(VERSION_16, draft.contents(nonce), EASY)
        except ShareInvalid as refusal:
            if refusal.reason is not Reason.NO_WORK:
                raise
    raise RuntimeError("no nonce")


PAYLOADS = [{}, {"coinbase_payload": b"\x02" * 38}, {"item_7": b"\x02" * 300}]


@pytest.mark.parametrize("choices", PAYLOADS, ids=["no payload", "a payload", "a longer item 7"])
@pytest.mark.parametrize("beyond", [0, 1, 64, MOST])
def test_2_to_the_64_bits_or_more_are_refused(tracker, choices, beyond):
    total = min(MOST + beyond, 2**64 - 1)  # what a varint still holds
    with pytest.raises(ShareInvalid) as caught:
        parsed_with_some_nonce(linked(tracker, total, **choices))
    assert caught.value.reason is Reason.HASH_LINK_LENGTH


@pytest.mark.parametrize("choices", PAYLOADS, ids=["no payload", "a payload", "a longer item 7"])
@pytest.mark.parametrize("less", [1, 7, 26, 64])
def test_a_byte_less_loads_and_is_refused_by_the_check(tracker, choices, less):
    share = parsed_with_some_nonce(linked(tracker, MOST - less, **choices))
    with pytest.raises(ShareInvalid) as caught:
        tracker.check(share)
    assert caught.value.reason is Reason.GENTX


def test_every_length_of_the_unfinished_block_is_accepted(tracker):
    """The coinbase script shifts where the constant ending begins in a block, through all 64 places."""
    [tip] = tracker.forest.heads
    seen = set()
    for size in range(2, 66):
        draft = valid_draft(tracker, tip, coinbase=bytes(size), timestamp=START)
        seen.add(len(draft.gentx_prefix) % 64)
        tracker.check(parsed_with_some_nonce(draft))
    assert seen == set(range(64))
