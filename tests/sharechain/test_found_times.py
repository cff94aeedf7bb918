"""When shares were found, for people: what a slow pool, downloads, liars and clocks do to it."""

from __future__ import annotations

import pytest

from p2pool.sharechain.figures import observed_attempts_per_second, pool_attempts_per_second
from p2pool.sharechain.found_times import FoundSource, FoundTimes, Sighting, found_times
from p2pool.sharechain.tracker import Tracker
from tests.chains import NOW, easy_network, grow_chain
from tests.support import make_template

NETWORK = easy_network(400)
HOUR, DAY = 3600.0, 86400.0
WINDOW = 180
"""Shares that make an hour of a pool that keeps its pace."""


def grown(count: int, pace: float, **options) -> tuple[Tracker, list]:
    tracker = Tracker(NETWORK)
    return tracker, grow_chain(tracker, make_template(), count, 3, pace=pace, **options)


def downloaded(shares, when: float) -> Tracker:
    """A node that got them all at once."""
    tracker = Tracker(NETWORK)
    for share in shares:
        tracker.add(share, when, "peer")
        tracker.trust(share.hash)
    return tracker


def rates(tracker: Tracker, best: int, now: float) -> tuple[float, float]:
    """(by timestamps, by when the shares were found), in shares an hour."""
    found = FoundTimes(tracker, best, now)
    attempts = tracker.get(best).attempts / HOUR
    return (
        pool_attempts_per_second(tracker, best, WINDOW) / attempts,
        observed_attempts_per_second(tracker, best, count=WINDOW, found=found) / attempts,
    )


@pytest.fixture(scope="module")
def slow() -> tuple[Tracker, list]:
    """A share an hour, two hundred of them."""
    return grown(200, HOUR)


SLOW_END = NOW + 200 * HOUR


# --- slow and fast pools -----------------------------------------------------------------------------------------


def test_in_a_slow_pool_timestamps_make_the_rate_ninety_two_times_too_high(slow):
    tracker, shares = slow
    by_timestamps, observed = rates(tracker, shares[-1].hash, SLOW_END)
    assert by_timestamps == pytest.approx(HOUR / 39)
    assert observed == pytest.approx(1)


def test_in_a_slow_pool_timestamps_lag_by_days_and_found_times_do_not(slow):
    tracker, shares = slow
    when = FoundTimes(tracker, shares[-1].hash, SLOW_END).of(shares[-1].hash)
    assert when == (SLOW_END, FoundSource.FIRST_SEEN)
    assert SLOW_END - shares[-1].timestamp > 8 * DAY


@pytest.mark.parametrize("pace", [20, 5, 38])
def test_in_a_pool_that_keeps_its_pace_both_rates_are_the_same(pace):
    tracker, shares = grown(200, pace)
    by_timestamps, observed = rates(tracker, shares[-1].hash, NOW + 200 * pace)
    assert observed == pytest.approx(by_timestamps)


# --- downloads ---------------------------------------------------------------------------------------------------


def test_a_chain_that_was_downloaded_at_once_has_its_headers_times(slow):
    _, shares = slow
    when = SLOW_END + 100
    tracker = downloaded(shares, when)
    best = shares[-1].hash
    assert rates(tracker, best, when)[1] == pytest.approx(1)
    found = FoundTimes(tracker, best, when).of_chain(best, 200)
    assert found == [(SLOW_END - HOUR * n, FoundSource.HEADER) for n in range(200)]


def test_the_rate_stays_right_while_live_shares_follow_downloaded_ones():
    _, shares = grown(400, 20)
    began = NOW + 200 * 20
    tracker = downloaded(shares[:200], began)
    for number, share in enumerate(shares[200:], 1):
        now = began + 20 * number
        tracker.add(share, now + 0.5, "peer", live=True)
        tracker.trust(share.hash)
        assert rates(tracker, share.hash, now)[1] == pytest.approx(180, rel=0.001)


def test_one_share_is_judged_as_it_is_among_others(slow):
    _, shares = slow
    tracker = downloaded(shares, SLOW_END)
    found = FoundTimes(tracker, shares[-1].hash, SLOW_END)
    together = found.of_chain(shares[-1].hash, 200)
    assert [found.of(share.hash) for share in reversed(shares)] == together
    assert found.of_chain(shares[50].hash, 10) == together[149:159]
    assert len(found.of_chain(shares[3].hash, 10)) == 4


