"""The forest and the sliding window against naive models, under random additions and removals."""

from __future__ import annotations

import gc
import random
import weakref
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.share.weights import WEIGHT_UNIT
from p2pool.sharechain import forest as forest_module
from p2pool.sharechain.forest import Forest
from p2pool.sharechain.weights import WeightWindows
from tests.support import needs_interpreted


def fake_share(share_hash: int, previous: int | None, attempts: int = 1, donation: int = 0, script: bytes = b"a"):
    """As much of a share as the forest looks at."""
    return SimpleNamespace(
        hash=share_hash,
        previous_hash=previous,
        attempts=attempts,
        minimum_attempts=attempts * 2,
        donation=donation,
        script=script,
    )


class NaiveForest:
    """The same answers by walking."""

    def __init__(self) -> None:
        self.shares: dict = {}

    def chain(self, share_hash):
        while share_hash in self.shares:
            share = self.shares[share_hash]
            yield share
            share_hash = share.previous_hash

    def heads(self):
        parents = {s.previous_hash for s in self.shares.values()}
        return {h for h in self.shares if h not in parents}

    def tail(self, share_hash):
        return list(self.chain(share_hash))[-1].previous_hash


def assert_equal(forest: Forest, naive: NaiveForest) -> None:
    assert set(forest.nodes) == set(naive.shares)
    assert set(forest.heads) == naive.heads()
    assert {t: tree.size for t, tree in forest.trees.items()} == sizes(naive)
    for share_hash in naive.shares:
        chain = list(naive.chain(share_hash))
        assert forest.height(share_hash) == len(chain)
        assert forest.tail(share_hash) == naive.tail(share_hash)
        assert forest.work(share_hash) == sum(s.attempts for s in chain)
        assert list(forest.ancestors(share_hash, 1000)) == chain
        for n in {0, 1, 5, len(chain) - 1, len(chain), 63, 64, 65}:
            expected = chain[n] if n < len(chain) else None
            assert forest.nth_parent(share_hash, n) is expected
            assert forest.minimum_work(share_hash, n) == sum(s.minimum_attempts for s in chain[:n])
            assert forest.work_over(share_hash, n) == sum(s.attempts for s in chain[:n])


def sizes(naive: NaiveForest) -> dict:
    found: dict = {}
    for share_hash in naive.shares:
        tail = naive.tail(share_hash)
        found[tail] = found.get(tail, 0) + 1
    return found


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.integers(1, 60), st.floats(0, 0.4), st.floats(0, 0.5))
def test_forest_against_a_naive_model(seed, count, forking, removing):
    rng = random.Random(seed)
    shares = []
    for i in range(1, count + 1):
        if i == 1 or rng.random() < 0.05:
            previous = rng.choice([None, 1000 + i])
        else:
            previous = rng.randrange(1, i) if rng.random() < forking else i - 1
        shares.append(fake_share(i, previous, rng.randrange(1, 50)))
    rng.shuffle(shares)
    forest, naive = Forest(), NaiveForest()
    for share in shares:
        forest.add(share)
        naive.shares[share.hash] = share
        if rng.random() < removing:
            victim = rng.choice(list(naive.shares))
            if forest.can_remove(victim):
                assert forest.remove(victim) is naive.shares.pop(victim)
            else:
                with pytest.raises(ValueError, match="middle"):
                    forest.remove(victim)
        assert_equal(forest, naive)


def test_a_long_chain_in_both_directions():
    for order in (range(1, 2001), range(2000, 0, -1)):
        forest = Forest()
        for i in order:
            forest.add(fake_share(i, i - 1 or None, i))
        assert forest.height(2000) == 2000
        assert forest.work(2000) == 2000 * 2001 // 2
        assert forest.nth_parent(2000, 1999).hash == 1
        assert forest.nth_parent(2000, 2000) is None
        assert forest.is_ancestor(3, 1999)
        assert not forest.is_ancestor(1999, 3)
        with pytest.raises(ValueError, match="already"):
            forest.add(fake_share(5, 4))


