"""Shares that are parsed together are what each of them is alone, and so is what is wrong with them."""

from __future__ import annotations

import gc
import re

import pytest

from p2pool.base.errors import ParseError
from p2pool.dash import pow
from p2pool.share import parsing
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.parsing import parse_share, parse_shares
from p2pool.share.share import Share
from p2pool.share.versions import VERSION_16
from p2pool.sharechain.tracker import Tracker
from tests.chains import NOW
from tests.share.builder import EASY, mined, valid_draft

FIELDS = [name for name in Share.__slots__ if not name.startswith("_")]


def chain(count: int) -> list[bytes]:
    """Contents of so many shares, each on the one before."""
    tracker, parent, found = Tracker(EASY), None, []
    for number in range(count):
        payments = tuple((f"!{number:02x}", each) for each in range(1, number))
        contents = mined(valid_draft(tracker, parent, payments=payments))
        share = parse_share(VERSION_16, contents, EASY)
        tracker.add(share, NOW)
        parent = share.hash
        found.append(contents)
    return found


CHAIN = chain(9)


def fields(share: Share) -> dict[str, object]:
    return {name: getattr(share, name) for name in FIELDS}


@pytest.mark.parametrize("count", range(len(CHAIN) + 1))
def test_shares_parsed_together_are_the_same_as_alone(count):
    together = parse_shares([(VERSION_16, contents) for contents in CHAIN[:count]], EASY)
    assert [fields(share) for share in together] == [
        fields(parse_share(VERSION_16, contents, EASY)) for contents in CHAIN[:count]
    ]


def test_what_is_wrong_with_one_does_not_touch_the_others():
    nonce = 1 + 32 + 8
    without_work = CHAIN[3][:nonce] + bytes(4) + CHAIN[3][nonce + 4 :]
    wrong = [b"", CHAIN[2][:-1], CHAIN[2] + b"\0", without_work]
    mixed = [CHAIN[0], wrong[0], wrong[1], CHAIN[1], wrong[2], CHAIN[2], wrong[3], CHAIN[3]]
    results = parse_shares([(VERSION_16, contents) for contents in mixed], EASY)
    for contents, result in zip(mixed, results, strict=True):
        if isinstance(result, Share):
            assert fields(result) == fields(parse_share(VERSION_16, contents, EASY))
        else:
            with pytest.raises(type(result), match=re.escape(str(result))):
                parse_share(VERSION_16, contents, EASY)
    assert [type(each) for each in results] == [
        Share,
        ParseError,
        ParseError,
        Share,
        ParseError,
        Share,
        ShareInvalid,
        Share,
    ]
    assert results[6].reason is Reason.NO_WORK


def test_their_hashes_are_computed_in_one_call(monkeypatch):
    calls = []
    monkeypatch.setattr(parsing, "x11_digest", None)
    monkeypatch.setattr(
        parsing, "x11_digests", lambda headers: calls.append(list(headers)) or pow.x11_digests(headers)
    )
    shares = parse_shares([(VERSION_16, contents) for contents in CHAIN], EASY)
    assert calls == [[share.header for share in shares]]


def test_a_share_needs_no_garbage_collection():
    """It refers to nothing that refers to it, and ten thousand of them are held for a day."""
    (share,) = parse_shares([(VERSION_16, CHAIN[5])], EASY)
    assert share.kept_payments
    gc.collect()
    gc.collect()
    assert not gc.is_tracked(share)
    assert [name for name in FIELDS if name != "version" and gc.is_tracked(getattr(share, name))] == []