# --- liars -------------------------------------------------------------------------------------------------------

LIES = {
    "the beginning of time": lambda number, now: 0,
    "far in the future": lambda number, now: now + 30 * DAY,
    "a day early": lambda number, now: now - DAY,
    "now and then": lambda number, now: 0 if number % 2 else now + 30 * DAY,
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_third_of_the_shares_cannot_distort_the_rate_of_a_downloaded_chain(lie, first):
    def header_time(number: int, now: float) -> float:
        return LIES[lie](number // 3, now) if number % 3 == first else now

    _, shares = grown(200, HOUR, header_time=header_time)
    tracker = downloaded(shares, SLOW_END)
    best = shares[-1].hash
    assert rates(tracker, best, SLOW_END)[1] == pytest.approx(1, rel=0.05)
    found = FoundTimes(tracker, best, SLOW_END).of_chain(best, 200)
    errors = [abs(each.time - (SLOW_END - HOUR * n)) for n, each in enumerate(found)]
    assert max(errors[:190]) <= 8 * HOUR


def test_what_a_live_share_says_of_its_time_does_not_matter():
    def header_time(number: int, now: float) -> float:
        return 0 if number % 3 == 0 else now

    tracker, shares = grown(199, HOUR, header_time=header_time)
    assert shares[-1].header_timestamp == 0
    now = NOW + 199 * HOUR
    assert FoundTimes(tracker, shares[-1].hash, now).of(shares[-1].hash) == (now, FoundSource.FIRST_SEEN)
    assert rates(tracker, shares[-1].hash, now)[1] == pytest.approx(1)


def test_headers_that_make_no_sense_leave_the_rate_by_timestamps():
    _, shares = grown(200, 20, header_time=lambda number, now: 5)
    tracker = downloaded(shares, NOW)
    by_timestamps, observed = rates(tracker, shares[-1].hash, NOW)
    assert observed == by_timestamps


# --- clocks ------------------------------------------------------------------------------------------------------


def test_a_clock_that_was_a_day_ahead_for_an_hour_changes_nothing():
    chain = [Sighting(NOW - 20 * n, NOW - 20 * n + (DAY if 50 <= n < 230 else 0), True) for n in range(400)]
    times = [each.time for each in found_times(chain, NOW)]
    assert times == [NOW - 20 * n for n in range(400)]


def test_a_clock_that_is_wrong_now_leaves_the_headers_times():
    chain = [Sighting(NOW - 20 * n, NOW - 20 * n + (DAY if n < 50 else 0), True) for n in range(400)]
    found = found_times(chain, NOW + DAY)
    assert [each.time for each in found] == [NOW - 20 * n for n in range(400)]
    assert {each.source for each in found[:50]} == {FoundSource.HEADER}


def test_a_chain_that_was_downloaded_before_the_clock_was_set_has_its_times():
    chain = [Sighting(NOW - 20 * n, 100.0, False) for n in range(400)]
    assert [each.time for each in found_times(chain, NOW)] == [NOW - 20 * n for n in range(400)]


# --- reorganisations ---------------------------------------------------------------------------------------------


def test_after_a_reorganisation_the_new_chains_times_count(slow):
    _, shares = slow
    tracker = downloaded(shares[:150], SLOW_END)
    old, fork = shares[149].hash, shares[99].hash
    before = FoundTimes(tracker, old, SLOW_END).of(shares[97].hash)
    # The other branch began where this one was at its hundredth share, and took half the time for each.
    new = grow_chain(tracker, make_template(), 90, 2, fork, seed=5, header_time=lambda n, now: half(n))
    best = new[-1].hash
    found = FoundTimes(tracker, best, SLOW_END)
    assert found.of(shares[97].hash).time == before.time
    assert found.of(new[40].hash).time == half(40)
    seconds = half(89) - (NOW + HOUR * (190 - 179))
    assert found.span(best, WINDOW) == seconds
    # A share that is in the best chain no more is judged by what lies below it.
    assert found.of(shares[140].hash) == (NOW + 141 * HOUR, FoundSource.HEADER)


def half(number: int) -> float:
    return NOW + 100 * HOUR + HOUR / 2 * (number + 1)
