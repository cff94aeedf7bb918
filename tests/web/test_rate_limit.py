"""Token buckets: what a host may do at once, what it earns, and that their table is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.web.rate_limit import HostBuckets


def test_a_burst_then_the_rate():
    buckets = HostBuckets(rate=2, burst=3)
    assert [buckets.take("a", 100.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("a", 100.25) == 0.25
    assert buckets.take("a", 100.5) == 0
    assert buckets.take("a", 100.5) == 0.5
    assert [buckets.take("a", 200.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_hosts_do_not_share():
    buckets = HostBuckets(1, 1)
    assert buckets.take("a", 0) == 0
    assert buckets.take("a", 0) > 0
    assert buckets.take("b", 0) == 0


def test_looking_takes_nothing():
    buckets = HostBuckets(1, 1)
    for _ in range(5):
        assert buckets.wait("a", 0) == 0
    assert len(buckets) == 0
    assert buckets.take("a", 0) == 0
    assert buckets.wait("a", 0) == 1
    assert buckets.denied == 0


def test_a_clock_that_is_set_back_neither_fills_nor_freezes():
    buckets = HostBuckets(1, 2)
    buckets.take("a", 10_000)
    buckets.take("a", 10_000)
    assert buckets.take("a", 0) == 1
    assert buckets.take("a", 1) == 0


def test_the_table_is_bounded_and_forgets_who_was_quiet_longest():
    buckets = HostBuckets(1, 1, max_hosts=3)
    for host in "abc":
        buckets.take(host, 0)
    assert buckets.take("a", 0) > 0  # used again: "b" is the one that was quiet longest
    buckets.take("d", 0)
    assert len(buckets) == 3
    assert buckets.wait("a", 0) > 0
    assert buckets.wait("b", 0) == 0


def test_the_worst_come_first():
    buckets = HostBuckets(1, 1)
    for host, count in (("a", 1), ("b", 3), ("c", 5), ("d", 3)):
        for _ in range(count):
            buckets.take(host, 0)
    assert buckets.worst(3) == [("c", 4), ("b", 2), ("d", 2)]
    assert buckets.worst(10) == [("c", 4), ("b", 2), ("d", 2)]
    assert buckets.denied == 8


@given(
    st.floats(0.1, 1000),
    st.integers(1, 50),
    st.lists(st.floats(0, 2), min_size=1, max_size=200),
)
def test_never_more_than_burst_and_rate_allow(rate, burst, pauses):
    buckets, now, taken = HostBuckets(rate, burst), 0.0, 0
    for pause in pauses:
        now += pause
        taken += buckets.take("a", now) == 0
    assert taken <= burst + now * rate + 1e-6


@pytest.mark.parametrize("rate", [0.5, 3, 250])
def test_who_waits_as_told_is_served(rate):
    buckets, now = HostBuckets(rate, 2), 0.0
    for _ in range(50):
        wait = buckets.take("a", now)
        if wait:
            now += wait + 1e-9
            assert buckets.take("a", now) == 0
