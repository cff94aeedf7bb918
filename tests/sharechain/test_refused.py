"""Branches that this node rejects: what is held and asked for, how their work is counted, what they cost."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest

from p2pool.node import Node, NodeSettings
from p2pool.pool_stats import PoolStats
from p2pool.share.errors import Reason
from p2pool.sharechain.refused import (
    AHEAD,
    DROPPED_AT_ONCE,
    LIVE,
    MAX_BRANCHES,
    MAX_HARDER,
    MAX_SOFTWARE,
    MAX_WEIGHT,
    OTHERS,
    STEP,
    UNIT,
    WINDOW,
    RefusalCause,
    RefusedShareSent,
)
from tests.environment import PostponingReactor, make_environment
from tests.logged import logged
from tests.sharechain.judged import NOW, FakeShare, JudgedTracker

WORK = 100
BAD = 9000
"""The hash of the first refused share, in most tests; what stands on it follows."""
PEER = "203.0.113.9:8999"


@dataclass(frozen=True, slots=True, eq=False)
class Heard(FakeShare):
    """A share that carries what the chain asks for, on a header of the moment."""

    attempts: int = WORK
    header_timestamp: float = NOW
    absheight: int = 1

    @property
    def minimum_attempts(self) -> int:
        return WORK


class Listener:
    """A node without templates over a tracker that knows the verdicts; it has `ours` verified shares."""

    def __init__(self, ours: int = 30, chain_length: int = 16) -> None:
        self.now = NOW
        self.soon: list = []
        self.tracker = JudgedTracker(chain_length)
        self.tracker.invalid.add(BAD)
        self.node = Node(
            make_environment(PostponingReactor(self.soon.append), clock=lambda: self.now),
            self.tracker.network,
            tracker=self.tracker,
            settings=NodeSettings(lambda: None, 0.0, 655),
            stats=PoolStats(NOW),
        )
        self.refusals: list[RefusedShareSent] = []
        self.removed: list[int] = []
        self.node.share_refused.subscribe(self.refusals.append)
        self.node.thought.subscribe(lambda thought: self.removed.extend(share.hash for share in thought.removed))
        self.node.refused.software_of = {PEER: "c2pool"}.get
        below = None
        for number in range(1, ours + 1):
            self.tracker.add(Heard(number, below, header_timestamp=NOW - 2 * WINDOW), NOW)
            self.tracker.trust(number)
            below = number
        if ours:
            self.node.loaded()
        self.tip = below

    def hear(self, *shares: FakeShare, sender: str | None = PEER, requested: bool = False) -> int:
        """They come together, and are thought about."""
        added = self.node.add_shares(shares, sender, requested=requested)
        self.run()
        return added

    def run(self) -> None:
        while self.soon:
            calls, self.soon[:] = list(self.soon), []
            for call in calls:
                call()

    def later(self, share_hash: int, below: int | None, seconds: float = 20.0, **fields: object) -> Heard:
        """A share that is made so much later."""
        self.now += seconds
        return Heard(share_hash, below, **{"header_timestamp": self.now} | fields)

    def branch(self, count: int, first: int = BAD, below: int | None = None, **fields: object) -> list[Heard]:
        """Shares on each other, the first of which is refused by default."""
        below = self.tip if below is None else below
        shares = []
        for number in range(first, first + count):
            shares.append(Heard(number, below, **fields))
            below = number
        return shares

    @property
    def figures(self):
        return self.node.refused.figures(self.now)

    def work(self) -> tuple[int, int]:
        """(accepted, refused), in shares of the usual work."""
        return round(self.figures.accepted / WORK), round(self.figures.refused / WORK)


@pytest.fixture
def listener() -> Listener:
    return Listener()


# --- what is held and followed ---------------------------------------------------------------------------


def test_what_stands_on_a_refused_share_is_refused_with_it_and_asked_for_no_more(listener):
    first, *others = listener.branch(4)
    with logged() as log:
        listener.hear(first)
        for share in others:
            assert listener.hear(share) == 0
    assert [line for line in log.lines if "rejected" in line] == [
        f"share {first.hash:064x} from {PEER} rejected: generation transaction does not pay what the chain says"
    ]
    assert not any(share.hash in listener.tracker for share in (first, *others))
    assert all(share.hash in listener.node.refused for share in (first, *others))
    assert listener.tracker.checked == [BAD]
    assert (listener.node.wanted, listener.node.best_share) == ([], listener.tip)
    [branch] = listener.figures.branches
    assert (branch.first_share, branch.reason, branch.shares) == (BAD, Reason.GENTX.value, 4)
    assert branch.software == {"c2pool": 4}


def test_a_refused_share_that_comes_with_what_stands_on_it_goes_with_it(listener):
    """Alone, those above would be verified: a share is checked against what its parents claim."""
    listener.hear(*listener.branch(5))
    assert len(listener.tracker) == 30
    assert listener.removed
    assert set(listener.removed) == set(range(BAD, BAD + 5))
    assert (listener.node.best_share, listener.node.wanted) == (listener.tip, [])
    assert listener.work() == (0, 5)  # four of which were taken for valid before
    assert listener.hear(Heard(BAD + 5, BAD + 4)) == 0


def test_a_branch_longer_than_our_young_chain_is_not_followed():
    listener = Listener(ours=5)
    best = []
    listener.node.best_changed.subscribe(best.append)
    listener.hear(*listener.branch(12))
    assert (best, listener.node.best_share) == ([], listener.tip)
    assert listener.figures.problem is not None


def test_a_branch_with_more_shares_than_the_chain_is_judged_as_the_format_says():
    """Every node that follows the format takes it once it has a chain's length of verified shares; a node that
    did not would stay alone for ever."""
    listener, alone = Listener(ours=40), JudgedTracker()
    alone.invalid.add(BAD)
    alone.trusted(40)
    branch = listener.branch(80, attempts=2 * WORK)
    held = []
    for share in branch[:40]:
        listener.now += 20.0
        listener.hear(replace(share, header_timestamp=listener.now))
        held.append(share.hash in listener.tracker)
        alone.add(share, NOW)
    assert held == [False] * 17 + [True] * 23  # the first share, and so many as the chain is long
    assert listener.node.wanted == [branch[16].hash]
    assert (listener.node.best_share, listener.figures.is_majority) == (listener.tip, True)
    listener.hear(*reversed(branch[:17]), requested=True)  # as an answer, with the refused share at its end
    assert BAD not in listener.tracker
    assert listener.node.wanted == []
    for share in branch[40:]:
        listener.hear(share)
        alone.add(share, NOW)
        assert listener.node.best_share == alone.thought().best
    assert listener.node.best_share == branch[-1].hash
    assert listener.figures.problem is None
    assert listener.hear(Heard(BAD, 40), requested=True) == 0
    assert listener.node.best_share == branch[-1].hash


def test_a_branch_that_is_followed_no_longer_counts_as_refused():
    listener = Listener(ours=40)
    branch = listener.branch(60, attempts=2 * WORK)
    listener.hear(branch[0])
    listener.hear(*branch[1:])
    listener.hear(*branch[1:], requested=True)
    assert listener.node.best_share == branch[-1].hash
    assert (listener.figures.refused, listener.figures.branches) == (0, ())


def test_a_refused_share_deeper_than_the_chain_is_long_does_not_hold_back_a_node_that_was_away():
    listener = Listener(ours=40)
    branch = listener.branch(20, attempts=2 * WORK)
    listener.hear(*branch, requested=True)
    assert listener.node.best_share == branch[-1].hash
    assert (listener.figures.problem, listener.node.wanted) == (None, [])
    listener.hear(Heard(BAD + 900, BAD + 1))  # a fork so low that the refused share is checked
    assert BAD in listener.tracker.checked
    assert listener.node.best_share == branch[-1].hash


def test_parts_of_a_refused_branch_that_come_first_go_when_their_parent_is_known(listener):
    first, second, third = listener.branch(3)
    listener.hear(first)
    assert listener.hear(third) == 1
    assert listener.node.wanted == [second.hash]
    assert listener.hear(second, requested=True) == 0
    assert third.hash not in listener.tracker
    assert listener.removed[-1] == third.hash
    listener.run()
    assert listener.node.wanted == []
    assert listener.work() == (0, 3)


def test_a_long_branch_goes_in_portions():
    listener = Listener(ours=3000, chain_length=3000)
    shares = listener.branch(2 * DROPPED_AT_ONCE + 500)
    listener.node.add_shares(shares, PEER, requested=True)
    removed = []
    while listener.soon:
        before = len(listener.tracker)
        calls, listener.soon[:] = list(listener.soon), []
        for call in calls:
            call()
        removed.append(before - len(listener.tracker))
    assert [count for count in removed if count] == [DROPPED_AT_ONCE, DROPPED_AT_ONCE, 500]
    assert len(listener.tracker) == 3000
    assert len(listener.removed) == len(set(listener.removed)) == 2 * DROPPED_AT_ONCE + 500
    assert listener.work() == (0, len(shares))  # most of which were taken for valid at first


def test_a_long_part_of_a_refused_branch_goes_in_portions_when_its_parent_is_known():
    listener = Listener(ours=20, chain_length=3000)
    first, second, *others = listener.branch(DROPPED_AT_ONCE + 502)
    listener.hear(first)
    listener.hear(*others)
    assert len(listener.tracker) == 20 + len(others)
    listener.node.add_shares([second], PEER, requested=True)
    assert len(listener.tracker) == 20 + 500
    listener.run()
    assert len(listener.tracker) == 20
    assert len(listener.removed) == len(set(listener.removed)) == 1 + len(others)


def test_a_new_node_stands_where_the_network_does_though_a_share_below_is_refused():
    """Nothing else is there: without a verified share below it a refused one is only where verifying ends."""
    listener = Listener(ours=0, chain_length=4)
    listener.tracker.invalid = {13}
    listener.hear(*listener.branch(15, first=1, below=777))
    assert listener.node.best_share == 15
    assert len(listener.tracker) == 15
    listener.hear(Heard(16, 15))
    assert listener.node.best_share == 16
    assert listener.figures.refused == WORK  # the one share; what is followed is not refused
    assert not listener.figures.is_majority


def test_a_branch_whose_best_share_goes_is_left_at_once():
    """The parent that it hung from turns out to stand on a refused share."""
    listener = Listener(ours=0, chain_length=4)
    listener.hear(*listener.branch(9, first=101, below=100))
    assert listener.node.best_share == 109
    listener.node.refused._refused[99] = RefusalCause(99, "wrong")
    listener.hear(Heard(100, 99), requested=True)
    assert (listener.node.best_share, len(listener.tracker)) == (None, 0)


def test_two_refused_branches_longer_than_a_young_chain_go_one_after_the_other():
    """Their checks take more than one run. What the second one refused was the best share of the same run."""
    listener = Listener(ours=20, chain_length=3000)
    listener.tracker.invalid.add(2 * BAD)
    listener.hear(*listener.branch(100), *listener.branch(140, first=2 * BAD))
    check_consistency(listener)
    assert (listener.node.best_share, len(listener.tracker)) == (listener.tip, 20)
    assert len(listener.removed) == 240


@pytest.mark.parametrize("is_first", [True, False])
def test_a_new_node_leaves_a_refused_branch_once_the_chain_below_it_is_verified(is_first):
    """It hears of both branches at once, and may check the refused share before what is below."""
    listener = Listener(ours=0, chain_length=600)
    old = {"header_timestamp": NOW - 2 * WINDOW}
    ours, theirs = listener.branch(1400, first=1, below=777_777, **old), listener.branch(100, below=1200, **old)
    listener.hear(*(theirs[::-1] + ours[::-1] if is_first else ours[::-1] + theirs[::-1]), requested=True)
    assert listener.node.best_share == 1400
    assert BAD not in listener.tracker
    assert BAD in listener.node.refused
    for number in range(5):
        listener.hear(listener.later(BAD + 100 + number, BAD + 99 + number))
    assert listener.work() == (0, 5)
    assert listener.figures.is_majority


def test_what_stands_on_a_held_refused_share_counts_as_refused_however_old_that_is():
    """There is nothing verified below it, so it stays; the best share is elsewhere."""
    listener = Listener(ours=40)
    listener.hear(Heard(BAD, 555, header_timestamp=NOW - 2 * WINDOW))
    branch = listener.branch(30, first=BAD + 1, below=BAD, header_timestamp=NOW - 2 * WINDOW, attempts=1)
    listener.tracker.invalid.add(BAD + 20)
    listener.hear(*branch, requested=True)
    assert (listener.node.best_share, BAD + 20 in listener.tracker) == (listener.tip, True)
    for number in range(3):
        listener.hear(listener.later(BAD + 31 + number, BAD + 30 + number))
    assert listener.work() == (0, 3)
    assert listener.figures.branches[0].first_share == BAD + 20


def test_what_is_valid_is_held_and_followed_as_before(listener):
    listener.hear(Heard(BAD, listener.tip))
    good = listener.branch(3, first=500)
    assert listener.hear(*good) == 3
    assert listener.node.best_share == good[-1].hash
    assert listener.work() == (3, 1)


# --- counting --------------------------------------------------------------------------------------------


def test_each_share_counts_once_however_often_it_is_sent(listener):
    shares = [*listener.branch(2), *listener.branch(2, first=500)]
    for sender in (PEER, "1.2.3.4:5", PEER):
        for share in shares:
            listener.hear(share, sender=sender)
    assert listener.work() == (2, 2)
    assert listener.figures.branches[0].shares == 2


@pytest.mark.parametrize(
    ("age", "counts"), [(0, 2), (WINDOW, 2), (WINDOW + 1, 0), (-AHEAD, 2), (-AHEAD - 1, 0), (10**9, 0)]
)
def test_replays_of_old_shares_count_for_nothing(listener, age, counts):
    listener.hear(Heard(500, listener.tip, header_timestamp=NOW - age))
    for share in listener.branch(2, header_timestamp=NOW - age):
        listener.hear(share)
    assert listener.work() == (counts // 2, counts)
    assert [branch.shares for branch in listener.figures.branches] == [2] * (counts > 0)


def test_what_was_downloaded_counts_when_it_was_made(listener):
    """Or a small branch that is fetched at once would look like all of the network."""
    listener.hear(Heard(BAD, listener.tip, header_timestamp=NOW - LIVE - 1))
    [branch] = listener.figures.branches
    assert branch.since == NOW - LIVE - 1
    for number, age in ((500, LIVE), (501, 0)):
        listener.hear(Heard(number, listener.tip, header_timestamp=NOW - age))
    assert listener.node.refused._counted[500].place == NOW // STEP


def test_cheap_shares_count_by_their_small_work_and_hard_ones_by_no_more_than_the_chain_allows(listener):
    listener.hear(Heard(BAD, listener.tip, attempts=1))
    assert listener.figures.refused == 1
    listener.hear(Heard(BAD + 1, BAD, attempts=10**9))
    assert listener.figures.refused == 1 + MAX_HARDER * WORK


def test_an_hour_later_nothing_is_left(listener):
    listener.hear(*listener.branch(2), Heard(500, listener.tip))
    listener.now += WINDOW
    assert listener.work() == (1, 2)
    listener.now += 2 * STEP
    assert listener.work() == (0, 0)
    assert listener.figures.branches == ()
    assert listener.node.refused._buckets == {}


def test_what_was_verified_in_an_earlier_run_counts_as_heard():
    listener = Listener(ours=0)
    for number in range(1, 6):
        listener.tracker.add(Heard(number, number - 1 or None, header_timestamp=NOW - 100 * number), NOW - 60)
        listener.tracker.trust(number)
    listener.node.loaded()
    assert listener.work() == (5, 0)


# --- what the operator hears -----------------------------------------------------------------------------


def minute_of_majority(listener: Listener, before: int = 180) -> None:
    """An hour of the network's shares, then a refused one on which three of four shares are built."""
    below = listener.tip
    for number in range(500, 500 + before):
        listener.hear(listener.later(number, below))
        below = number
    listener.tip = below
    on = below
    for number, is_bad in enumerate((True, True, False)):
        if is_bad:
            listener.hear(listener.later(BAD + number, on))
            on = BAD + number
        else:
            listener.hear(listener.later(800, below))


