"""Shares that a running c2pool-dash was given: what it made of them, and what the rules of the share chain do."""

from __future__ import annotations

import pytest

from p2pool.networks import DASH_TESTNET
from p2pool.share.check import RebuiltShare
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.parsing import parse_share
from p2pool.share.share import Share
from p2pool.share.versions import VERSION_16
from p2pool.sharechain.tracker import Tracker
from tests.share.c2pool_rules import accepts
from tests.support import vectors

ROWS = vectors("c2pool_shares")["shares"]


def tracker_with_all() -> tuple[Tracker, dict[str, Share]]:
    tracker, shares = Tracker(DASH_TESTNET), {}
    for row in ROWS:
        share = shares[row["name"]] = parse_share(VERSION_16, bytes.fromhex(row["contents"]), DASH_TESTNET)
        tracker.add(share, 0.0)
    return tracker, shares


def judged(tracker: Tracker, share: Share) -> RebuiltShare | Reason:
    try:
        return tracker.check(share)
    except ShareInvalid as error:
        return error.reason


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_the_rules_of_the_share_chain(row):
    tracker, shares = tracker_with_all()
    share = shares[row["name"]]
    assert f"{share.hash:064x}" == row["hash"]
    found = judged(tracker, share)
    assert found is Reason[row["rule"]] if row["rule"] else isinstance(found, RebuiltShare)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_what_the_tests_call_its_rules_is_what_it_did(row):
    """c2pool-dash does not compare absheight, so only the coinbase matters; of a first share not even that."""
    tracker, shares = tracker_with_all()
    share = shares[row["name"]]
    if share.previous_hash is not None and not row["rule"]:
        gentx = tracker.rebuild(share).gentx
        assert accepts(share, gentx, tracker) is row["c2pool_accepts"]


def test_each_kind_of_difference_is_there():
    assert {(row["c2pool_accepts"], row["rule"]) for row in ROWS} == {
        (True, None),
        (True, "ABSHEIGHT"),
        (False, None),
    }
