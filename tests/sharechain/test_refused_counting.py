"""Refused branches, one step at a time: what a run of the tracker comes to, how work is moved and forgotten."""

from __future__ import annotations

from itertools import pairwise

import pytest

from p2pool.share.errors import Reason, ShareInvalid
from p2pool.sharechain.refused import (
    AHEAD,
    MAX_BRANCHES,
    MAX_SOFTWARE,
    MOST_BUCKETS,
    OTHERS,
    STEP,
    UNIT,
    WINDOW,
    RefusalCause,
    RefusedBranches,
)
from p2pool.sharechain.tracker import Arrival, Thought
from tests.sharechain.judged import NOW, JudgedTracker
from tests.sharechain.test_refused import BAD, PEER, WORK, Heard, Listener, check_consistency

GENTX = ShareInvalid(Reason.GENTX)


@pytest.fixture
def listener() -> Listener:
    return Listener()


def refused_by(listener: Listener, *shares: tuple[Heard, Exception]) -> Thought:
    """What a run of the tracker that refused these shares came to."""
    arrivals = {share.hash: Arrival(listener.now, PEER) for share, _ in shares}
    return Thought(best=listener.tip, refused=list(shares), arrivals=arrivals)


# --- one run ---------------------------------------------------------------------------------------------


def test_a_choice_is_made_again_without_checks_if_something_was_forgotten(listener):
    tracker, checks = listener.tracker, []

    def think(count: int) -> Thought:
        checks.append(count)
        return tracker.thought(NOW, max_checks=count)

    for share in (*listener.branch(4), Heard(500, listener.tip)):
        tracker.add(share, NOW, PEER)
    thought = listener.node.refused.choose(think, 150, listener.tip)
    assert checks == [150, 0]
    assert [share.hash for share in thought.verified] == [500]
    assert sorted({share.hash for share in thought.removed}) == [BAD, BAD + 1, BAD + 2, BAD + 3]
    assert thought.best == 500
    tracker.add(Heard(501, 500), NOW, PEER)
    assert listener.node.refused.choose(think, 150, 500).best == 501
    assert checks == [150, 0, 150]


def test_what_could_not_be_checked_is_not_refused_and_hides_no_other(listener):
    early, bad = Heard(7000, listener.tip), Heard(BAD, listener.tip)
    not_checkable = ShareInvalid(Reason.NOT_CHECKABLE)
    for order in ([(early, not_checkable), (bad, GENTX)], [(bad, GENTX), (early, not_checkable)]):
        refused = RefusedBranches(listener.tracker)
        refused.judge(refused_by(listener, *order), listener.tip)
        assert BAD in refused
        assert 7000 not in refused
        assert refused.figures(NOW).refused == WORK


def test_a_bug_of_ours_is_a_reason_as_well(listener):
    refused = listener.node.refused
    refused.judge(refused_by(listener, (Heard(BAD, listener.tip), ZeroDivisionError())), listener.tip)
    assert [branch.reason for branch in refused.figures(NOW).branches] == ["internal error of this node"]


def test_before_there_is_anything_a_refused_share_has_its_cost_and_its_sender_no_name():
    refused = RefusedBranches(JudgedTracker())
    assert refused.cost(Heard(BAD, 1), requested=False) == UNIT
    assert refused.cost(Heard(BAD, 1), requested=True) == 1
    assert refused.take(Heard(BAD, 1), RefusalCause(BAD, "wrong"), Arrival(NOW, PEER)) == []
    [branch] = refused.figures(NOW).branches
    assert branch.software == {"unknown": 1}


def test_a_refused_share_low_on_the_chain_is_not_far_below_another_branch():
    listener = Listener(ours=40)
    listener.hear(Heard(BAD, 3))
    assert BAD not in listener.tracker
    assert BAD in listener.node.refused


@pytest.mark.parametrize(("above", "stays"), [(16, False), (17, True)])
def test_a_refused_share_with_more_shares_above_it_than_the_chain_is_long_stays(above, stays):
    listener = Listener(ours=40)
    listener.hear(*listener.branch(1 + above, below=10), requested=True)
    listener.hear(Heard(BAD + 900, BAD + 1))  # a fork so low that the refused share is checked
    assert BAD in listener.tracker.checked
    assert (BAD in listener.tracker) is stays
    assert (BAD in listener.node.refused) is not stays


