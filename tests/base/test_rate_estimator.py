"""Hash rates estimated from submissions: errors by simulation, and what silence, clocks and bursts do."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.rates import RATE_WINDOW, RateEstimator
from tests.base.rate_errors import HASHES, LATER, MINERS, RUNS, runs, table

DOCUMENT = Path(__file__).parents[2] / "docs" / "design" / "hash-rate.md"
NOW = 1_700_000_000.0


@pytest.mark.parametrize(("name", "rate", "difficulty"), MINERS)
def test_estimates_do_not_spike_and_their_intervals_hold(name, rate, difficulty):
    simulated = runs(rate, difficulty)
    first = sorted(run.first for run in simulated)
    assert first[RUNS // 2] < 1.2
    assert first[int(0.95 * RUNS)] < 15
    for index, _ in enumerate(LATER):
        mean = sum(run.later[index] for run in simulated) / RUNS
        assert 0.65 < mean < 1.1
        assert sum(run.within[index] for run in simulated) > 0.75 * RUNS


def test_the_errors_in_the_documentation_are_those_of_the_simulation():
    assert "\n".join(table()) in DOCUMENT.read_text()


def steady(seconds: float, *, interval: float = 10.0, amount: float = 1000.0, count: int = 100) -> RateEstimator:
    """An estimator after `count` events, the last of them at `seconds`."""
    estimator = RateEstimator(seconds - count * interval)
    for number in range(1, count + 1):
        estimator.add(amount, seconds - (count - number) * interval)
    return estimator


def test_before_the_first_submission_only_an_upper_bound_is_known_and_it_falls():
    estimator = RateEstimator(NOW)
    assert estimator.rate(NOW) == estimator.rate(NOW + 1e6) == 0
    bounds = [estimator.estimate(NOW + seconds, HASHES)[2:] for seconds in (0, 60, 3600)]
    assert [low for low, _ in bounds] == [0, 0, 0]
    highs = [high for _, high in bounds]
    assert highs == sorted(highs, reverse=True)
    assert highs[-1] < 2 * HASHES / 3600


def test_a_steady_miner_is_measured_closely_and_the_interval_narrows():
    estimator = steady(NOW)
    assert estimator.rate(NOW) == pytest.approx(100, rel=0.01)
    low, high = estimator.estimate(NOW, 1.0)[2:]
    assert 65 < low < 90
    assert 110 < high < 140


def test_a_change_shows_within_ten_minutes():
    estimator = steady(NOW)
    for second in range(10, 610, 10):
        estimator.add(5000, NOW + second)
    assert 400 < estimator.rate(NOW + 600) < 500


def test_a_silent_miner_stops_after_ten_minutes_and_a_slow_one_after_eight_intervals():
    fast, slow = steady(NOW), steady(NOW, interval=8400.0, amount=4.2e6)
    assert 30 < fast.rate(NOW + RATE_WINDOW) < 60
    assert fast.rate(NOW + RATE_WINDOW + 1) == 0
    assert fast.estimate(NOW + RATE_WINDOW + 1, 1.0)[2:] == (0, 0)
    assert slow.rate(NOW + 7 * 8400) > 0
    assert slow.rate(NOW + 9 * 8400) == 0


def test_a_miner_that_returns_is_not_slow_for_having_been_away():
    estimator = steady(NOW)
    estimator.resume(NOW + 12 * 3600)
    estimator.add(1000, NOW + 12 * 3600 + 10)
    assert estimator.rate(NOW + 12 * 3600 + 10) == pytest.approx(100, rel=0.05)


def test_a_connected_miner_that_begins_again_is_measured_anew():
    estimator = steady(NOW)
    for second in range(0, 1200, 10):
        estimator.add(1000, NOW + 7200 + second)
    assert estimator.rate(NOW + 7200 + 1190) == pytest.approx(100, rel=0.1)


def test_late_work_is_a_part_of_the_rate():
    estimator = RateEstimator(NOW)
    for number in range(100):
        estimator.add(1000, NOW + 10 * number, late=1000 if number % 4 == 0 else 0)
    rate, late, _, _ = estimator.estimate(NOW + 990, 1.0)
    assert late == pytest.approx(rate / 4, rel=0.1)
    assert steady(NOW).estimate(NOW, 1.0)[1] == 0


def test_sums_of_a_long_time_are_spread_over_it():
    estimator = RateEstimator(NOW)
    estimator.add(30_000, NOW, count=30, span=300)
    assert estimator.rate(NOW) == pytest.approx(100, rel=0.02)
    estimator.add(120_000, NOW + 1200, count=120, span=1200)
    assert estimator.rate(NOW + 1200) == pytest.approx(100, rel=0.02)


def test_the_sum_of_several_miners():
    together = RateEstimator(NOW)
    together.merge([steady(NOW), steady(NOW, amount=3000.0), RateEstimator(NOW)], NOW)
    assert together.rate(NOW) == pytest.approx(400, rel=0.02)
    together = RateEstimator(NOW)
    together.merge([], NOW)
    assert together.rate(NOW) == 0


@given(
    st.lists(st.tuples(st.floats(-1e9, 1e9) | st.floats(0, 30), st.floats(1, 1e20), st.integers(1, 1000))),
)
def test_no_clock_makes_a_rate_of_nothing(steps):
    estimator, now, added = RateEstimator(NOW), NOW, 0.0
    for step, amount, count in steps:
        now += step
        estimator.add(amount, now, count=count)
        added += amount
        low, high = estimator.estimate(now, amount)[2:]
        assert 0 <= low <= high
        assert 0 <= estimator.rate(now) <= added * 1.001


def test_a_burst_at_one_moment_divides_by_no_zero():
    estimator = RateEstimator(NOW)
    for _ in range(1000):
        estimator.add(1.0, NOW)
    assert estimator.rate(NOW) == 1000


def test_the_estimate_does_not_depend_on_the_difficulty():
    """Vardiff changes it all the time: what was submitted per second counts."""
    rng, estimator, now = random.Random(1), RateEstimator(NOW), NOW
    for number in range(2000):
        work = 1000.0 * 2 ** (number % 3)
        now += rng.expovariate(100 / work)
        estimator.add(work, now)
    assert estimator.rate(now) == pytest.approx(100, rel=0.3)