def test_the_operator_is_notified_within_a_minute_of_the_majority_going_elsewhere(listener):
    minute_of_majority(listener)
    figures = listener.figures
    assert figures.is_majority
    assert figures.part == pytest.approx(2 / 181, abs=0.002)  # of the hour: that alone would take half an hour
    assert figures.part_since == pytest.approx(2 / 3)
    assert figures.problem == (
        "1% of the work received in the last hour, and 67% of the work since 2023-11-14 23:13:40 UTC, is on "
        "shares that this node rejects: generation transaction does not pay what the chain says; the first one "
        f"is {BAD:064x}, sent by c2pool. Miners on this node stay on the branch that this node accepts: see "
        "Rejected branches in docs/operators.md"
    )


def test_one_refused_share_is_no_branch_of_the_network(listener):
    listener.hear(Heard(BAD, listener.tip))
    assert listener.figures.part == 1.0
    assert listener.figures.problem is None


def test_a_branch_with_less_than_half_of_the_work_since_it_began_is_no_majority(listener):
    listener.hear(*listener.branch(2))
    listener.hear(*listener.branch(2, first=500))
    assert listener.figures.part_since == 0.5
    assert listener.figures.problem is None


def test_many_cheap_shares_are_no_majority():
    listener = Listener(chain_length=300)
    listener.hear(*listener.branch(1, first=500))
    for share in listener.branch(WORK - 1, attempts=1):
        listener.hear(share)
    assert listener.figures.branches[0].shares == WORK - 1
    assert not listener.figures.is_majority


