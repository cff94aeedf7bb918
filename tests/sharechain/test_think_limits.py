"""Thinking in small portions comes to what thinking at once comes to, on any forest."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.sharechain.tracker import UNLIMITED, Thought
from tests.sharechain.judged import NOW, FakeShare, JudgedTracker

LONG, SHORT = 70, 8
"""A chain length that no chain here reaches, so that all is verified down to the root; and one that is passed."""


@dataclass
class Outcome:
    """What several runs came to together."""

    best: int | None = None
    wanted: list[int] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    bad_senders: set[str] = field(default_factory=set)
    removed: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    verified: list[int] = field(default_factory=list)

    def take(self, thought: Thought) -> None:
        self.best, self.wanted = thought.best, sorted(thought.wanted)
        self.heads = [score.share_hash for score in thought.heads]
        self.bad_senders |= thought.bad_senders
        self.removed = sorted([*self.removed, *(share.hash for share in thought.removed)])
        self.refused = sorted([*self.refused, *(share.hash for share, _ in thought.refused)])
        self.verified = sorted([*self.verified, *(share.hash for share in thought.verified)])


def random_shares(rng: random.Random, count: int, rooted: bool) -> tuple[list[FakeShare], set[int]]:
    """(shares in any order, the invalid ones of them): long chains with forks.

    The first share is a valid one: without it what stands on it is not rooted any more, so that how far one run
    came would matter.
    """
    shares = []
    for number in range(1, count + 1):
        previous: int | None = number - 1 or None
        if number > 1 and rng.random() < 0.15:
            previous = rng.randrange(max(1, number - 12), number)
        if not rooted and (number == 1 or rng.random() < 0.03):
            previous = 1000 + number
        shares.append(FakeShare(number, previous, attempts=rng.randrange(1, 9)))
    invalid = {share.hash for share in shares[1:] if rng.random() < rng.choice([0, 0.1, 0.1, 0.5])}
    rng.shuffle(shares)
    return shares, invalid


def think_out(
    shares: list[FakeShare], invalid: set[int], limit: int, chain_length: int, until_quiet: bool = False
) -> tuple[Outcome, set[int]]:
    """Think until nothing is left to do; also what is held in the end."""
    tracker = JudgedTracker(chain_length)
    tracker.invalid = invalid
    for place, share in enumerate(shares):
        tracker.add(share, NOW + place, f"peer {share.hash}")
    outcome = Outcome()
    for _ in range(10 * len(shares) + 10):
        before = len(tracker.checked)
        thought = tracker.thought(max_checks=limit)
        outcome.take(thought)
        assert len(tracker.checked) - before <= limit
        assert len(set(tracker.checked)) == len(tracker.checked)
        if not thought.unfinished and not (until_quiet and (thought.removed or thought.verified)):
            return outcome, set(tracker.forest.nodes)
    raise AssertionError("thinking never ends")


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.sampled_from([3, 12, 30, 60]), st.integers(1, 12))
def test_several_limited_runs_equal_one_run(seed, count, limit):
    shares, invalid = random_shares(random.Random(seed), count, rooted=True)
    assert think_out(shares, invalid, limit, LONG) == think_out(shares, invalid, UNLIMITED, LONG)


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.sampled_from([3, 12, 30, 60]), st.integers(1, 12), st.booleans())
def test_the_same_shares_go_where_not_all_is_verified(seed, count, limit, rooted):
    """Beyond a chain length heads are verified only as far back as each of them needs: how far forks are verified
    below where they join depends on which came first, and so may the choice between them. What is removed, and
    who is blamed, does not. Over a missing parent a run goes back five shares from each head, and the next one
    goes on from what is head then: so both think until there is nothing more to find.
    """
    shares, invalid = random_shares(random.Random(seed), count, rooted)
    (one, held), (other, also_held) = (
        think_out(shares, invalid, most, SHORT, until_quiet=True) for most in (limit, UNLIMITED)
    )
    assert held == also_held
    assert (one.removed, one.bad_senders, one.wanted) == (other.removed, other.bad_senders, other.wanted)
    assert not set(one.verified) & invalid
    assert (one.best is None) == (other.best is None)


def test_what_is_valid_below_a_refused_head_is_verified_though_the_run_was_cut():
    """1 - 2 - 3, all valid; an invalid share on 3 that carries a valid one, and an invalid head on the invalid."""
    outcomes = []
    for limit in (1, UNLIMITED):
        tracker = JudgedTracker(LONG)
        tracker.chain(3)
        tracker.chain(3, first=10, below=3)
        tracker.chain(1, first=20, below=10)
        tracker.invalid = {10, 20}
        tracker.chain(1, first=30, below=1, attempts=2)  # more work than 2, less than 2 and 3
        for _ in range(20):
            thought = tracker.thought(max_checks=limit)
        outcomes.append((thought.best, set(tracker.verified.nodes), set(tracker.forest.nodes)))
    assert outcomes[0] == outcomes[1]
    assert {1, 2, 3} <= outcomes[0][1]


def test_the_choice_is_made_among_what_is_verified_so_far():
    tracker = JudgedTracker(SHORT)
    tracker.chain(4)
    assert tracker.thought().best == 4
    tracker.chain(2, first=10, below=2, attempts=1000)
    tracker.invalid = {11}
    first = tracker.thought(max_checks=1)
    assert (first.best, first.unfinished) == (4, True)
    second = tracker.thought(max_checks=1)
    assert (second.best, second.unfinished) == (10, False)


def test_no_checks_allowed_and_none_needed():
    tracker = JudgedTracker(SHORT)
    tracker.chain(2)
    assert tracker.thought(max_checks=0).unfinished
    assert tracker.checked == []
    tracker.thought()
    assert not tracker.thought(max_checks=0).unfinished
