"""The difficulty of one connection: pace, steps, limits, and when it is left alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.stratum.vardiff import Vardiff, clamp, power_of_two

START = 1000.0


def make(start: float = 16.0, minimum: float = 0.001, maximum: float = 1_000_000.0, seconds: float = 10.0):
    return Vardiff(start, minimum, maximum, seconds)


def mine(vardiff: Vardiff, count: int, period: float, now: float = START) -> float:
    """`count` pseudoshares, one in `period` seconds; judged after each, as the session does."""
    for _ in range(count):
        vardiff.accepted(vardiff.difficulty, now)
        vardiff.adjust(now)
        now += period
    return now


def settle(hash_rate: float, vardiff: Vardiff) -> float:
    """What a miner of so many (difficulty 1)/second comes to."""
    now = START
    for _ in range(400):
        vardiff.accepted(vardiff.difficulty, now)
        vardiff.adjust(now)
        now += vardiff.difficulty / hash_rate
    return vardiff.difficulty


@given(st.floats(2.0**-40, 2.0**60))
def test_the_nearest_power_of_two_by_ratio(difficulty):
    power = power_of_two(difficulty)
    assert math.log2(power).is_integer()
    assert 2**-0.51 <= power / difficulty <= 2**0.51


def test_clamp():
    assert [clamp(value, 2, 4) for value in (1, 2, 3, 4, 5)] == [2, 2, 3, 4, 4]


def test_a_steady_pace_changes_nothing():
    vardiff = make()
    mine(vardiff, 100, 10.0)
    assert vardiff.difficulty == 16


@pytest.mark.parametrize("hash_rate", [0.01, 0.5, 3.0, 1000.0, 30_000.0])
def test_every_miner_comes_to_about_the_wanted_pace(hash_rate):
    difficulty = settle(hash_rate, make())
    assert 0.25 < difficulty / hash_rate / 10 < 4
    assert math.log2(difficulty).is_integer()


def test_a_fast_miner_is_judged_before_it_sent_many():
    vardiff = make()
    mine(vardiff, 7, 0.1)  # fewer than a judgement of the pace needs otherwise
    assert vardiff.difficulty > 16


def test_one_step_is_at_most_sixteenfold():
    vardiff = make(start=1.0)
    now = START
    vardiff.accepted(1.0, now)
    for _ in range(1000):
        vardiff.accepted(1.0, now + 1)
    assert vardiff.adjust(now + 1)
    assert vardiff.difficulty == 16
    assert vardiff.adjust(now + 100_000)
    assert vardiff.difficulty == 1


def test_silence_lowers_step_by_step_to_the_minimum_and_no_further():
    vardiff = make(start=64.0, minimum=0.3)
    vardiff.accepted(64.0, START)
    assert not vardiff.adjust(START + 119)
    assert vardiff.adjust(START + 120)
    assert vardiff.difficulty == 4
    assert vardiff.adjust(START + 240)
    assert vardiff.difficulty == 0.3
    assert not vardiff.adjust(START + 360)
    assert not vardiff.adjust(START + 1000)
    assert vardiff.difficulty == 0.3


def test_a_backup_that_never_submitted_is_left_alone():
    vardiff = make()
    assert not vardiff.adjust(START + 1e6)
    assert vardiff.difficulty == 16


def test_a_fixed_difficulty_stays():
    vardiff = make()
    vardiff.set(5.0, fixed=True)
    mine(vardiff, 200, 0.01)
    assert vardiff.difficulty == 5
    assert not vardiff.adjust(START + 1e6)


@pytest.mark.parametrize(("asked", "got"), [(1e-9, 0.001), (1e12, 1e6), (77.0, 77.0)])
def test_what_a_miner_asks_for_is_clamped(asked, got):
    vardiff = make()
    vardiff.set(asked)
    assert vardiff.difficulty == got
    assert make(start=asked).difficulty == got


def test_asking_starts_the_judgement_over():
    vardiff = make()
    mine(vardiff, 7, 10.0)
    vardiff.set(32.0)
    assert not vardiff.adjust(START + 1e6)


def test_a_minimum_only_raises():
    vardiff = make(start=16.0, minimum=1.0, maximum=100.0)
    vardiff.set_minimum(0.1)
    assert (vardiff.minimum, vardiff.difficulty) == (1.0, 16.0)
    vardiff.set_minimum(20.0)
    assert (vardiff.minimum, vardiff.difficulty) == (20.0, 20.0)
    vardiff.set_minimum(1e9)
    assert (vardiff.minimum, vardiff.difficulty) == (100.0, 100.0)


def test_pseudoshares_of_old_jobs_count_with_their_own_difficulty():
    vardiff = make(start=16.0)
    vardiff.accepted(1.0, START)
    for number in range(1, 13):
        vardiff.accepted(1.0, START + number * 10)
    assert vardiff.adjust(START + 120)
    assert vardiff.difficulty == 1


def test_firmware_that_rounds_down_to_a_power_of_two_loses_nothing_at_the_limits():
    """1000000 is no power of two: a miner that worked at 524288 instead would be refused half the time."""
    assert settle(1e12, make(maximum=1_000_000.0)) == 2.0**19
    assert settle(1e-9, make(minimum=3.0)) == 4
    assert settle(1e12, make(minimum=5.0, maximum=7.0)) == 7  # nothing between: the limit itself


def test_a_clock_that_stands_or_steps_back_changes_nothing():
    vardiff = make()
    for _ in range(50):
        vardiff.accepted(16.0, START)
        assert not vardiff.adjust(START)
        assert not vardiff.adjust(START - 100)


@given(
    st.floats(2.0**-20, 1e5),
    st.floats(1.0, 1e5),
    st.lists(st.tuples(st.floats(0, 1e4), st.booleans()), max_size=60),
)
def test_the_difficulty_never_leaves_its_limits(minimum, factor, steps):
    vardiff = Vardiff(1.0, minimum, minimum * factor, 10.0)
    now = START
    for wait, submits in steps:
        now += wait
        before = vardiff.difficulty
        if submits:
            vardiff.accepted(before, now)
        changed = vardiff.adjust(now)
        assert changed == (vardiff.difficulty != before)
        assert minimum <= vardiff.difficulty <= minimum * factor
