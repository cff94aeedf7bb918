"""Sums over a sliding window, against a model that remembers every amount."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.rates import DecayingRates, WindowedSum

WINDOW, BUCKETS = 60.0, 6
SPAN = WINDOW / BUCKETS


class NaiveSum:
    """Whatever was added in the bucket of `now` and the ones before it that belong to the window."""

    def __init__(self) -> None:
        self.added: list[tuple[int, float]] = []
        self.newest: int | None = None

    def see(self, now: float) -> int:
        epoch = int(now // SPAN)
        if self.newest is None or epoch > self.newest:
            self.newest = epoch
        elif epoch <= self.newest - BUCKETS:
            self.added, self.newest = [], epoch
        return self.newest

    def add(self, amount: float, now: float) -> None:
        epoch = self.see(now)
        self.added.append((epoch, amount))

    def total(self, now: float) -> float:
        newest = self.see(now)
        self.added = [(epoch, amount) for epoch, amount in self.added if epoch > newest - BUCKETS]
        return math.fsum(amount for _, amount in self.added)


STEPS = st.lists(
    st.tuples(
        st.floats(-200, 200) | st.floats(0, 12),  # the clock's step
        st.sampled_from([0.0, 1.0, 3.0, 1e6, 1e20]),
        st.booleans(),  # whether the sum is looked at
    ),
    max_size=60,
)


@given(st.floats(0, 2e9), STEPS)
def test_like_a_naive_sum(start, steps):
    windowed, naive = WindowedSum(WINDOW, BUCKETS), NaiveSum()
    now = start
    for step, amount, looked_at in steps:
        now = max(0.0, now + step)
        windowed.add(amount, now)
        naive.add(amount, now)
        if looked_at:
            assert windowed.total(now) == pytest.approx(naive.total(now), rel=1e-9)
            assert windowed.rate(now) >= 0
    later = now + 2 * WINDOW
    assert windowed.total(later) == windowed.rate(later) == 0


def test_small_amounts_survive_a_large_one():
    windowed = WindowedSum(WINDOW, BUCKETS)
    windowed.add(1e20, 0)
    windowed.add(1, 30)
    assert windowed.total(WINDOW + 1) == 1


def test_the_rate_before_the_window_has_passed():
    windowed = WindowedSum(WINDOW, BUCKETS)
    assert windowed.rate(1000) == 0
    windowed.add(100, 1000)
    assert windowed.rate(1000) == 100 / SPAN  # not a division by nothing
    assert windowed.rate(1000 + 20) == 100 / 20
    windowed.add(100, 1000 + 40)
    assert windowed.rate(1000 + 40) == 200 / 40


def test_an_amount_may_be_that_of_the_time_before_the_first_one():
    windowed = WindowedSum(WINDOW, BUCKETS)
    windowed.add(100, 1000, span=50)
    assert windowed.rate(1000) == 100 / 50
    windowed.add(100, 1001, span=55)
    assert windowed.rate(1001) == 200 / 55
    windowed.add(100, 1010, span=1000)
    assert windowed.rate(1010) == 300 / WINDOW


def test_a_steady_flow_is_measured_within_a_bucket():
    windowed = WindowedSum(600.0)
    for second in range(5000):
        windowed.add(7, second)
        if second > 700:
            assert 7 * (1 - 1 / 30) <= windowed.rate(second) <= 7


def test_memory_does_not_grow_with_what_is_added():
    windowed = WindowedSum(WINDOW, BUCKETS)
    for n in range(10_000):
        windowed.add(1, n / 7)
    assert len(windowed._buckets) == BUCKETS


def test_a_clock_that_steps_back_a_little_counts_into_the_newest_bucket():
    windowed = WindowedSum(WINDOW, BUCKETS)
    windowed.add(1, 100)
    windowed.add(1, 70)
    assert windowed.total(100) == 2
    assert windowed.total(100 + WINDOW) == 0


def test_a_pause_of_ages_costs_no_time():
    windowed = WindowedSum(WINDOW, BUCKETS)
    windowed.add(1, 0)
    assert windowed.total(1e15) == 0  # a step for each bucket that passed would never end


def test_a_clock_that_was_years_ahead_does_not_freeze_the_window():
    windowed = WindowedSum(WINDOW, BUCKETS)
    windowed.add(1000, 2e9)
    for second in range(0, 600, 10):
        windowed.add(10, 1e9 + second)
    assert windowed.total(1e9 + 590) == 60
    assert windowed.rate(1e9 + 590) == 1


WINDOWS = (60.0, 3600.0, 86400.0)


def test_a_steady_flow_has_the_same_rate_in_every_window_from_the_beginning():
    rates = DecayingRates(WINDOWS, 1000)
    for second in range(1, 20_000):
        rates.add(7)
        if second in (10, 100, 1000, 10_000, 19_999):
            assert rates.rates(1000 + second) == pytest.approx([7, 7, 7], rel=1e-9)


def test_a_window_ago_counts_one_part_in_e():
    rates = DecayingRates(WINDOWS, 0)
    start = 100 * 86400
    rates.add(7 * start)
    assert rates.rates(start) == pytest.approx([7, 7, 7])
    for step in (1, 2, 3):
        minute, *_ = rates.rates(start + step * 60)
        assert minute == pytest.approx(7 * math.exp(-step))
    *_, day = rates.rates(start + 86400)
    assert day == pytest.approx(7 * math.exp(-1))
    assert rates.rates(start + 1e15) == (0, 0, 0)


def test_a_change_shows_in_the_short_window_first():
    rates = DecayingRates(WINDOWS, 0)
    rates.add(10 * 86400)
    rates.rates(10 * 86400)
    for second in range(300):
        rates.add(5)
        minute, hour, day = rates.rates(10 * 86400 + second + 1)
    assert minute == pytest.approx(5, rel=0.01)
    assert 1.3 < hour < 1.4
    assert 1.01 < day < 1.02


def test_how_often_one_looks_makes_no_difference_to_a_steady_flow():
    often, once = DecayingRates(WINDOWS, 0), DecayingRates(WINDOWS, 0)
    for second in range(1, 5001):
        for rates in (often, once):
            rates.add(3)
        often.rates(second)
        often.rates(second + 0.5)  # within a second: nothing is divided by nearly nothing, nothing is lost
    assert often.rates(5000) == pytest.approx(once.rates(5000), rel=1e-6)


def test_before_anything_and_within_the_first_second():
    rates = DecayingRates(WINDOWS, 1000)
    assert rates.rates(1000) == (0, 0, 0)
    rates.add(5)
    assert rates.rates(1000.5) == (0, 0, 0)
    assert rates.rates(1001) == pytest.approx([5, 5, 5])


def test_a_clock_that_is_set_back_loses_nothing():
    rates = DecayingRates(WINDOWS, 1e9)
    rates.add(1000)
    assert rates.rates(1e9 + 100) == pytest.approx([10, 10, 10])
    rates.add(5)
    assert rates.rates(1000) == pytest.approx([10, 10, 10])
    for second in range(1, 1000):
        rates.add(20)
        rates.rates(1000 + second)
    minute, hour, day = rates.rates(1999)
    assert minute == pytest.approx(20, rel=0.01)
    assert 18 < hour < 20
    assert 18 < day < 20


@given(st.floats(0, 2e9), st.lists(st.tuples(st.floats(-1e6, 1e6) | st.floats(0, 5), st.floats(0, 1e20))))
def test_rates_are_never_more_than_what_was_added(start, steps):
    rates, now, added = DecayingRates(WINDOWS, start), start, 0.0
    for step, amount in steps:
        now = max(0.0, now + step)
        rates.add(amount)
        added += amount
        for rate in rates.rates(now):
            assert 0 <= rate <= added * 1.001


def test_nothing_counted_takes_no_room_and_a_silence_gives_it_back():
    window, rates = WindowedSum(WINDOW, BUCKETS), DecayingRates((60.0, 600.0), 0.0)
    assert window.total(100.0) == 0.0
    assert rates.rates(100.0) == (0.0, 0.0)
    assert not window._buckets
    assert not rates._rates
    window.add(6.0, 130.0)
    rates.add(6.0)
    assert window.total(135.0) == 6.0
    assert rates.rates(135.0)[0] > 0
    assert window.total(135.0 + 2 * WINDOW) == 0.0
    assert not window._buckets
