"""Votes counted over a chain: which shares count, by work and by number, and when a level is reached."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from p2pool.share.votes import OldWindow, c2pool_refusal
from p2pool.sharechain.refused_votes import SETTLED, RefusedVotes, refused_votes
from p2pool.sharechain.tracker import Tracker
from p2pool.sharechain.votes import ChainVotes, Tally, count_votes
from tests.chains import easy_network, grow_chain
from tests.support import make_template

LENGTH = 60
WINDOW = OldWindow(54, 6)


@dataclass(frozen=True)
class Vote:
    """As much of a share as is counted."""

    desired_version: int
    attempts: int = 1


def votes_of(newest_first: list[Vote], recent: int = 5) -> ChainVotes:
    """The votes of a chain of exactly these shares."""
    window = OldWindow.of(len(newest_first))
    return ChainVotes(
        newest_first[0].desired_version,
        Tally.of(newest_first, len(newest_first)),
        Tally.of(newest_first[window.start :], window.count),
        Tally.of(newest_first[:recent], recent),
        window,
        newest_first,
        RefusedVotes(),
    )


def grown(votes: list[int]) -> tuple[Tracker, list]:
    """A chain of shares with these votes, the oldest first."""
    tracker = Tracker(easy_network(LENGTH))
    return tracker, grow_chain(tracker, make_template(), len(votes), 3, vote=lambda number: votes[number])


def test_the_window_is_the_oldest_tenth_behind_the_best_share():
    """Of 65 shares the newest 60 count, and of those the oldest 6: the best share's 54th parent and five more."""
    marks = [100 + number for number in range(65)]
    tracker, shares = grown(marks)
    found = count_votes(tracker, shares[-1].hash, 7)
    assert found.parent_vote == marks[-1]
    assert found.has_history
    assert set(found.chain.shares) == set(marks[-60:])
    assert set(found.window.shares) == set(marks[5:11])
    assert tracker.nth_parent(shares[-1].hash, WINDOW.start).desired_version == marks[10]
    assert set(found.recent.shares) == set(marks[-7:])
    assert found.leading in marks


def test_votes_count_by_work_and_by_number():
    tracker, shares = grown([16] * 60)
    for share in shares[:3]:  # the window's oldest
        share.desired_version, share.attempts = 36, share.attempts * 9
    found = count_votes(tracker, shares[-1].hash, 5)
    unit = shares[-1].attempts
    assert found.window.shares == {16: 3, 36: 3}
    assert found.window.work == {16: 3 * unit, 36: 27 * unit}
    assert (found.window.newer_shares, found.window.newer_work) == (3, 27 * unit)
    assert found.window.part(found.window.newer_work) == 0.9
    assert found.chain.total_work == 57 * unit + 27 * unit
    assert found.recent.newer_work == 0
    assert found.leading == 36


def test_a_short_chain_has_no_history():
    for count in (0, 1, 59):
        tracker, shares = grown([36] * count)
        found = count_votes(tracker, shares[-1].hash if shares else None, 5)
        assert not found.has_history
        assert found.chain.total_shares == count
        assert found.window.total_shares == max(0, count - WINDOW.start)
        assert found.parent_vote == (36 if shares else None)
        assert found.leading == (36 if shares else None)
    tracker, shares = grown([36] * 60)
    assert count_votes(tracker, shares[-1].hash, 5).has_history


def test_the_leading_version_is_the_one_with_most_work_above_16():
    heavy = [Vote(37, 10), *[Vote(36, 1)] * 5, *[Vote(16, 100)] * 10, *[Vote(2, 1000)] * 4]
    assert votes_of(heavy).leading == 37
    assert votes_of([Vote(36), Vote(37), *[Vote(16)] * 18]).leading == 36
    assert votes_of([Vote(2), *[Vote(16)] * 19]).leading is None


def test_the_window_moves_with_the_chain():
    """The newest 30 of 60 shares vote 36; the window is 24 shares behind the oldest of them."""
    votes = votes_of([Vote(36)] * 30 + [Vote(16)] * 30)
    # After 24 + k shares the window has k votes for 36: 60 % of 6 are 4 of them.
    assert votes.shares_until(36, WINDOW, percents=[0, 50, 60, 85, 95], rate=0.0) == {
        0: 25,
        50: 27,
        60: 28,
        85: 30,
        95: 30,
    }
    assert votes.shares_until(37, WINDOW, percents=[0, 60], rate=0.0) == {0: None, 60: None}
    # The first new vote comes into the window with share 55.
    assert votes.shares_until(37, WINDOW, percents=[0, 60, 95], rate=1.0) == {0: 55, 60: 58, 95: 60}
    # The whole chain has half of it already, and loses votes for 16 first.
    assert votes.shares_until(36, OldWindow(0, 60), percents=[50, 60, 95], rate=1.0) == {50: 0, 60: 6, 95: 27}


