"""The tracker against the forests of think.json, step by step."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from p2pool.dash.hashes import sha256d_int
from p2pool.share.versions import parse_envelope
from p2pool.sharechain.tracker import Tracker
from tests.support import network_of, vectors

DATA = vectors("think")
LABELS = {vector["hash"]: label for label, vector in DATA["shares"].items()}


def label(share_hash: int | None) -> str | None:
    return None if share_hash is None else LABELS[f"{share_hash:064x}"]


def shares_of(case: dict) -> dict:
    network = network_of(DATA["nets"][case["net"]])
    return {
        item["share"]: parse_envelope(bytes.fromhex(DATA["shares"][item["share"]]["raw"]), network)
        for step in case["steps"]
        for item in step["add"]
    }


def ports_of(case: dict) -> tuple[Callable[[int], int], Callable[[int], int | None]]:
    """(block_height, transaction_size) of a case."""
    heights = {int(h, 16): height for h, height in case["block_heights"].items()}
    raws = [bytes.fromhex(raw) for raw in case["known_transactions"]]
    sizes = {sha256d_int(raw): len(raw) for raw in raws}
    return lambda block: heights.get(block, case["unknown_block_height"]), sizes.get


def expected_best(expect: dict, tracker: Tracker) -> tuple[str | None, list]:
    """(best, heads worst first) with our own rule where no head has work at its 5th parent."""
    heads = expect["heads_of_best_tail"]
    if any(int(h["work_at_5th_parent"], 16) for h in heads) or len(heads) < 2:
        return expect["best"], [h["head"] for h in heads]
    hashes = {h["head"]: int(DATA["shares"][h["head"]]["hash"], 16) for h in heads}
    ordered = sorted(
        heads,
        key=lambda h: (
            h["minus_punish"],
            tracker.verified.work(hashes[h["head"]]),
            h["minus_time_seen"],
            hashes[h["head"]],
        ),
    )
    best = ordered[-1]["head"]
    if ordered[-1]["minus_punish"] < 0:
        best = DATA["shares"][best]["previous"]
    return best, [h["head"] for h in ordered]


def assert_step(tracker: Tracker, thought, expect: dict, block_height) -> None:
    forest, verified = tracker.forest, tracker.verified
    assert {label(h): label(node.tree.tail) for h, node in forest.heads.items()} == expect["heads"]
    assert sorted(label(h) for h in verified.nodes) == sorted(expect["verified"])
    assert len(tracker) == expect["shares_held"]
    for trees, wanted in ((forest, expect["tails"]), (verified, expect["verified_tails"])):
        got = {
            label(tail): sorted(label(h) for h, n in trees.heads.items() if n.tree.tail == tail)
            for tail in trees.trees
        }
        assert got == {t["tail"]: sorted(t["heads"]) for t in wanted}
    for entry in expect["tail_scores"]:
        tail = None if entry["tail"] is None else int(DATA["shares"][entry["tail"]]["hash"], 16)
        score = tracker.score_tail(tail, block_height)
        assert score.height == entry["height"]
        assert (None if score.rate is None else repr(score.rate)) == entry["rate"]
    best, heads = expected_best(expect, tracker)
    assert [label(score.share_hash) for score in thought.heads] == heads
    assert label(thought.best) == best
    assert sorted(label(h) for h in thought.wanted) == sorted(d["share"] for d in expect["desired"])
    assert sorted(thought.bad_senders) == sorted(expect["bad_peers"])
    assert sorted(label(s.hash) for s in thought.removed) == sorted(expect["removed"])


@pytest.mark.parametrize("order", ["as given", "newest first", "shuffled", "shuffled again"])
@pytest.mark.parametrize("case", DATA["cases"], ids=lambda c: c["name"])
def test_think(case, order):
    tracker = Tracker(network_of(DATA["nets"][case["net"]]))
    shares = shares_of(case)
    block_height, transaction_size = ports_of(case)
    for step in case["steps"]:
        items = list(step["add"])
        if order == "newest first":
            items.reverse()
        elif order != "as given":
            random.Random(order + case["name"]).shuffle(items)
        for item in items:
            tracker.add(shares[item["share"]], item["time_seen"], item["from"])
        thought = tracker.think(step["now"], block_height=block_height, transaction_size=transaction_size)
        assert_step(tracker, thought, step["expect"], block_height)


def test_the_best_share_of_shares_json():
    data = vectors("shares")
    network = network_of(data["net"])
    tracker = Tracker(network)
    for vector in data["shares"]:
        share = parse_envelope(bytes.fromhex(vector["raw"]), network)
        tracker.add(share, vector["index"])
        tracker.trust(share.hash)  # the vector's tracker had verified each as it came
    thought = tracker.think(
        data["shares"][-1]["share_info"]["timestamp"],
        block_height=lambda block: -1,
        transaction_size=lambda tx: None,
    )
    assert f"{thought.best:064x}" == data["think"]["best"]
    assert [
        {
            "hash": f"{s.share_hash:064x}",
            "minus_punish": s.not_punished,
            "minus_time_seen": s.not_time_seen,
            "work_at_5th_parent": f"{s.work_at_5th_parent:x}",
        }
        for s in thought.heads
    ] == data["think"]["heads"]
    score = tracker.score_tail(None, lambda block: -1)
    assert [score.height, score.rate] == [data["think"]["score"][0], float(data["think"]["score"][1])]
