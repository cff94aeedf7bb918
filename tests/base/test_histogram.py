"""Histograms against a model that remembers every value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.histogram import Histogram

BOUNDS = (0.1, 1.0, 5.0)


def filled(*values: float) -> Histogram:
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.add(value)
    return histogram


def test_a_value_on_a_bound_belongs_below():
    snapshot = filled(0.0, 0.1, 0.11, 1.0, 5.0, 5.01, 1e9).snapshot()
    assert snapshot.counts == (2, 2, 1, 2)
    assert snapshot.count == 7
    assert snapshot.total == pytest.approx(1e9 + 11.22)


def test_nothing():
    snapshot = filled().snapshot()
    assert (snapshot.counts, snapshot.count, snapshot.total) == ((0, 0, 0, 0), 0, 0.0)
    assert snapshot.quantile(0.5) is None


@pytest.mark.parametrize(
    ("values", "part", "bound"),
    [
        ([0.05], 0.5, 0.1),
        ([0.05, 0.5], 0.5, 0.1),
        ([0.05, 0.5], 0.51, 1.0),
        ([0.05, 0.5, 3], 1.0, 5.0),
        ([3.0], 0.0, 0.1),
        ([100.0], 0.5, 5.0),  # above the last bound is all that is known
        ([0.05] * 99 + [100.0], 0.99, 0.1),
        ([0.05] * 98 + [100.0] * 2, 0.99, 5.0),
    ],
)
def test_quantiles(values, part, bound):
    assert filled(*values).snapshot().quantile(part) == bound


def test_a_snapshot_does_not_change_afterwards():
    histogram = filled(0.5)
    before = histogram.snapshot()
    histogram.add(0.5)
    assert before.count == 1
    assert histogram.snapshot().count == 2


@given(
    st.lists(st.floats(-10, 1e6)),
    st.lists(st.floats(0, 1e5), min_size=1, max_size=20, unique=True),
    st.floats(0, 1),
)
def test_like_counting_them_all(values, bounds, part):
    bounds = sorted(bounds)
    histogram = Histogram(tuple(bounds))
    for value in values:
        histogram.add(value)
    snapshot = histogram.snapshot()
    assert snapshot.count == len(values)
    assert snapshot.total == pytest.approx(sum(values), rel=1e-9, abs=1e-6)
    for number, bound in enumerate(bounds):
        assert sum(snapshot.counts[: number + 1]) == sum(value <= bound for value in values)
    quantile = snapshot.quantile(part)
    if not values:
        assert quantile is None
    elif quantile != bounds[-1]:
        assert sum(value <= quantile for value in values) >= part * len(values)
