"""Forgetting: the old end, dead forks, and what leads nowhere; each at its exact bound and one before."""

from __future__ import annotations

import random

import pytest

from p2pool.sharechain import pruning
from p2pool.sharechain.pruning import PRUNED_AT_ONCE, prune
from tests.sharechain.judged import NOW, FakeShare, JudgedTracker

LENGTH = 16
LONGEST = 2 * LENGTH + 10


def pruned(tracker: JudgedTracker, now: float = NOW) -> list[int]:
    """Think, prune, and say what went, in its order."""
    return [share.hash for share in prune(tracker, tracker.thought(now), now)]


# --- the old end of the chain ----------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "gone"), [(LONGEST, []), (LONGEST + 1, [1]), (LONGEST + 5, [1, 2, 3, 4, 5])])
def test_shares_are_forgotten_more_than_two_chain_lengths_and_10_back(count, gone):
    tracker = JudgedTracker(LENGTH)
    chain = tracker.trusted(count)
    assert pruned(tracker) == gone
    assert set(tracker.forest.nodes) == set(tracker.verified.nodes) == set(chain) - set(gone)
    assert pruned(tracker) == []


def test_a_fork_at_the_forgotten_end_becomes_a_tree_of_its_own():
    """The length counts below the best share, not below the fork beside it, and both go on standing."""
    tracker = JudgedTracker(LENGTH)
    tracker.trusted(LONGEST)
    tracker.trusted(LONGEST - 1, first=101, below=1)
    tracker.trusted(1, first=201, below=LONGEST)
    assert pruned(tracker) == [1]
    assert tracker.height(201) == LONGEST
    assert {tree.tail for tree in tracker.forest.trees.values()} == {1}


def test_the_length_of_a_chain_without_the_best_share_counts_below_its_lowest_head():
    tracker = JudgedTracker(LENGTH)
    tracker.trusted(3)
    thought = tracker.thought()
    long = tracker.chain(LONGEST + 4, first=100, below=99)
    tracker.chain(1, first=200, below=long[-4])  # two lower than the other head
    assert [share.hash for share in prune(tracker, thought, NOW)] == [100, 101]
    assert (tracker.height(200), tracker.height(long[-1])) == (LONGEST, LONGEST + 2)


def test_a_long_pause_is_made_up_for_in_several_runs():
    tracker = JudgedTracker(LENGTH)
    count = LONGEST + PRUNED_AT_ONCE + 7
    tracker.trust_stored(tracker.chain(count))
    assert pruned(tracker) == list(range(1, PRUNED_AT_ONCE + 1))
    assert pruned(tracker) == list(range(PRUNED_AT_ONCE + 1, PRUNED_AT_ONCE + 8))
    assert pruned(tracker) == []


# --- dead forks ------------------------------------------------------------------------------------------


def forked(fork_height: int) -> JudgedTracker:
    """A chain of 40, and share 100 beside it at this height."""
    tracker = JudgedTracker(LENGTH)
    tracker.trusted(40)
    tracker.trusted(1, first=100, below=fork_height - 1)
    return tracker


@pytest.mark.parametrize(("age", "gone"), [(0, []), (300, []), (300.5, [100])])
def test_a_dead_fork_goes_after_300_seconds(age, gone):
    assert pruned(forked(11), NOW + age) == gone


@pytest.mark.parametrize(("height", "gone"), [(40 - LENGTH, [100]), (40 - LENGTH + 1, [])])
def test_a_fork_is_dead_a_chain_length_below_the_best_share(height, gone):
    assert pruned(forked(height), NOW + 1000) == gone


def test_an_old_orphan_among_the_best_heads_does_not_block_forgetting():
    """Where there are only few heads, one from the far end is among the best: it goes all the same, and the end
    that it stands on."""
    tracker = JudgedTracker(LENGTH)
    tracker.trusted(LONGEST + 20)
    tracker.trusted(1, first=100, below=4)
    assert [score.share_hash for score in tracker.thought().heads] == [100, LONGEST + 20]
    removed = pruned(tracker, NOW + 301)
    assert removed[0] == 100
    assert len(tracker) == len(tracker.verified) == LONGEST


