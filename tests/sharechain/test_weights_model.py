"""Sliding PPLNS windows against the naive sum, however the questions jump and the forest changes between them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.share.weights import WEIGHT_UNIT
from p2pool.sharechain import weights as weights_module
from p2pool.sharechain.forest import Forest
from p2pool.sharechain.weights import WeightWindows
from tests.sharechain.judged import FakeShare
from tests.support import needs_interpreted

Answer = tuple[dict[bytes, int], int, int]


def naive(forest: Forest, start: int | None, max_shares: int, max_weight: int) -> Answer:
    """Share by share, from the share-chain format."""
    by_script: dict[bytes, int] = {}
    total = donation = 0
    while start is not None and (share := forest.get(start)) is not None and max_shares > 0 and total < max_weight:
        work = share.attempts
        if total + 65535 * work > max_weight:
            work, total = (max_weight - total) // 65535, max_weight
        else:
            total += 65535 * work
        by_script[share.script] = by_script.get(share.script, 0) + work * (65535 - share.donation)
        donation += work * share.donation
        start, max_shares = share.previous_hash, max_shares - 1
    return {script: weight for script, weight in by_script.items() if weight}, total, donation


def asked(windows: WeightWindows, start: int | None, max_shares: int, max_weight: int) -> Answer:
    weights = windows.weights(start, max_shares, max_weight)
    return dict(weights.by_script), weights.total, weights.donation


def random_share(rng: random.Random, number: int, previous: int | None) -> FakeShare:
    return FakeShare(
        number,
        previous,
        attempts=rng.choice([1, 2, 3, 50]),
        donation=rng.choice([0, 1, 655, 65534, 65535]),
        script=rng.choice([b"a", b"b", b"c"]),
    )


def random_forest(rng: random.Random, count: int, forking: float) -> Forest:
    forest = Forest()
    for number in range(1, count + 1):
        previous: int | None = number - 1 or None
        if number > 1 and rng.random() < forking:
            previous = rng.randrange(max(1, number - 40), number)
        forest.add(random_share(rng, number, previous))
    return forest


def random_limit(rng: random.Random) -> int:
    """On borders between shares (multiples of the unit), beside them, and beyond all."""
    return max(0, WEIGHT_UNIT * rng.choice([0, 1, 2, 5, 50, 333, 10**9]) + rng.choice([-1, 0, 0, 0, 1, 30_000]))


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from([3, 20, 150]), st.sampled_from([0, 0.05, 0.5]))
def test_the_order_of_questions_does_not_matter(seed, count, forking):
    rng = random.Random(seed)
    forest = random_forest(rng, count, forking)
    questions = [
        (rng.randrange(1, count + 1), rng.choice([0, 1, 2, 7, 40, 1000]), random_limit(rng)) for _ in range(60)
    ]
    expected = {question: naive(forest, *question) for question in questions}
    for _ in range(2):
        windows = WeightWindows(forest)
        rng.shuffle(questions)
        for question in questions:
            assert asked(windows, *question) == expected[question]


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_shares_that_go_at_both_ends_and_come_again_between_the_questions(seed):
    """Only here may a hash stand for other amounts when it comes again: so that a window which still counts the
    share that went is seen at once."""
    rng = random.Random(seed)
    forest = random_forest(rng, 120, 0.1)
    windows = WeightWindows(forest)
    gone: list[FakeShare] = []
    for _ in range(60):
        for _ in range(rng.choice([0, 1, 1, 20])):
            ends = [share_hash for share_hash in forest.nodes if forest.can_remove(share_hash)]
            if ends:
                gone.append(forest.remove(rng.choice(ends)))
        for _ in range(rng.choice([0, 0, 1, 15])):
            if gone:
                back = gone.pop(rng.randrange(len(gone)))
                forest.add(random_share(rng, back.hash, back.previous_hash))
        if not forest.nodes:
            break
        for _ in range(rng.randrange(4)):
            start = rng.choice([*forest.heads, *forest.nodes, 500, None])
            question = start, rng.choice([1, 10, 50, 1000]), random_limit(rng)
            assert asked(windows, *question) == naive(forest, *question)


@settings(max_examples=30)
@given(st.integers(0, 2**32))
def test_trees_that_join_below_a_window(seed):
    """Shares arrive from the newest down, or in two pieces: the coordinates of a window's shares move."""
    rng = random.Random(seed)
    shares = [random_share(rng, number, number - 1 or None) for number in range(1, 81)]
    lower, upper = shares[:40], shares[40:][::-1]
    order = [(lower if not upper or (lower and rng.random() < 0.5) else upper).pop(0) for _ in range(80)]
    forest = Forest()
    windows = WeightWindows(forest)
    for share in order:
        forest.add(share)
        for start in (rng.choice(sorted(forest.nodes)), max(forest.nodes)):
            question = start, rng.choice([5, 60, 1000]), random_limit(rng)
            assert asked(windows, *question) == naive(forest, *question)


