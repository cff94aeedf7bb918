"""Durations in buckets."""

from __future__ import annotations

import pytest

from p2pool.base.histogram import Histogram


def test_values_of_the_same_size_may_be_counted_together():
    together, single = Histogram((0.1, 0.2)), Histogram((0.1, 0.2))
    together.add(0.15, 3)
    together.add(5.0, 2)
    for value in (0.15, 0.15, 0.15, 5.0, 5.0):
        single.add(value)
    assert together.snapshot().counts == single.snapshot().counts == (0, 3, 2)
    assert together.snapshot().total == pytest.approx(single.snapshot().total)


def test_a_value_on_a_bound_belongs_below_and_a_snapshot_stays():
    histogram = Histogram((0.1, 0.2))
    histogram.add(0.1)
    before = histogram.snapshot()
    histogram.add(0.2)
    assert before.counts == (1, 0, 0)
    assert histogram.snapshot().counts == (1, 1, 0)
    assert histogram.snapshot().quantile(0.5) == 0.1
    assert histogram.snapshot().quantile(0.99) == 0.2
    assert Histogram((0.1,)).snapshot().quantile(0.5) is None
