"""The vectors with their shares added newest first and at random: orphans wait for their parents, and in the end
each share gets the verdict, at the stage, and all the figures that it got where shares came in order."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import sha256d
from p2pool.share.errors import ShareInvalid
from p2pool.share.share import Share
from p2pool.share.versions import parse_envelope
from p2pool.sharechain.figures import expected_payouts
from p2pool.sharechain.tracker import Tracker
from tests.share.test_vectors import (
    FOUND_LATER,
    assert_chain_figures,
    assert_fields,
    assert_statistics,
    assert_weights,
)
from tests.support import network_of, vectors


def shuffled(seed: int) -> Callable[[list], list]:
    def order(items: list) -> list:
        return random.Random(seed).sample(items, len(items))

    return order


ORDERS = {"newest first": lambda items: items[::-1], "random 1": shuffled(1), "random 2": shuffled(2)}
in_any_order = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)


def load(tracker: Tracker, entries: list[dict], order: Callable[[list], list]) -> dict[str, Share]:
    """Parse all, and hold those that can be loaded; by their bytes."""
    shares = {}
    for entry in order(entries):
        try:
            share = parse_envelope(bytes.fromhex(entry["raw"]), tracker.network)
        except (ParseError, ShareInvalid):
            continue
        tracker.add(share, float(entry.get("index", 0)), "peer")
        shares[entry["raw"]] = share
    return shares


def verdict_of(tracker: Tracker, share: Share | None) -> tuple[str, str | None]:
    """(verdict, stage) as shares_rules.json names them, of a share that is held or could not be loaded."""
    if share is None:
        return "refused", "load"
    if not tracker.can_check(share):
        return "not checkable", None
    try:
        rebuilt = tracker.check(share)
    except ShareInvalid as error:
        return "refused", "load" if error.reason in FOUND_LATER else "check"
    assert sha256d(rebuilt.gentx) == share.gentx_hash
    return "accepted", None


@in_any_order
def test_shares_json(order):
    data = vectors("shares")
    network = network_of(data["net"])
    tracker = Tracker(network)
    shares = load(tracker, data["shares"], order)
    for vector in order(data["shares"]):
        share = shares[vector["raw"]]
        assert verdict_of(tracker, share) == ("accepted", None)
        assert_fields(share, vector, network)
        assert_chain_figures(tracker, share, vector)
        for weights in vector["weights"].values():
            assert_weights(tracker, weights)
        payouts = expected_payouts(
            tracker, share.hash, block_target=share.block_target, subsidy=vector["expected_payouts_subsidy"]
        )
        assert {script.hex(): amount for script, amount in payouts.items()} == vector["expected_payouts"]
    assert_statistics(tracker, data["think"])
    for vector in order(data["shares"]):  # verified in another order as well
        tracker.trust(shares[vector["raw"]].hash)
    thought = tracker.think(
        data["shares"][-1]["share_info"]["timestamp"],
        block_height=lambda block: -1,
        transaction_size=lambda tx: None,
    )
    assert [f"{score.share_hash:064x}" for score in thought.heads] == [h["hash"] for h in data["think"]["heads"]]
    assert f"{thought.best:064x}" == data["think"]["best"]


@in_any_order
def test_shares_json_with_thinking_after_each(order):
    """What is verified meanwhile, over chains that are not whole yet, never leads away from the best share."""
    data = vectors("shares")
    network = network_of(data["net"])
    tracker = Tracker(network)
    now = data["shares"][-1]["share_info"]["timestamp"]
    for vector in order(data["shares"]):
        load(tracker, [vector], list)
        thought = tracker.think(now, block_height=lambda block: -1, transaction_size=lambda tx: None)
        assert (thought.refused, thought.removed) == ([], [])
    assert f"{thought.best:064x}" == data["think"]["best"]
    assert thought.wanted == []
    assert len(tracker) == len(data["shares"])


STAGES = {"outer_unpack": "load", "contents_unpack": "load", "load_share": "load", "check": "check"}


@in_any_order
def test_shares_invalid_json(order):
    """The invalid ones among the valid ones, which some of them stand on, before and after them."""
    data = vectors("shares_invalid")
    tracker = Tracker(network_of(data["net"]))
    entries = [*vectors("shares")["shares"], *data["invalid"]]
    shares = load(tracker, entries, order)
    for vector in data["invalid"]:
        share = shares.get(vector["raw"])
        stage = STAGES.get(vector["fails_at"])
        if share is not None and share.previous_hash not in tracker:
            assert vector["name"] == "previous_share_hash unknown"
            assert verdict_of(tracker, share) == ("not checkable", None)
            continue
        expected = ("accepted", None) if stage is None else ("refused", stage)
        assert verdict_of(tracker, share) == expected, vector["name"]
    for vector in vectors("shares")["shares"]:
        assert verdict_of(tracker, shares[vector["raw"]]) == ("accepted", None)


CHAINS = vectors("shares_rules")["chains"]


@in_any_order
@pytest.mark.parametrize("chain", CHAINS, ids=lambda c: c["name"])
def test_shares_rules_json(chain, order):
    """All probes at once: what stands beside a share has no part in its verdict."""
    network = network_of(vectors("shares_rules")["nets"][chain["net"]])
    tracker = Tracker(network)
    entries = [*chain["shares"], *chain["probes"]]
    shares = load(tracker, entries, order)
    for vector in order(entries):
        share = shares.get(vector["raw"])
        assert verdict_of(tracker, share) == (vector["verdict"], vector["stage"]), vector["name"]
        if vector["verdict"] == "accepted":
            assert_fields(share, vector, network)
            assert_chain_figures(tracker, share, vector)
            used = vector["weights"]["used_by_gentx"]
            if used.get("start") is not None:
                assert_weights(tracker, used)


@in_any_order
@pytest.mark.parametrize("chain", [c for c in CHAINS if c["name"] != "unrooted"], ids=lambda c: c["name"])
def test_thinking_keeps_what_is_valid_of_shares_rules_json(chain, order):
    """Each probe is a head, so that thinking judges them all: what is refused goes, nothing else does."""
    network = network_of(vectors("shares_rules")["nets"][chain["net"]])
    tracker = Tracker(network)
    entries = [*chain["shares"], *chain["probes"]]
    shares = load(tracker, entries, order)
    thought = tracker.think(1_700_000_000.0, block_height=lambda block: -1, transaction_size=lambda tx: None)
    refused = {shares[v["raw"]].hash for v in entries if v["verdict"] == "refused" and v["raw"] in shares}
    assert {share.hash for share, _ in thought.refused} == refused
    assert {share.hash for share in thought.removed} == refused
    probes = {shares[v["raw"]].hash for v in chain["probes"] if v["verdict"] == "accepted"}
    assert probes <= set(tracker.verified.nodes)
