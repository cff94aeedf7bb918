"""The forest against a naive model: chains that grow and shrink at both ends, in pieces that join and part."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.sharechain.forest import Forest
from tests.sharechain.judged import FakeShare

DISTANCES = (0, 1, 2, 5, 63, 64, 65, 127, 128, 129, 200)
"""Around the links over 64 shares, which must never lead to a share that is gone."""


class Model:
    """The same answers by walking."""

    def __init__(self) -> None:
        self.shares: dict[int, FakeShare] = {}

    def chain(self, share_hash: int | None) -> list[FakeShare]:
        chain = []
        while share_hash in self.shares:
            chain.append(self.shares[share_hash])
            share_hash = chain[-1].previous_hash
        return chain

    def heads(self) -> set[int]:
        return set(self.shares) - {share.previous_hash for share in self.shares.values()}

    def trees(self) -> dict[int | None, tuple[int, set[int]]]:
        """By tail: (how many shares, the lowest ones of them)."""
        sizes: dict[int | None, int] = defaultdict(int)
        roots: dict[int | None, set[int]] = defaultdict(set)
        for share_hash in self.shares:
            lowest = self.chain(share_hash)[-1]
            sizes[lowest.previous_hash] += 1
            roots[lowest.previous_hash].add(lowest.hash)
        return {tail: (size, roots[tail]) for tail, size in sizes.items()}

    def can_remove(self, share: FakeShare) -> bool:
        return share.previous_hash not in self.shares or share.hash in self.heads()


def assert_whole(forest: Forest, model: Model) -> None:
    assert set(forest.nodes) == set(model.shares)
    assert len(forest) == len(model.shares)
    assert set(forest.heads) == model.heads()
    assert {tail: (tree.size, set(tree.roots)) for tail, tree in forest.trees.items()} == model.trees()
    for share_hash, node in forest.nodes.items():
        parent = model.shares.get(node.share.previous_hash)
        assert (node.parent.share if node.parent else None) is parent
        children = {h for h, share in model.shares.items() if share.previous_hash == share_hash}
        assert set(node.children) == children
        assert not node.removed


def assert_share(forest: Forest, model: Model, share_hash: int) -> None:
    chain = model.chain(share_hash)
    assert forest.get(share_hash) is model.shares[share_hash]
    assert share_hash in forest
    assert forest.height(share_hash) == len(chain)
    assert forest.work(share_hash) == sum(share.attempts for share in chain)
    assert forest.tail(share_hash) == chain[-1].previous_hash
    assert forest.is_rooted(share_hash) == (chain[-1].previous_hash is None)
    for n in {*DISTANCES, len(chain) - 1, len(chain)}:
        assert forest.nth_parent(share_hash, n) is (chain[n] if n < len(chain) else None)
        assert list(forest.ancestors(share_hash, n)) == chain[:n]
        assert forest.work_over(share_hash, n) == sum(share.attempts for share in chain[:n])
        assert forest.minimum_work(share_hash, n) == sum(share.minimum_attempts for share in chain[:n])


def assert_ancestry(forest: Forest, model: Model, one: int, other: int) -> None:
    expected = model.shares.get(one) in model.chain(other) if one in model.shares else False
    assert forest.is_ancestor(one, other) is expected


def shares_with_forks(rng: random.Random, count: int, forking: float, holes: float) -> list[FakeShare]:
    shares = []
    for number in range(1, count + 1):
        previous: int | None = number - 1 or None
        if number > 1 and rng.random() < forking:
            previous = rng.randrange(max(1, number - 70), number)
        if rng.random() < holes:
            previous = rng.choice([None, 5000 + number % 3])
        shares.append(FakeShare(number, previous, attempts=rng.randrange(1, 100)))
    return shares


@settings(max_examples=100)
@given(
    st.integers(0, 2**32),
    st.sampled_from([4, 30, 150, 260]),
    st.sampled_from([0, 0.03, 0.3]),
    st.sampled_from([0, 0.01, 0.1]),
)
def test_growing_and_shrinking(seed, count, forking, holes):
    """Shares come in order, backwards or at random, go from either end, and may come again."""
    rng = random.Random(seed)
    waiting = shares_with_forks(rng, count, forking, holes)
    rng.choice([lambda items: None, list.reverse, rng.shuffle])(waiting)
    forest, model = Forest(), Model()
    everything = [share.hash for share in waiting]
    steps, removing = 0, rng.choice([0, 0.02, 0.1])
    while waiting and steps < 2 * count:
        steps += 1
        share = waiting.pop(0)
        forest.add(share)
        model.shares[share.hash] = share
        if rng.random() < removing:
            waiting += remove_some(rng, forest, model)
        for share_hash in islice(everything, rng.randrange(len(everything)), None, 97):
            if share_hash in model.shares:
                assert_share(forest, model, share_hash)
                assert_ancestry(forest, model, rng.choice(everything), share_hash)
        if steps % 50 == 0:
            assert_whole(forest, model)
    assert_whole(forest, model)
    remove_all(rng, forest, model)


def remove_some(rng: random.Random, forest: Forest, model: Model) -> list[FakeShare]:
    """Take a few shares off one end of a chain, or try to take one from the middle; some of them to come again."""
    gone = []
    share_hash = rng.choice(list(model.shares))
    chain = model.chain(share_hash)
    end = rng.choice([chain[-1], model.shares[rng.choice(list(model.heads()))], chain[0]])
    for _ in range(rng.choice([1, 1, 3, 80])):
        assert forest.can_remove(end.hash) == model.can_remove(end)
        if not model.can_remove(end):
            with pytest.raises(ValueError, match="middle"):
                forest.remove(end.hash)
            break
        children = [s for s in model.shares.values() if s.previous_hash == end.hash]
        assert forest.remove(end.hash) is model.shares.pop(end.hash)
        gone.append(end)
        if children and end.previous_hash not in model.shares:
            end = rng.choice(children)  # up from the lower end
        elif end.previous_hash in model.shares:
            end = model.shares[end.previous_hash]  # down from the upper one
        else:
            break
    return rng.sample(gone, rng.randrange(len(gone) + 1))


def remove_all(rng: random.Random, forest: Forest, model: Model) -> None:
    while model.shares:
        ends = [share_hash for share_hash in model.shares if forest.can_remove(share_hash)]
        for share_hash in rng.sample(ends, min(len(ends), 40)):
            if model.can_remove(model.shares[share_hash]):
                forest.remove(share_hash)
                del model.shares[share_hash]
        assert set(forest.heads) == model.heads()
    assert_whole(forest, model)
    assert forest.trees == {}


def test_what_is_not_held():
    forest = Forest()
    forest.add(FakeShare(2, 1))
    assert forest.get(1) is forest.nth_parent(1, 0) is None
    assert list(forest.ancestors(1, 5)) == list(forest.ancestors(None, 5)) == []
    assert not forest.is_ancestor(1, 2)
    assert not forest.is_ancestor(2, 1)
    for question in (forest.height, forest.work, forest.tail, forest.is_rooted, forest.can_remove, forest.remove):
        with pytest.raises(KeyError):
            question(1)


def test_chains_beside_one_another_are_no_ancestors():
    """Of the same tail, but different lowest shares; and of the same depth."""
    forest = Forest()
    for share_hash, previous in ((1, None), (2, 1), (3, 2), (11, None), (12, 11), (22, 1), (23, 22)):
        forest.add(FakeShare(share_hash, previous))
    pairs = {(a, b) for a in forest.nodes for b in forest.nodes if forest.is_ancestor(a, b)}
    lines = [(1, 2, 3), (1, 22, 23), (11, 12)]
    assert pairs == {(a, b) for line in lines for i, a in enumerate(line) for b in line[i:]}


def test_a_link_over_64_shares_does_not_lead_to_a_share_that_went_and_came_again():
    forest = Forest()
    shares = [FakeShare(number, number - 1 or None) for number in range(1, 131)]
    for share in shares:
        forest.add(share)
    assert forest.nth_parent(130, 128) is shares[1]
    for share in shares[:10]:
        forest.remove(share.hash)
    assert forest.nth_parent(130, 119) is shares[10]
    assert forest.nth_parent(130, 120) is None
    again = [FakeShare(number, number - 1 or None, attempts=7) for number in range(1, 11)]
    for share in reversed(again):
        forest.add(share)
    assert forest.nth_parent(130, 128) is again[1]
    assert forest.nth_parent(130, 129) is again[0]
    assert forest.work(130) == 120 + 70
