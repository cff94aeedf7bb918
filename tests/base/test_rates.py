"""Sums over a sliding window, against a model that remembers every amount."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.rates import WindowedSum

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
