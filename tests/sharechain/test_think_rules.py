"""The tracker where think.json is silent: hostile shares, refusals met again, missing parents, stored shares."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.parent_context import MAX_TIMESTAMP
from p2pool.sharechain import tracker as tracker_module
from p2pool.sharechain.tracker import Arrival, HeadScore, Thought, Tracker
from tests.share.builder import EASY, share_of, valid_draft
from tests.sharechain.judged import NOW, FakeShare, JudgedTracker

LENGTH = 16
DAY = 24 * 3600

# --- refused shares --------------------------------------------------------------------------------------


def test_invalid_heads_over_one_invalid_trunk_are_checked_and_reported_once_each():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(3)
    trunk = tracker.chain(4, first=10, below=3)
    heads = [tracker.chain(1, first=100 + number, below=13)[0] for number in range(10)]
    tracker.invalid = {*trunk, *heads}
    thought = tracker.thought()
    assert sorted(tracker.checked) == sorted([1, 2, 3, *trunk, *heads])
    assert sorted(share.hash for share, _ in thought.refused) == sorted([*trunk, *heads])
    assert all(error.reason is Reason.GENTX for _, error in thought.refused)  # type: ignore[attr-defined]
    assert sorted(share.hash for share in thought.removed) == sorted([*trunk, *heads])
    assert thought.best == 3


def test_a_refused_share_that_stays_is_not_checked_again():
    """It carries a valid one, so it must be kept; new heads on it cost nothing but themselves."""
    tracker = JudgedTracker(LENGTH)
    tracker.chain(6)
    tracker.chain(1, first=99, below=2)
    tracker.invalid = {2, 99}
    tracker.thought()
    assert 2 in tracker
    assert 2 not in tracker.verified
    for number in range(100, 105):
        tracker.checked.clear()
        tracker.invalid.add(number)
        tracker.chain(1, first=number, below=2)
        thought = tracker.thought(max_checks=1)
        assert not thought.unfinished
        assert tracker.checked == [number]
        assert [share.hash for share, _ in thought.refused] == [number]


def test_an_internal_error_that_a_share_finds_ends_no_thinking():
    class Broken(JudgedTracker):
        def check(self, share):
            if share.hash == 4:
                raise ZeroDivisionError
            return super().check(share)

    tracker = Broken(LENGTH)
    tracker.chain(4)
    thought = tracker.thought()
    assert thought.best == 3
    [(share, error)] = thought.refused
    assert (share.hash, type(error)) == (4, ZeroDivisionError)


def test_who_sent_the_refused_is_named_and_we_are_not():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(2)
    for share_hash, sender in ((10, "a"), (11, None), (12, "b")):
        tracker.add(FakeShare(share_hash, 2), NOW, sender)
    tracker.invalid = {10, 11}
    assert tracker.thought().bad_senders == {"a"}


def test_what_is_built_on_an_invalid_first_share_goes_to_the_last_branch():
    """The first share goes as soon as one of its branches has gone, and is met again on each of the others."""
    tracker = JudgedTracker(LENGTH)
    tracker.add(FakeShare(1, None), NOW, "first")
    for share_hash in range(10, 14):
        tracker.add(FakeShare(share_hash, 1), NOW, f"peer {share_hash}")
    tracker.invalid = {1, *range(10, 14)}
    thought = tracker.thought()
    assert len(tracker) == 0
    assert sorted(share.hash for share in thought.removed) == [1, 10, 11, 12, 13]
    assert thought.bad_senders == {"first", "peer 10", "peer 11", "peer 12", "peer 13"}


def test_nothing_is_kept_of_a_share_that_is_removed():
    tracker = NamingTracker(LENGTH)
    tracker.chain(2)
    tracker.chain(1, first=3, below=2, new_transaction_hashes=(7,), transaction_hash_refs=((0, 0),))
    assert tracker.thought_with({7: 3_000_000}).best == 2
    assert set(tracker._punishments) == {3}
    tracker.remove(3)
    assert not tracker._punishments
    with pytest.raises(KeyError):
        tracker.arrival(3)


@pytest.mark.parametrize(
    ("size", "refs", "verified"),
    [(0, 0, 12), (15_999, 149, 12), (16_000, 0, 6), (0, 150, 6), (32_000, 300, 3), (0, 450, 3), (200_000, 0, 1)],
)
def test_a_run_checks_fewer_shares_if_they_are_large(size, refs, verified):
    tracker = JudgedTracker(LENGTH)
    tracker.chain(16, contents=bytes(size), transaction_hash_refs=((1, 0),) * refs)
    assert len(tracker.thought(max_checks=12).verified) == verified


def test_a_share_that_comes_again_changes_nothing():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(2)
    share = FakeShare(3, 2)
    assert tracker.add(share, NOW, "a", live=True) is True
    before = tracker.arrival(3), tracker.unverified_bytes, tracker.height(3)
    assert tracker.add(share, NOW + 9, "b", requested=True) is False
    assert (tracker.arrival(3), tracker.unverified_bytes, tracker.height(3)) == before
    tracker.trust(3)
    tracker.trust(3)
    assert tracker.unverified_bytes == 2 * len(share.contents)


@pytest.mark.parametrize("count", [1, LENGTH - 1, LENGTH])
def test_what_cannot_be_checked_yet_is_neither_refused_nor_checked(count):
    tracker = JudgedTracker(LENGTH)
    for number in range(count):
        tracker.add(FakeShare(10 + number, 9 + number), NOW, "a")
    thought = tracker.thought()
    assert (tracker.checked, thought.refused, thought.removed) == ([], [], [])
    assert thought.bad_senders == set()
    assert (thought.best, thought.wanted) == (None, [9])
    with pytest.raises(ShareInvalid) as caught:
        tracker.check(tracker.get(9 + count))
    assert caught.value.reason is Reason.NOT_CHECKABLE


def test_one_more_can_be_checked():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(LENGTH + 1, first=10, below=9)
    assert tracker.thought().best == 10 + LENGTH
    assert tracker.checked == [10 + LENGTH]


def test_a_share_that_was_not_checkable_is_judged_when_its_parents_have_come():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(3, first=10, below=9)
    with pytest.raises(ShareInvalid):
        tracker.check(tracker.get(12))
    assert tracker.thought().best is None
    tracker.add(FakeShare(9, None), NOW)
    assert tracker.thought().best == 12


def test_what_could_not_be_checked_is_judged_when_it_comes_again():
    class Early(JudgedTracker):
        early = True

        def check(self, share):
            if share.hash == 3 and self.early:
                raise ShareInvalid(Reason.NOT_CHECKABLE)
            return super().check(share)

    tracker = Early(LENGTH)
    tracker.chain(3)
    assert tracker.thought().best == 2
    tracker.early = False
    tracker.chain(1, first=3, below=2)
    assert tracker.thought().best == 3


# --- real shares that reach for what is gone -------------------------------------------------------------


def first_share_with_two_children() -> tuple[Tracker, list[int]]:
    """An invalid first share, which announces a transaction; a valid share that names it there; an invalid one."""
    tracker = Tracker(EASY)
    root = share_of(replace(valid_draft(tracker, None, [7]), absheight=5))
    tracker.add(root, NOW, "root")
    good = valid_draft(tracker, root.hash, [7])
    assert good.refs == ((1, 0),)
    shares = [share_of(good), share_of(replace(good, absheight=99))]
    for share, sender in zip(shares, ("good", "bad"), strict=True):
        tracker.add(share, NOW, sender)
    return tracker, [root.hash, *(share.hash for share in shares)]


def test_transactions_that_only_a_removed_share_announced():
    """The invalid first share goes, because nothing lies below it; the valid one stays and is scored, though
    nobody can say any more which transactions it names."""
    tracker, (root, good, bad) = first_share_with_two_children()
    for _ in range(3):
        thought = tracker.think(NOW, block_height=lambda block: -1, transaction_size=lambda transaction: 3_000_000)
        assert thought.best == good
    assert list(tracker.forest.nodes) == [good]
    assert root not in tracker
    assert bad not in tracker


def test_an_invalid_first_share_with_two_invalid_children():
    tracker, hashes = first_share_with_two_children()
    child = share_of(replace(valid_draft(tracker, hashes[0]), abswork=1))
    tracker.add(child, NOW, "third")
    tracker.remove(hashes[1])
    thought = tracker.think(NOW, block_height=lambda block: -1, transaction_size=lambda transaction: None)
    assert thought.best is None
    assert len(tracker) == 0
    assert thought.bad_senders == {"root", "bad", "third"}


def test_who_names_transactions_that_are_gone_is_not_preferred():
    tracker, (root, good, _) = first_share_with_two_children()
    other = share_of(valid_draft(tracker, root, pubkey_hash=b"\x22" * 20))
    tracker.add(other, NOW - 5, "other")
    for _ in range(2):
        thought = tracker.think(NOW, block_height=lambda block: -1, transaction_size=lambda transaction: None)
        assert [score.share_hash for score in thought.heads] == [good, other.hash]
    assert root not in tracker


# --- heads that are passed over --------------------------------------------------------------------------


@pytest.mark.parametrize(("timestamp", "best"), [(MAX_TIMESTAMP - 1, 5), (MAX_TIMESTAMP, 4)])
def test_a_share_that_can_have_no_successor_is_passed_over(timestamp, best):
    tracker = JudgedTracker(LENGTH)
    tracker.chain(4)
    tracker.chain(1, first=5, below=4, timestamp=timestamp)
    assert tracker.thought().best == best


def test_not_even_a_block_can_have_a_successor_after_the_last_timestamp():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(4)
    tracker.chain(1, first=5, below=4, timestamp=MAX_TIMESTAMP, is_block=True)
    assert tracker.thought().best == 4


def test_a_first_share_at_the_last_timestamp_leaves_nothing_to_build_on():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(1, timestamp=MAX_TIMESTAMP)
    assert tracker.thought().best is None


class NamingTracker(JudgedTracker):
    """Counts nothing; its shares name transactions."""

    def thought_with(self, sizes: dict[int, int]):
        return self.think(NOW, block_height=lambda block: -1, transaction_size=sizes.get)


@pytest.mark.parametrize(("size", "best"), [(1_000_000, 2), (1_000_001, 1)])
def test_more_than_two_million_bytes_are_too_many(size, best):
    tracker = NamingTracker(LENGTH)
    tracker.chain(1)
    tracker.chain(1, first=2, below=1, new_transaction_hashes=(7, 8), transaction_hash_refs=((0, 0), (0, 1)))
    assert tracker.thought_with({7: size, 8: 1_000_000}).best == best


def test_transactions_that_come_to_be_known_are_asked_for_again():
    tracker = NamingTracker(LENGTH)
    tracker.chain(1)
    refs = {"new_transaction_hashes": (7, 8), "transaction_hash_refs": ((0, 0), (0, 1), (0, 1))}
    tracker.chain(1, first=2, below=1, **refs)
    assert tracker.thought_with({7: 1}).best == 2
    assert tracker.thought_with({8: 2_000_000}).best == 2
    assert tracker.thought_with({7: 1, 8: 1_000_000}).best == 1  # the repeated one counts twice
    assert tracker.thought_with({}).best == 1  # settled


# --- missing parents -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ages", [(DAY + 1, DAY), (DAY, DAY + 1), (DAY, DAY + 5, DAY + 1), (9 * DAY, 0)])
def test_the_newest_timestamp_of_all_heads_over_one_missing_parent_counts(ages):
    tracker = JudgedTracker(LENGTH)
    for number, age in enumerate(ages):
        tracker.add(FakeShare(10 + number, 9, timestamp=int(NOW) - age), NOW)
    assert tracker.thought().wanted == [9]


def test_a_missing_parent_under_old_heads_only_is_not_wanted():
    tracker = JudgedTracker(LENGTH)
    for number in range(3):
        tracker.add(FakeShare(10 + number, 9, timestamp=int(NOW) - DAY - 1 - number), NOW)
    assert tracker.thought().wanted == []


@pytest.mark.parametrize(("below", "wanted"), [(4, [9]), (5, [])])
def test_the_newest_of_the_five_shares_at_the_head_counts(below, wanted):
    tracker = JudgedTracker(LENGTH)
    old, times = int(NOW) - 9 * DAY, [int(NOW)] + [0] * below
    for number, time in enumerate(times):
        tracker.add(FakeShare(10 + number, 9 + number, timestamp=time or old), NOW)
    assert tracker.thought().wanted == wanted


@pytest.mark.parametrize(
    ("clock", "age", "wanted"),
    [(0, 3600, [9]), (0, 3601, []), (-100, 3700, [9]), (-100, 3701, []), (500, 3601, [])],
)
def test_with_a_best_share_an_hour_before_it_or_our_clock(clock, age, wanted):
    tracker = JudgedTracker(LENGTH)
    tracker.chain(3, first=100)
    tracker.add(FakeShare(10, 9, timestamp=int(NOW) - age), NOW)
    assert tracker.thought(NOW + clock).wanted == wanted


def test_parents_are_wanted_until_a_chain_length_is_verified():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(2 * LENGTH + 1, first=10, below=9)
    first, second = tracker.thought(), tracker.thought()
    assert len(tracker.verified) == LENGTH
    assert (first.wanted, second.wanted) == ([9], [])


def test_no_parents_are_wanted_by_a_run_that_may_check_nothing():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(LENGTH + 5, first=10, below=9)
    thought = tracker.thought(max_checks=0)
    assert (thought.unfinished, thought.wanted, tracker.checked) == (True, [], [])


# --- which tail ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [16, 31, 240])
def test_a_tail_is_scored_by_the_blocks_of_the_oldest_sixteenth(length):
    tracker, asked = JudgedTracker(length), []
    for number in range(1, length + 2):
        tracker.add(FakeShare(number, number - 1 or None, previous_block=1000 + number), NOW)
        tracker.trust(number)
    score = tracker.score_tail(None, lambda block: asked.append(block) or -9)
    oldest = length + 1 - length * 15 // 16
    assert asked == [1000 + number for number in range(oldest, oldest - length // 16, -1)]
    assert (score.height, score.rate) == (length, (length * 15 // 16) / (10 * tracker.network.parent.block_period))


def test_what_two_runs_come_to_is_taken_together():
    def thought(number: int, unfinished: bool) -> Thought:
        share = FakeShare(number, None)
        return Thought(
            best=number,
            wanted=[number],
            bad_senders={f"peer {number}"},
            removed=[share],
            refused=[(share, ShareInvalid(Reason.GENTX))],
            arrivals={number: Arrival(NOW, None)},
            verified=[share],
            heads=[HeadScore(0, 0, 0, 0, number)],
            unfinished=unfinished,
        )

    for one, other in ((True, False), (False, True), (False, False)):
        both = thought(1, one)
        both.follow(thought(2, other))
        assert (both.best, both.wanted, both.heads[0].share_hash) == (2, [2], 2)
        assert both.bad_senders == {"peer 1", "peer 2"}
        assert [share.hash for share in both.removed] == [share.hash for share in both.verified] == [1, 2]
        assert [share.hash for share, _ in both.refused] == list(both.arrivals) == [1, 2]
        assert both.unfinished is (one or other)


# --- shares from the store -------------------------------------------------------------------------------


def stored(count: int, hole: int) -> JudgedTracker:
    """A rooted chain that misses one share, all of it verified in its time."""
    tracker = JudgedTracker(LENGTH)
    for number in range(1, count + 1):
        if number != hole:
            tracker.add(FakeShare(number, number - 1 or None), NOW)
    tracker.trust_stored(list(tracker.forest.nodes))
    return tracker


def test_nothing_that_cannot_be_checked_is_trusted_above_a_hole():
    tracker = stored(10 + LENGTH, hole=10)
    assert set(tracker.verified.nodes) == set(range(1, 10))
    assert tracker.thought().best == 9


def test_stored_shares_are_trusted_in_steps(monkeypatch):
    """Shares may be forgotten between two steps."""
    monkeypatch.setattr(tracker_module, "_TRUSTED_AT_ONCE", 10)
    tracker = JudgedTracker(LENGTH)
    for number in range(1, 36):
        tracker.add(FakeShare(number, number - 1 or None), NOW)
    steps = tracker.trusting_stored(list(tracker.forest.nodes))
    counts = []
    for _ in steps:
        counts.append(len(tracker.verified))
        if len(counts) == 2:
            tracker.remove(35)
    assert counts == [10, 20, 30]
    assert set(tracker.verified.nodes) == set(range(1, 35))


def test_above_a_hole_a_chain_is_trusted_that_could_be_checked_by_itself():
    tracker = stored(10 + LENGTH + 1, hole=10)
    assert set(tracker.verified.nodes) == set(range(1, 11 + LENGTH + 1)) - {10}
    assert tracker.thought().best == 11 + LENGTH


def test_a_chain_that_was_loaded_from_its_newest_share_down_is_trusted():
    tracker = JudgedTracker(LENGTH)
    for number in range(10 + LENGTH, 9, -1):
        tracker.add(FakeShare(number, number - 1), NOW)
    tracker.trust_stored(list(tracker.forest.nodes))
    assert len(tracker.verified) == LENGTH + 1


def test_one_long_fork_makes_the_whole_tree_trusted():
    tracker = JudgedTracker(LENGTH)
    tracker.chain(LENGTH + 1, first=10, below=9)
    tracker.chain(2, first=100, below=12)
    tracker.trust_stored([100, 11])
    assert set(tracker.verified.nodes) == {100, 11}


def test_the_hole_is_filled_and_what_lies_above_is_verified_again():
    tracker = stored(10 + LENGTH, hole=10)
    tracker.add(FakeShare(10, 9), NOW)
    assert tracker.thought().best == 10 + LENGTH
    assert sorted(tracker.checked) == list(range(11, 11 + LENGTH))  # a chain length of them is enough
    assert set(tracker.verified.nodes) == {*range(1, 10), *tracker.checked}


def test_the_hole_is_asked_for():
    assert stored(10 + LENGTH, hole=10).thought().wanted == [10]
