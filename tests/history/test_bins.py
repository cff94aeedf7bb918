"""Bins: what lies in a graph is what was put into it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.history.bins import Bins
from p2pool.history.records import TIERS


@given(
    start=st.integers(0, 10**6),
    length=st.integers(1, 10**6),
    step=st.sampled_from([tier.step for tier in TIERS[:4]]),
    points=st.integers(1, 500),
    values=st.lists(st.floats(0, 1e9), max_size=40),
)
def test_what_is_counted_is_kept_and_means_stay_between(start, length, step, points, values):
    end = start + length
    bins = Bins(start=start, end=end, step=step, points=points, figures=["accepted", "hash_rate", "difficulty"])
    first = start // step * step
    times = [first + step * index for index in range(len(values)) if first + step * index < end]
    for time, value in zip(times, values, strict=False):
        bins.ran(time, step)
        bins.add(time, step, [value, value, value])
    made = bins.points()
    assert len(made.times) <= points + 1
    assert made.step % step == 0
    assert all(later - earlier == made.step for earlier, later in zip(made.times, made.times[1:], strict=False))
    assert made.times[0] <= start < made.times[0] + made.step
    assert made.times[-1] < end or made.times == [start // made.step * made.step]
    kept = values[: len(times)]
    counted = [each for each in made.figures["accepted"] if each is not None]
    assert math.isclose(sum(counted), sum(kept), abs_tol=1e-3)
    for name in ("hash_rate", "difficulty"):
        known = [each for each in made.figures[name] if each is not None]
        assert bool(known) == bool(kept)
        assert all(min(kept) - 1e-3 <= each <= max(kept) + 1e-3 for each in known)


def test_periods_of_different_lengths_weigh_by_their_length():
    bins = Bins(start=0, end=120, step=10, points=1, figures=["hash_rate", "pool_hash_rate"])
    for time, seconds, value in ((0, 60, 10.0), (60, 10, 80.0)):
        bins.ran(time, seconds)
        bins.add(time, seconds, [value, value])
    assert bins.points().figures == {"hash_rate": [20], "pool_hash_rate": [20]}


@pytest.mark.parametrize("time", [-10, 120, 10**12])
def test_what_lies_outside_is_left_out(time):
    bins = Bins(start=0, end=120, step=10, points=12, figures=["accepted"])
    bins.ran(time, 10)
    bins.add(time, 10, [5])
    assert bins.points().figures["accepted"] == [None] * 12