def test_shares_that_are_refused_together_are_one_branch(listener):
    """A head comes before what it is built on."""
    listener.tracker.invalid = {BAD, BAD + 1, BAD + 2}
    listener.hear(*listener.branch(3))
    [branch] = listener.figures.branches
    assert (branch.first_share, branch.shares) == (BAD, 3)


def test_a_share_that_comes_again_and_again_makes_no_branch_longer(listener):
    refused, share = listener.node.refused, Heard(BAD, listener.tip)
    for _ in range(2 * listener.tracker.network.chain_length):
        refused.take(share, RefusalCause(BAD, "wrong"), Arrival(NOW, PEER))
    assert refused.cause(Heard(BAD + 1, BAD)) == RefusalCause(BAD, "wrong")


def test_several_branches_go_in_portions_together(monkeypatch):
    monkeypatch.setattr("p2pool.sharechain.refused.DROPPED_AT_ONCE", 10)
    listener = Listener()
    listener.tracker.invalid = {9000, 9100, 9200}
    branches = [share for first in (9000, 9100, 9200) for share in listener.branch(7, first=first)]
    listener.node.add_shares(branches, PEER, requested=True)
    counts = [len(listener.tracker)]
    while listener.soon:
        calls, listener.soon[:] = list(listener.soon), []
        for call in calls:
            call()
        counts.append(len(listener.tracker))
    gone = [before - after for before, after in pairwise(counts)]
    assert max(gone) <= 10 + 3  # the refused shares themselves may go besides
    assert len(listener.tracker) == 30


# --- counting --------------------------------------------------------------------------------------------


def test_what_an_earlier_run_verified_counts_once():
    listener = Listener(ours=0)
    shares = [Heard(number, number - 1 or None) for number in range(1, 6)]
    for share in shares:
        listener.tracker.add(share, NOW)
        listener.tracker.trust(share.hash)
    for _ in range(2):
        listener.node.refused.restored(shares)
    assert listener.work() == (5, 0)


def test_a_share_ahead_of_the_clock_does_not_count_when_it_comes_again(listener):
    share = Heard(BAD, listener.tip, header_timestamp=NOW + AHEAD + 100)
    listener.hear(share)
    listener.now += 200
    listener.hear(share)
    assert (listener.figures.refused, listener.figures.branches) == (0, ())


def test_a_share_that_is_an_hour_old_counts_when_it_was_made(listener):
    listener.hear(Heard(BAD, listener.tip, header_timestamp=NOW - WINDOW))
    assert listener.figures.branches[0].since == NOW - WINDOW


@pytest.mark.parametrize("later", [100.0, WINDOW + 5, WINDOW + 60])
def test_what_turns_out_to_be_refused_counts_where_it_was_counted_before(listener, later):
    share, refused = Heard(500, listener.tip), listener.node.refused
    listener.hear(share)
    assert listener.work() == (1, 0)
    listener.now += later
    refused.figures(listener.now)
    refused.judge(refused_by(listener, (share, GENTX)), listener.tip)
    assert refused.figures(listener.now).accepted == 0
    assert refused.figures(NOW + WINDOW + 2 * STEP).refused == 0


@pytest.mark.parametrize(("later", "accepted"), [(WINDOW + STEP - 1, 1), (WINDOW + STEP, 0)])
def test_a_bucket_goes_when_all_of_it_is_an_hour_old(listener, later, accepted):
    assert NOW % STEP == 0
    listener.hear(Heard(500, listener.tip))
    listener.now += later
    assert listener.work() == (accepted, 0)


def test_without_anything_refused_there_is_no_part_of_it(listener):
    listener.hear(Heard(500, listener.tip))
    assert (listener.figures.part, listener.figures.part_since) == (0.0, 0.0)


def test_buckets_are_forgotten_though_nobody_looks_at_the_figures(listener):
    share = Heard(500, listener.tip)
    for number in range(0, 3 * int(WINDOW), int(STEP)):
        at = NOW + number
        refused = listener.node.refused
        share = Heard(10_000 + number, 1, header_timestamp=at)
        refused.take(share, RefusalCause(BAD, "wrong"), Arrival(at, PEER))
    assert len(listener.node.refused._buckets) <= MOST_BUCKETS