def test_two_cheap_shares_are_no_majority_of_a_moment_without_others(listener):
    """They would raise the alarm whenever somebody likes, since their branch began with them."""
    for share in listener.branch(2, attempts=WORK // 2 - 1):
        listener.hear(share)
    assert listener.figures.part_since == 1.0
    assert listener.figures.problem is None
    listener.hear(Heard(BAD + 2, BAD + 1, attempts=2))
    assert listener.figures.problem is not None


def test_it_is_over_when_the_network_comes_back(listener):
    minute_of_majority(listener)
    below = listener.tip
    for number in range(801, 804):
        listener.hear(listener.later(number, below))
        below = number
    assert listener.figures.problem is None


def test_an_old_branch_is_judged_by_the_last_hour():
    listener = Listener(chain_length=300)
    below = on = listener.tip
    for number in range(200):
        if number < 60:
            listener.hear(listener.later(BAD + number, on))
            on = BAD + number
        else:
            listener.hear(listener.later(500 + number, below))
            below = 500 + number
    [branch] = listener.figures.branches
    assert branch.since < listener.now - WINDOW
    assert listener.figures.part == listener.figures.part_since == pytest.approx(40 / 180, abs=0.01)


def test_a_branch_on_which_nothing_was_built_for_an_hour_is_forgotten_but_stays_refused(listener):
    listener.hear(*listener.branch(2))
    listener.now += WINDOW + STEP
    assert listener.figures.branches == ()
    listener.hear(listener.later(BAD + 2, BAD + 1))
    [branch] = listener.figures.branches
    assert (branch.first_share, branch.since, branch.shares) == (BAD, listener.now, 1)


# --- bounds ----------------------------------------------------------------------------------------------


def test_the_branches_with_most_work_are_distinguished(listener):
    """A flood of cheap ones does not hide the one that matters."""
    numbers = [BAD + 10 * number for number in range(MAX_BRANCHES + 8)]
    listener.tracker.invalid.update(numbers)
    for number in numbers:
        listener.hear(Heard(number, listener.tip, attempts=WORK if number == BAD else 1))
    assert len(listener.figures.branches) == MAX_BRANCHES
    assert listener.figures.branches[0].first_share == BAD
    assert listener.figures.refused == WORK + len(numbers) - 1
    [bucket] = listener.node.refused._buckets.values()
    assert bucket.refused[OTHERS] == 8
    listener.hear(Heard(BAD + 5000, listener.tip, attempts=WORK))
    listener.tracker.invalid.add(BAD + 6000)
    listener.hear(Heard(BAD + 6000, listener.tip, attempts=WORK))
    assert [branch.first_share for branch in listener.figures.branches[:2]] == [BAD, BAD + 6000]
    assert len(bucket.refused) <= MAX_BRANCHES + 1


def test_names_of_software_are_bounded():
    listener = Listener(chain_length=300)
    listener.node.refused.software_of = lambda label: label
    for number, share in enumerate(listener.branch(MAX_SOFTWARE + 4)):
        listener.hear(share, sender=f"software {number}")
    [branch] = listener.figures.branches
    assert f"sent by other, software 0, software 1 and {MAX_SOFTWARE - 2} others." in listener.figures.problem
    assert len(branch.software) == MAX_SOFTWARE + 1
    assert branch.software["other"] == 4


# --- what it costs its sender ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempts", "requested", "cost"),
    [
        (WORK, False, UNIT),
        (WORK // 2 + 1, False, UNIT),
        (WORK // 2, False, 2 * UNIT),
        (1, False, MAX_WEIGHT * UNIT),
        (100 * WORK, False, UNIT),
        (WORK, True, 0),
        (WORK // 2, True, 2 * UNIT),
        (1, True, MAX_WEIGHT * UNIT),
    ],
)
def test_a_refused_share_costs_by_its_work(listener, attempts, requested, cost):
    listener.hear(Heard(BAD, listener.tip, attempts=attempts), requested=requested)
    listener.hear(Heard(BAD + 1, BAD, attempts=attempts), requested=requested)
    assert listener.refusals == [RefusedShareSent(PEER, cost)] * 2


def test_large_ones_cost_more(listener):
    listener.hear(Heard(BAD, listener.tip, contents=bytes(160_000)))
    assert listener.refusals == [RefusedShareSent(PEER, UNIT + 10)]


def test_without_a_best_share_nothing_is_cheap():
    listener = Listener(ours=0)
    for requested in (False, True):
        listener.tracker.invalid.add(BAD + requested)
        listener.hear(Heard(BAD + requested, None, attempts=1), requested=requested)
    assert listener.refusals == [RefusedShareSent(PEER, UNIT), RefusedShareSent(PEER, 1)]


def test_what_went_with_a_refused_share_costs_nothing_and_ours_neither(listener):
    listener.hear(*listener.branch(3))
    assert listener.refusals == [RefusedShareSent(PEER, UNIT)]
    listener.tracker.invalid.add(BAD + 50)
    listener.hear(Heard(BAD + 50, listener.tip), sender=None)
    assert len(listener.refusals) == 1
    assert listener.figures.branches[-1].software == {"this node": 1}


# --- whatever comes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_any_shares_in_any_order(seed, monkeypatch):
    """Nothing stands on a refused share, nothing refused is asked for, and each share counts once at most."""
    rng = random.Random(seed)
    monkeypatch.setattr("p2pool.node.node._CHECKS_AT_ONCE", (1, 3, 150)[seed % 3])
    listener = Listener(ours=rng.choice([0, 6, 40]), chain_length=rng.choice([4, 16]))
    shares = []
    for number in range(1000, 1000 + rng.randrange(5, 80)):
        below = rng.choice([number - 1, number - 1, number - 1, rng.randrange(990, number), listener.tip])
        shares.append(Heard(number, below if below is None or below >= 1000 else listener.tip))
    listener.tracker.invalid = {share.hash for share in shares if rng.random() < rng.choice([0, 0.1, 0.4])}
    rng.shuffle(shares)
    with logged() as log:
        while shares:
            part = [shares.pop() for _ in range(min(len(shares), rng.randrange(1, 9)))]
            listener.hear(*part, *rng.choices(part, k=2), requested=rng.random() < 0.5)
            check_consistency(listener)
    assert log.tracebacks == []


def check_consistency(listener: Listener) -> None:
    node, tracker = listener.node, listener.tracker
    hanging = [tail for tail in tracker.forest.trees if tail in node.refused]
    assert all(tail in node.refused._released for tail in hanging)
    assert not any(share_hash in node.refused for share_hash in (*tracker.forest.nodes, *node.wanted))
    assert node.best_share is None or node.best_share in tracker
    assert set(tracker.verified.nodes) <= set(tracker.forest.nodes)
    counted = node.refused._counted.values()
    assert listener.figures.accepted == sum(each.work for each in counted if each.root is None)
    assert listener.figures.refused == sum(each.work for each in counted if each.root is not None)