def naive_weights(forest: Forest, start, max_shares, max_weight):
    """Straight from the share-chain format."""
    weights: dict = {}
    total = donation = 0
    for share in forest.ancestors(start, max_shares):
        if total == max_weight:
            break
        attempts = share.attempts
        if total + attempts * WEIGHT_UNIT > max_weight:
            attempts = (max_weight - total) // WEIGHT_UNIT
            total = max_weight
        else:
            total += attempts * WEIGHT_UNIT
        weights[share.script] = weights.get(share.script, 0) + attempts * (WEIGHT_UNIT - share.donation)
        donation += attempts * share.donation
    return {script: w for script, w in weights.items() if w}, total, donation


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.integers(1, 120))
def test_sliding_weights_equal_the_naive_sum(seed, questions):
    rng = random.Random(seed)
    forest = Forest()
    windows = WeightWindows(forest)
    top = 0
    for _ in range(questions):
        for _ in range(rng.choice([0, 1, 1, 1, 3, 30])):
            top += 1
            previous = max(1, top - 1 - rng.choice([0, 0, 0, 0, 1, 2, 9])) if top > 1 else None
            if previous is not None and previous not in forest:
                previous = None
            donation = rng.choice([0, 655, 32768, WEIGHT_UNIT])
            forest.add(
                fake_share(top, previous, rng.choice([1, 3, 100]), donation, rng.choice([b"a", b"b", b"c"]))
            )
        removable = [h for h in forest.nodes if forest.can_remove(h)]
        if rng.random() < 0.2 and removable:
            forest.remove(rng.choice(removable))
        if not forest.nodes:
            continue
        start = rng.choice(list(forest.heads)) if rng.random() < 0.7 else rng.choice(list(forest.nodes))
        limit = rng.choice([0, 1, 5, 40, 1000]), WEIGHT_UNIT * rng.choice([0, 1, 2, 7, 150, 10**6])
        got = windows.weights(start, *limit)
        assert (dict(got.by_script), got.total, got.donation) == naive_weights(forest, start, *limit)
    got = windows.weights(None, 10, 10)
    assert (dict(got.by_script), got.total, got.donation) == ({}, 0, 0)


# --- what it costs ---------------------------------------------------------------------------------------


@needs_interpreted("p2pool.sharechain.forest")
def test_a_distant_ancestor_is_found_in_strides_once_they_are_known(monkeypatch):
    steps: list[int] = []
    climb = forest_module._climb
    monkeypatch.setattr(forest_module, "_climb", lambda node, count: steps.append(count) or climb(node, count))
    forest = Forest()
    for number in range(1, 1001):
        forest.add(fake_share(number, number - 1 or None))
    costs = []
    for distance in (64 * 15 + 7, 64 * 15 + 7, 64, 63):
        assert forest.nth_parent(1000, distance).hash == 1000 - distance
        costs.append(sum(steps))
        steps.clear()
    assert costs == [64 * 15 + 7, 7, 0, 63]
    for number in range(1, 800):
        forest.remove(number)
    assert forest.nth_parent(1000, 150).hash == 850
    assert sum(steps) == 150 - 128


@pytest.mark.parametrize(("below", "above"), [(500, 9), (9, 500), (9, 9)])
def test_of_two_trees_that_join_the_smaller_one_is_moved(below, above):
    forest = Forest()
    for number in (*range(1, below + 1), *range(below + 2, below + 2 + above)):
        forest.add(fake_share(number, number - 1 or None))
    lower, upper = forest.nodes[1].tree, forest.nodes[below + 2].tree
    forest.add(fake_share(below + 1, below))
    assert forest.nodes[below + 1].tree is (upper if above > below + 1 else lower)
    assert forest.height(below + 1 + above) == below + 1 + above


class WatchedShare(SimpleNamespace):
    """A share that can be referred to weakly."""


def test_a_chain_needs_no_garbage_collection_and_is_freed_without_it():
    """It is long, and lives for a day: to visit it would hold up miners again and again."""
    shares = [WatchedShare(**vars(fake_share(number, number - 1))) for number in range(1, 20_001)]
    order = [*shares[:50], *shares[100:200], *shares[50:100], *shares[200:]]
    gc.collect()
    gc.disable()
    try:
        forest = Forest()
        before = len(gc.get_objects())
        for share in order:
            forest.add(share)
        assert forest.height(20_000) == 20_000
        forest.nth_parent(20_000, 10_000)
        gc.collect(0)
        # Dictionaries and trees; a chain that entries refer to upwards would have two objects for each share.
        assert len(gc.get_objects()) - before < 100
        entry, last = forest.nodes[20_000], weakref.ref(shares[7])
        assert not gc.is_tracked(entry)
        del forest, shares, order, share
        assert entry.parent is not None
        assert last() is not None
        del entry
        assert last() is None
    finally:
        gc.enable()