def test_a_branch_that_is_followed_counts_as_accepted_from_its_beginning():
    listener = Listener(ours=40)
    branch = listener.branch(60, attempts=2 * WORK)
    listener.tracker.invalid.add(7000)
    listener.hear(Heard(7000, listener.tip))  # this one stays refused
    for share in branch[:20]:
        listener.now += 20.0
        listener.hear(share)
    listener.hear(*branch[1:])
    listener.hear(*branch[1:], requested=True)
    assert listener.node.best_share == branch[-1].hash
    assert listener.figures.refused == WORK
    # Those that were refused until the branch was longer than the chain, and so many as had to be verified.
    assert listener.figures.accepted == (17 + 16) * 2 * WORK
    check_consistency(listener)


def test_the_work_of_a_branch_that_is_not_counted_apart_any_more_stays(listener):
    numbers = [BAD + 10 * number for number in range(MAX_BRANCHES + 3)]
    listener.tracker.invalid.update((*numbers, BAD + 6000))
    for number in numbers:
        listener.hear(Heard(number, listener.tip, attempts=1))
    assert {branch.first_share for branch in listener.figures.branches} == set(numbers[:MAX_BRANCHES])
    listener.now += 5 * STEP
    listener.hear(Heard(BAD + 1, BAD, attempts=1))  # so that the first branch is not the one that goes
    listener.hear(Heard(BAD + 6000, listener.tip, attempts=2, header_timestamp=listener.now))
    first, second = (listener.node.refused._buckets[place] for place in sorted(listener.node.refused._buckets))
    assert (first.refused[OTHERS], second.refused.get(OTHERS, 0)) == (3 + 1, 0)
    assert listener.figures.refused == len(numbers) + 1 + 2
    kept = {branch.first_share for branch in listener.figures.branches}
    assert {BAD, BAD + 6000} <= kept
    assert len(kept) == MAX_BRANCHES
    listener.now = NOW + WINDOW + STEP
    assert listener.figures.refused == 3


def test_the_first_branch_that_is_not_counted_apart_any_more_is_what_others_begin_with(listener):
    numbers = [BAD + 10 * number for number in range(MAX_BRANCHES)]
    listener.tracker.invalid.update((*numbers, BAD + 6000))
    for number in numbers:
        listener.hear(Heard(number, listener.tip, attempts=3))
    listener.hear(Heard(BAD + 6000, listener.tip, attempts=4))
    [bucket] = listener.node.refused._buckets.values()
    assert bucket.refused[OTHERS] == 3


# --- what the operator reads -----------------------------------------------------------------------------


def test_the_branch_with_most_work_is_judged(listener):
    listener.tracker.invalid.add(7000)
    listener.hear(Heard(7000, listener.tip, attempts=1))
    listener.hear(*listener.branch(3))
    assert listener.figures.is_majority
    assert f"the first one is {BAD:064x}" in listener.figures.problem


@pytest.mark.parametrize(
    ("senders", "text"),
    [
        ("bbba", "sent by b, a."),
        ("abcc", "sent by c, a, b."),
        ("abccdd", "sent by c, d, a and 1 others."),
    ],
)
def test_the_software_that_sent_most_comes_first(senders, text):
    listener = Listener(chain_length=300)
    listener.node.refused.software_of = lambda label: label
    for sender, share in zip(senders, listener.branch(len(senders)), strict=True):
        listener.hear(share, sender=sender)
    assert text in listener.figures.problem


def test_known_software_is_counted_by_its_name_though_the_table_is_full():
    listener = Listener(chain_length=300)
    listener.node.refused.software_of = lambda label: label
    shares = listener.branch(MAX_SOFTWARE + 3)
    for number, share in enumerate(shares):
        listener.hear(share, sender=f"software {number if number < MAX_SOFTWARE + 1 else 0}")
    [branch] = listener.figures.branches
    assert (branch.software["software 0"], branch.software["other"]) == (3, 1)