def test_a_fork_goes_from_its_head_down_to_a_share_that_came_lately():
    tracker = forked(5)
    late = NOW + 200
    for share_hash, seen in ((101, late), (102, NOW), (103, NOW)):
        tracker.add(FakeShare(share_hash, share_hash - 1), seen)
    tracker.thought()
    assert pruned(tracker, NOW + 400) == [103, 102]
    assert pruned(tracker, late + 301) == [101, 100]
    assert len(tracker) == 40


def test_a_fork_goes_down_to_where_it_leaves_another():
    tracker = forked(5)
    tracker.chain(2, first=101, below=100)
    tracker.chain(1, first=200, below=101, seen=NOW + 200)
    assert pruned(tracker, NOW + 400) == [102]
    assert pruned(tracker, NOW + 501) == [200, 101, 100]


def test_the_five_best_heads_stay_however_old():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(20)
    for number in range(8):  # the later one is seen, the worse
        tracker.chain(1, first=100 + number, below=20, seen=NOW + number)
    assert sorted(pruned(tracker, NOW + 1000)) == [105, 106, 107]


def test_first_shares_on_which_nothing_can_be_built_stay_as_heads_do():
    """There is no best share then."""
    tracker = JudgedTracker(LENGTH)
    for number in range(1, 8):
        tracker.add(FakeShare(number, None, timestamp=2**32 - 1), NOW + number)
    assert tracker.thought().best is None
    assert sorted(pruned(tracker, NOW + 1000)) == [6, 7]


def test_dead_forks_go_in_several_runs(monkeypatch):
    monkeypatch.setattr(pruning, "PRUNED_AT_ONCE", 10)
    tracker = JudgedTracker(LENGTH)
    tracker.trusted(40)
    tracker.trusted(7, first=100, below=10)
    tracker.trusted(8, first=200, below=11)
    gone = [pruned(tracker, NOW + 1000) for _ in range(3)]
    assert [len(each) for each in gone] == [10, 5, 0]
    assert set(gone[0] + gone[1]) == {*range(100, 107), *range(200, 208)}


def test_the_best_share_stays_though_its_only_child_is_passed_over():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(20)
    tracker.chain(1, first=100, below=20, timestamp=2**32 - 1)
    assert tracker.thought().best == 20
    assert pruned(tracker, NOW + 1000) == []


# --- what is still being fetched -------------------------------------------------------------------------


def growing() -> JudgedTracker:
    """A chain, and beside it the top of an unverified one: its head came first, its lower end 290 s later."""
    tracker = JudgedTracker(LENGTH)
    tracker.chain(3)
    tracker.add(FakeShare(102, 101), NOW)
    tracker.add(FakeShare(101, 100), NOW + 290)
    return tracker


def test_an_unverified_chain_that_grows_downwards_is_spared():
    assert pruned(growing(), NOW + 290 + 120) == []
    assert pruned(growing(), NOW + 290 + 120.5) == [102]
    assert pruned(growing(), NOW + 290 + 301) == [102, 101]


def test_what_grows_on_top_does_not_count():
    tracker = growing()
    tracker.add(FakeShare(103, 102), NOW + 410)
    assert pruned(tracker, NOW + 711) == [103, 102, 101]


def test_what_grows_on_top_of_a_fork_does_not_spare_the_others():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(3)
    tracker.chain(2, first=101, below=100)
    tracker.chain(1, first=200, below=101, seen=NOW + 250)
    assert pruned(tracker, NOW + 310) == [102]


def test_a_verified_fork_is_not_spared_because_its_tree_grew():
    """All verified, over a missing parent that just came."""
    tracker = JudgedTracker(LENGTH)
    tracker.trust_stored(tracker.chain(40, first=2, below=1))
    tracker.chain(1, first=100, below=5)
    tracker.trust(100)
    tracker.add(FakeShare(1, 0), NOW + 400)
    assert pruned(tracker, NOW + 400) == [100]


# --- more than can be held -------------------------------------------------------------------------------