@pytest.mark.parametrize("jump", [1, 2, 511, 512, 513, 900])
def test_jumps_along_a_long_chain(jump):
    """Near ones slide a window, far ones begin another."""
    rng = random.Random(jump)
    forest = random_forest(rng, 1500, 0)
    windows = WeightWindows(forest)
    place = 1200
    for step in (0, -jump, jump, jump // 2, -jump, 1, -jump // 2):
        place = max(1, min(1500, place + step))
        question = place, 600, 10**15
        assert asked(windows, *question) == naive(forest, *question)


def test_more_forks_than_windows_in_turns():
    rng = random.Random(1)
    forest = random_forest(rng, 100, 0)
    for number in range(700):
        forest.add(random_share(rng, 1000 + number, 60 + number if number < 7 else 1000 + number - 7))
    windows = WeightWindows(forest)
    for question in range(400):
        start = 1000 + question + rng.choice([0, 0, 0, 7, -7])
        if start in forest:
            assert asked(windows, start, 50, 10**15) == naive(forest, start, 50, 10**15)
    assert len(windows._windows) <= 4


def test_windows_are_bounded_where_chains_have_nothing_in_common():
    forest = Forest()
    for number in range(40):
        forest.add(FakeShare(number + 1, 1000 + number, attempts=number + 1))
    windows = WeightWindows(forest)
    for _ in range(2):
        for start in forest.nodes:
            assert asked(windows, start, 5, 10**9) == naive(forest, start, 5, 10**9)
            assert len(windows._windows) <= 4


# --- what a question costs -------------------------------------------------------------------------------


class Counted:
    """Windows over a forest, and how many shares are counted in or out for a question of 50 shares."""

    def __init__(self, forest: Forest, monkeypatch: pytest.MonkeyPatch) -> None:
        self.windows = WeightWindows(forest)
        self.steps = 0
        whole = weights_module._Window.count

        def count(window, node, sign: int) -> None:
            self.steps += 1
            whole(window, node, sign)

        monkeypatch.setattr(weights_module._Window, "count", count)

    def cost(self, start: int) -> int:
        before = self.steps
        assert self.windows.weights(start, 50, 10**15).total
        return self.steps - before


def long_chain(count: int, first: int = 1, below: int | None = None) -> Forest:
    forest = Forest()
    for number in range(first, first + count):
        forest.add(FakeShare(number, below))
        below = number
    return forest


@needs_interpreted("p2pool.sharechain.weights")
def test_the_next_share_of_a_chain_costs_two_steps(monkeypatch):
    counted = Counted(long_chain(200), monkeypatch)
    assert counted.cost(100) == 50
    assert [counted.cost(start) for start in range(101, 120)] == [2] * 19
    assert counted.cost(119) == 0
    assert counted.cost(129) == 20
    assert counted.cost(128) == 2


@needs_interpreted("p2pool.sharechain.weights")
def test_a_fork_costs_the_shares_in_which_it_differs(monkeypatch):
    forest = long_chain(100)
    for number in range(1000, 1003):
        forest.add(FakeShare(number, 90 if number == 1000 else number - 1))
    counted = Counted(forest, monkeypatch)
    assert counted.cost(93) == 50
    assert counted.cost(1002) == 6
    assert counted.cost(93) == 6
    assert counted.cost(1000) == 3 + 1 + 2  # three shares less, another one, and two that follow


@needs_interpreted("p2pool.sharechain.weights")
def test_a_window_that_is_far_away_is_not_moved(monkeypatch):
    counted = Counted(long_chain(3000), monkeypatch)
    assert counted.cost(1000) == 50
    assert counted.cost(1511) == 511 + 511
    assert counted.cost(1511 + 512) == 50


@needs_interpreted("p2pool.sharechain.weights")
def test_the_nearest_window_is_moved(monkeypatch):
    counted = Counted(long_chain(3000), monkeypatch)
    assert [counted.cost(start) for start in (1600, 1000)] == [50, 50]
    assert counted.cost(1590) == 10 + 10
    assert counted.cost(1010) == 10 + 10
    assert counted.cost(1450) == 50 + 50  # all of the one from 1590, and another 50: not 440 steps up from 1010


@needs_interpreted("p2pool.sharechain.weights")
def test_four_places_keep_a_window_and_the_one_used_longest_ago_goes(monkeypatch):
    counted = Counted(long_chain(9000), monkeypatch)
    assert [counted.cost(start) for start in (1000, 2000, 3000, 4000)] == [50] * 4
    assert [counted.cost(start) for start in (2001, 1001, 4001, 3001)] == [2] * 4
    assert counted.cost(5000) == 50
    assert [counted.cost(start) for start in (1002, 3002, 4002, 5001)] == [2] * 4
    assert counted.cost(2002) == 50
    assert [counted.cost(start) for start in (5002, 4003, 3003)] == [2] * 3
    assert counted.cost(1003) == 50


@needs_interpreted("p2pool.sharechain.weights")
def test_chains_that_have_nothing_in_common_have_a_window_each(monkeypatch):
    forest = long_chain(200)
    for number in range(1000, 1200):
        forest.add(FakeShare(number, number - 1))
    counted = Counted(forest, monkeypatch)
    assert counted.cost(100) == 50
    assert counted.cost(1100) == 50
    assert [counted.cost(start) for start in (101, 1101, 1102, 102)] == [2] * 4


@needs_interpreted("p2pool.sharechain.weights")
def test_shares_that_went_leave_a_window_that_can_be_moved(monkeypatch):
    forest = long_chain(100)
    counted = Counted(forest, monkeypatch)
    assert counted.cost(100) == 50
    for share_hash in (*range(1, 61), 100, 99):
        forest.remove(share_hash)
    assert counted.cost(98) == 2 + 10
    forest.add(FakeShare(200, 98))
    assert counted.cost(200) == 1


# --- the limits, one by one ------------------------------------------------------------------------------


def three() -> Forest:
    """Newest first: 5 attempts for a, all of 3 attempts to the donation, 2 for b with a part to the donation."""
    forest = Forest()
    forest.add(FakeShare(1, None, attempts=2, script=b"b", donation=655))
    forest.add(FakeShare(2, 1, attempts=3, script=b"a", donation=65535))
    forest.add(FakeShare(3, 2, attempts=5, script=b"a"))
    return forest


UNIT = 65535
A = 5 * UNIT


@pytest.mark.parametrize(
    ("max_shares", "max_weight", "by_script", "total", "donation"),
    [
        (0, 10**9, {}, 0, 0),
        (3, 0, {}, 0, 0),
        (1, 10**9, {b"a": A}, A, 0),
        (2, 10**9, {b"a": A}, 8 * UNIT, 3 * UNIT),
        (3, 10**9, {b"a": A, b"b": 2 * (UNIT - 655)}, 10 * UNIT, 3 * UNIT + 2 * 655),
        (9, 10 * UNIT, {b"a": A, b"b": 2 * (UNIT - 655)}, 10 * UNIT, 3 * UNIT + 2 * 655),
        # 9 attempts: the oldest counts for one of its two
        (9, 9 * UNIT, {b"a": A, b"b": UNIT - 655}, 9 * UNIT, 3 * UNIT + 655),
        (9, 10 * UNIT - 1, {b"a": A, b"b": UNIT - 655}, 10 * UNIT - 1, 3 * UNIT + 655),
        # the total is the limit though no whole attempt fits any more
        (9, 8 * UNIT + 1, {b"a": A}, 8 * UNIT + 1, 3 * UNIT),
        (9, 8 * UNIT, {b"a": A}, 8 * UNIT, 3 * UNIT),
        # a part of a share that gives everything to the donation
        (9, 6 * UNIT, {b"a": A}, 6 * UNIT, UNIT),
        (9, A, {b"a": A}, A, 0),
        # already the newest share does not fit
        (9, 4 * UNIT, {b"a": 4 * UNIT}, 4 * UNIT, 0),
        (9, UNIT - 1, {}, UNIT - 1, 0),
        # the share that would cross the limit is beyond the count
        (1, A + 1, {b"a": A}, A, 0),
        (2, 8 * UNIT + 1, {b"a": A}, 8 * UNIT, 3 * UNIT),
    ],
)
def test_limits(max_shares, max_weight, by_script, total, donation):
    forest = three()
    question = 3, max_shares, max_weight
    assert naive(forest, *question) == (by_script, total, donation)
    windows = WeightWindows(forest)
    assert asked(windows, *question) == (by_script, total, donation)
    asked(windows, 1, 5, 10**9)
    asked(windows, 3, 2, 10**9)
    assert asked(windows, *question) == (by_script, total, donation)
