"""Waits between attempts."""

from __future__ import annotations

import random

import pytest

from p2pool.base.backoff import Backoff, reconnect_policy


def test_waits_double_up_to_the_longest_and_begin_again_after_a_success():
    backoff = Backoff(1.0, 30.0)
    assert [backoff.next_wait() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert [backoff.next_wait() for _ in range(2)] == [1, 2]


def test_the_longest_wait_may_change_with_each_failure():
    backoff = Backoff(0.25, 60.0)
    assert [backoff.next_wait(2.0) for _ in range(5)] == [0.25, 0.5, 1, 2, 2]
    assert [backoff.next_wait() for _ in range(3)] == [2, 4, 8]
    assert [backoff.next_wait(2.0) for _ in range(2)] == [16, 2]


def test_a_failure_can_ask_for_the_longest_wait_at_once():
    backoff = Backoff(1.0, 30.0)
    backoff.skip_to_longest()
    assert [backoff.next_wait() for _ in range(2)] == [30, 30]


def test_reconnections_use_the_chance_of_the_environment():
    policy, chance = reconnect_policy(random.Random(7), first=0.5, longest=10.0), random.Random(7)
    for attempt in (0, 1, 2, 20, 5000):
        assert policy(attempt) == pytest.approx(min(0.5 * 1.5 ** min(attempt, 100), 10.0) + chance.random())