def test_a_rate_below_the_level_never_reaches_it():
    votes = votes_of([Vote(16)] * 60)
    assert votes.shares_until(36, WINDOW, percents=[60, 85], rate=0.7) == {60: 60, 85: None}


@given(st.integers(0, 2**32), st.sampled_from([0.0, 1.0]), st.booleans())
def test_the_forecast_is_what_comes(seed, rate, whole):
    """Let the shares come that the forecast assumes, and count."""
    rng = random.Random(seed)
    part = rng.random()
    shares = [Vote(36 if rng.random() < part else 16, rng.randint(1, 9) * LENGTH) for _ in range(LENGTH)]
    window = OldWindow(0, LENGTH) if whole else WINDOW
    votes = votes_of(shares)
    usual = votes.chain.total_work // LENGTH
    percents = [0, 50, 60, 85, 95]
    foretold = votes.shares_until(36, window, percents=percents, rate=rate)
    coming = [Vote(36 if rate else 16, usual)] * LENGTH
    for percent in percents:
        found = None
        for step in range(LENGTH + 1):
            inside = (coming[:step] + shares)[window.start : window.start + window.count]
            total = sum(vote.attempts for vote in inside)
            part = sum(vote.attempts for vote in inside if vote.desired_version == 36)
            if part > 0 if percent == 0 else 100 * part >= percent * total:
                found = step
                break
        assert found == foretold[percent]


def test_one_walk_of_the_chain_counts_everything(monkeypatch):
    tracker, shares = grown([16] * 65)
    walked = []
    walk = tracker.ancestors
    monkeypatch.setattr(tracker, "ancestors", lambda best, count: walked.append(count) or walk(best, count))
    count_votes(tracker, shares[-1].hash, 7)
    assert walked == [LENGTH + 7 + 1]


def test_other_networks_have_windows_by_the_same_formulas():
    network = replace(easy_network(), chain_length=97)
    tracker = Tracker(network)
    shares = grow_chain(tracker, make_template(), 97, 1, vote=lambda number: number + 100)
    found = count_votes(tracker, shares[-1].hash, 1)
    assert found.has_history
    assert found.old_window == OldWindow(87, 9)
    assert sorted(found.window.shares) == list(range(101, 110))  # one older share is in no window


# --- votes that c2pool-dash refuses ------------------------------------------------------------------------


def naive_refused(shares: list[Vote], count: int, *, height: int, rooted: bool, length: int) -> list[int]:
    """The places of refused shares, each judged with its own tallies."""
    window, places = OldWindow.of(length), []
    for place in range(SETTLED, min(count, len(shares) - 1)):
        below = shares[place + 1 :][:length]
        has_history = height - (place + 1) >= length
        refusal = c2pool_refusal(
            shares[place].desired_version,
            below[0].desired_version,
            has_history=has_history,
            chain_work=Tally.of(below, length).work,
            window_work=Tally.of(below[window.start :][: window.count], window.count).work,
        )
        if refusal is not None and (has_history or rooted):
            places.append(place)
    return places


@given(st.integers(0, 2**32), st.integers(2, 70), st.booleans(), st.booleans())
def test_refused_votes_are_those_that_are_refused_one_by_one(seed, height, rooted, mostly_36):
    rng, length = random.Random(seed), 20
    usual = rng.choice([[16] * 6 + [36, 37], [36] * 30 + [16, 37], [36] * 6 + [37] * 5 + [16]])
    shares = [Vote(rng.choice([36] * 39 + [16] if mostly_36 else usual), rng.randint(1, 5)) for _ in range(height)]
    for count in (0, SETTLED, SETTLED + 1, 30, 100):
        held = shares[: length + count + 1]
        places = naive_refused(held, count, height=height, rooted=rooted, length=length)
        found = refused_votes(held, count, height=height, rooted=rooted, length=length)
        if not places:
            assert found == RefusedVotes()
            continue
        first = places[0]
        assert (found.count, found.above) == (len(places), first)
        assert found.newest is held[first]
        assert found.parent_vote == held[first + 1].desired_version


def test_refused_votes_are_counted_with_the_others():
    tracker, shares = grown([16] * 10 + [36] * 10)
    found = count_votes(tracker, shares[-1].hash, 15).refused
    assert (found.count, found.newest.hash, found.parent_vote, found.above) == (1, shares[10].hash, 16, 9)
    assert count_votes(tracker, shares[-1].hash, 9).refused == RefusedVotes()
    assert count_votes(tracker, None, 15).refused == RefusedVotes()


def test_nothing_is_no_part_of_nothing_and_no_shares_are_no_history():
    assert Tally(5).part(0) == 0.0
    assert not Tally(0).is_complete
    assert Tally.of([Vote(16)], 1).is_complete
