"""Own shares and what became of them: the same as looking each up anew, whatever the chain does."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from p2pool.share.share import STALE_DOA, STALE_NONE, STALE_ORPHAN
from p2pool.sharechain import own_shares
from p2pool.sharechain.forest import Forest
from p2pool.sharechain.own_shares import OwnShares, StaleCounts


class FakeTracker:
    """As much of a tracker as own shares look at."""

    def __init__(self) -> None:
        self.forest = Forest()
        self.network = SimpleNamespace(chain_length=1000)

    def get(self, share_hash: int) -> Any:
        return self.forest.get(share_hash)

    def height(self, share_hash: int) -> int:
        return self.forest.height(share_hash)

    def ancestors(self, share_hash: int, count: int) -> Any:
        return self.forest.ancestors(share_hash, count)

    def __contains__(self, share_hash: object) -> bool:
        return share_hash in self.forest


def share(share_hash: int, previous: int | None, stale_info: int = STALE_NONE, height: int | None = None) -> Any:
    return SimpleNamespace(
        hash=share_hash,
        previous_hash=previous,
        attempts=1,
        minimum_attempts=1,
        absheight=share_hash if height is None else height,
        stale_info=stale_info,
    )


def naive_counts(tracker: FakeTracker, own: dict[int, bool], best: int | None) -> StaleCounts:
    chain = {} if best is None else {each.hash: each for each in tracker.ancestors(best, 10**9)}
    found = [chain[each] for each in own if each in chain]
    return StaleCounts(
        total=len(own),
        orphans=sum(not dead for each, dead in own.items() if each not in chain),
        dead=sum(dead for each, dead in own.items() if each not in chain),
        orphans_recorded=sum(each.stale_info == STALE_ORPHAN for each in found),
        dead_recorded=sum(each.stale_info == STALE_DOA for each in found),
    )


@pytest.mark.parametrize("seed", range(40))
def test_counts_are_those_of_a_naive_look_at_the_whole_chain(seed: int) -> None:
    chance = random.Random(seed)
    tracker = FakeTracker()
    remembered = OwnShares(tracker)  # type: ignore[arg-type]
    own: dict[int, bool] = {}
    missing: list[Any] = []
    tracker.forest.add(share(1, None if seed % 2 else 0))
    best: int | None = 1
    heights = {1: 1}
    for share_hash in range(2, 400):
        newest = share(share_hash, best, chance.choice([STALE_NONE, STALE_NONE, STALE_ORPHAN, STALE_DOA]))
        what = chance.random()
        if what < 0.1:  # a fork
            newest.previous_hash = chance.choice(list(tracker.forest.nodes))
        newest.absheight = heights[share_hash] = heights[newest.previous_hash] + 1
        if 0.1 <= what < 0.15:  # a gap, to be filled later
            missing.append(newest)
            newest = share(share_hash + 1000, share_hash, height=newest.absheight + 1)
            heights[newest.hash] = newest.absheight
        tracker.forest.add(newest)
        if chance.random() < 0.4:
            own[newest.hash] = dead = chance.random() < 0.3
            remembered.add(newest, dead=dead)
        if missing and chance.random() < 0.2:
            tracker.forest.add(missing.pop())
        if chance.random() < 0.2:  # the old end is pruned
            removable = [each for each in tracker.forest.nodes if tracker.forest.nodes[each].parent is None]
            if len(tracker.forest) > 50:
                tracker.forest.remove(removable[0])
        if chance.random() < 0.05 and len(tracker.forest.heads) > 1:  # a head is rejected
            tracker.forest.remove(chance.choice([each for each in tracker.forest.heads if each != newest.hash]))
        if best not in tracker.forest or chance.random() < 0.9:
            best = newest.hash
        if chance.random() < 0.02:
            best = None
        if chance.random() < 0.8:  # else the chain grows by more than one share
            assert remembered.counts(best) == naive_counts(tracker, own, best)
        best = newest.hash if best is None else best


def test_a_long_chain_that_comes_at_once_is_looked_through() -> None:
    tracker = FakeTracker()
    remembered = OwnShares(tracker)  # type: ignore[arg-type]
    for share_hash in range(1, 101):
        tracker.forest.add(share(share_hash, share_hash - 1 or None))
        remembered.add(tracker.get(share_hash))
    assert remembered.counts(1).orphans == 99
    assert remembered.counts(100).orphans == 0
    assert remembered.counts(2).orphans == 98


def test_growth_costs_the_same_whatever_this_node_has_found(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = FakeTracker()
    remembered = OwnShares(tracker)  # type: ignore[arg-type]
    for share_hash in range(1, 401):
        tracker.forest.add(share(share_hash, share_hash - 1 or None))
        remembered.add(tracker.get(share_hash))
    remembered.counts(400)
    monkeypatch.setattr(Forest, "is_ancestor", lambda *_: pytest.fail("all own shares are looked up"))
    tracker.forest.add(share(401, 400))
    assert remembered.counts(401).orphans == 0


@pytest.mark.parametrize("most", [7, 500])
def test_what_is_forgotten_no_longer_counts(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_shares, "MAX_OWN_SHARES", most)
    chance = random.Random(most)
    tracker = FakeTracker()
    tracker.network.chain_length = 20
    shares = OwnShares(tracker)  # type: ignore[arg-type]
    own: dict[int, bool] = {}
    for height in range(1, 200):
        stale_info = chance.choice([STALE_NONE, STALE_ORPHAN, STALE_DOA])
        tracker.forest.add(share(height, height - 1 or None, stale_info))
        if chance.random() < 0.4:
            found = share(height + 1000, height - 1 or None, height=height) if chance.random() < 0.5 else None
            if found is not None:
                tracker.forest.add(found)
            newest = found or tracker.get(height)
            own[newest.hash] = chance.random() < 0.3
            shares.add(newest, dead=own[newest.hash])
        own = {each: dead for each, dead in own.items() if each % 1000 >= height - 40}
        own = dict(list(own.items())[-most:])
        shares.follow(height)
        assert shares.counts(height) == naive_counts(tracker, own, height)
    assert set(shares.held()) == set(own)