def test_at_most_200_unverified_heads():
    tracker = JudgedTracker(100)
    tracker.chain(3)
    for number in range(200):
        tracker.add(FakeShare(1000 + number, 5000 + number, attempts=2 + number), NOW)
    assert pruned(tracker) == []
    tracker.add(FakeShare(2000, 6000, attempts=1), NOW)
    tracker.add(FakeShare(2001, 6001, attempts=10**6), NOW)
    assert pruned(tracker) == [2000, 1000]  # least work first
    assert {1, 2, 3, 2001} < set(tracker.forest.nodes)


def test_at_most_five_chain_lengths_of_unverified_shares():
    tracker = JudgedTracker(LENGTH)
    verified = tracker.trusted(30)
    for number in range(8):
        tracker.chain(10, first=1000 * (number + 1), below=999_000 + number)
    assert pruned(tracker) == []
    weak = tracker.chain(4, first=9000, below=999_999)
    assert pruned(tracker) == weak[::-1]  # the chain with least work, from its head
    assert len(tracker) - len(tracker.verified) == 5 * LENGTH
    assert set(verified) <= set(tracker.forest.nodes)


def test_at_most_256_megabytes_of_unverified_shares():
    quarter = bytes(pruning.MAX_UNVERIFIED_BYTES // 4)  # one object for all: nothing is really filled
    assert pruning.MAX_UNVERIFIED_BYTES == 256 * 2**20
    tracker = JudgedTracker(LENGTH)
    tracker.chain(3, contents=quarter)
    for number in range(4):
        tracker.add(FakeShare(100 + number, 200 + number, attempts=9 - number, contents=quarter), NOW)
    assert pruned(tracker) == []
    tracker.add(FakeShare(104, 204, attempts=99, contents=b"1"), NOW)
    assert pruned(tracker) == [103]
    assert tracker.unverified_bytes == 3 * len(quarter) + 1


def test_the_chain_with_least_work_goes_whichever_end_it_grew_at(monkeypatch):
    monkeypatch.setattr(pruning, "MAX_UNVERIFIED_HEADS", 2)
    tracker = JudgedTracker(LENGTH)
    tracker.chain(3)
    thought = tracker.thought()
    tracker.add(FakeShare(102, 101, attempts=5), NOW)  # downwards: 10 attempts
    tracker.add(FakeShare(101, 100, attempts=5), NOW)
    tracker.add(FakeShare(201, 200, attempts=5), NOW)  # upwards: 9
    tracker.add(FakeShare(202, 201, attempts=4), NOW)
    tracker.add(FakeShare(301, 300, attempts=8), NOW)
    assert [share.hash for share in prune(tracker, thought, NOW)] == [301]
    tracker.add(FakeShare(401, 400, attempts=11), NOW)
    assert [share.hash for share in prune(tracker, thought, NOW)] == [202, 201]


def test_what_cannot_be_held_goes_though_it_grows_and_came_just_now():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(5 * LENGTH + 1, first=100, below=99)
    tracker.invalid = set(range(100, 1000))
    thought = tracker.thought()
    tracker.chain(5 * LENGTH + 1, first=2000, below=1999)
    prune(tracker, thought, NOW)
    assert len(tracker) <= 5 * LENGTH


def test_an_unverified_top_of_a_verified_chain_goes_no_deeper_than_that():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(10)
    thought = tracker.thought()
    tracker.chain(5 * LENGTH + 6, first=100, below=10)
    removed = [share.hash for share in prune(tracker, thought, NOW)]
    assert removed == list(range(185, 99, -1))
    assert set(tracker.forest.nodes) == set(range(1, 11))


def test_bytes_of_unverified_shares_are_counted_right_through_anything():
    rng = random.Random(5)
    tracker = JudgedTracker(LENGTH)
    now = NOW
    for number in range(1, 400):
        previous = rng.choice([None, number - 1, number - 1, number - 1, 10_000 + number, max(1, number - 9)])
        tracker.add(FakeShare(number, previous, contents=bytes(rng.randrange(50, 900))), now)
        if rng.random() < 0.15:
            tracker.invalid.add(number)
        if rng.random() < 0.1:
            now += rng.choice([1, 100, 400])
            pruned(tracker, now)
        unverified = [n.share for h, n in tracker.forest.nodes.items() if h not in tracker.verified]
        assert tracker.unverified_bytes == sum(len(share.contents) for share in unverified)
        assert set(tracker.verified.nodes) <= set(tracker.forest.nodes)
