"""The difficulty of one connection: pace, steps, limits, and when it is left alone."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.stratum.vardiff import Vardiff, clamp, power_of_two
from tests.bench import vardiff as bench

START = 1000.0


def make(start: float = 16.0, minimum: float = 0.001, maximum: float = 1_000_000.0, seconds: float = 10.0):
    return Vardiff(start=start, minimum=minimum, maximum=maximum, seconds=seconds)


def mine(vardiff: Vardiff, count: int, period: float, now: float = START) -> float:
    """`count` pseudoshares, one in `period` seconds; judged after each, as the session does."""
    for _ in range(count):
        vardiff.accepted(vardiff.difficulty, now)
        vardiff.adjust(now)
        now += period
    return now


def settle(hash_rate: float, vardiff: Vardiff, seed: int = 1) -> float:
    """What a miner of so many (difficulty 1)/second comes to, by chance as real ones; at most 5000 a second."""
    rng = random.Random(seed)
    now = START
    for _ in range(20_000):
        vardiff.accepted(vardiff.difficulty, now)
        vardiff.adjust(now)
        now += rng.expovariate(min(hash_rate / vardiff.difficulty, 5000.0))
    return vardiff.difficulty


def silence(vardiff: Vardiff, start: float, seconds: float) -> list[tuple[float, float]]:
    """The timer's calls during a silence: (seconds of it, the new difficulty) of each change."""
    changes = []
    for number in range(1, int(seconds / 5) + 1):
        if vardiff.adjust(start + 5.0 * number):
            changes.append((5.0 * number, vardiff.difficulty))
    return changes


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


def test_a_fast_miner_is_judged_once_enough_came_to_be_right_at_once():
    vardiff = make()
    now = mine(vardiff, 64, 0.05)  # the first one is not counted
    assert vardiff.difficulty == 16
    mine(vardiff, 1, 0.05, now)
    assert vardiff.difficulty == 4096  # 20 a second where one in ten seconds is wanted: 200 times too fast


def test_what_is_not_very_fast_is_judged_from_fewer():
    vardiff = make()
    now = mine(vardiff, 16, 1.0)
    assert vardiff.difficulty == 16
    mine(vardiff, 1, 1.0, now)
    assert vardiff.difficulty == 128


def test_what_comes_in_one_segment_is_no_pace():
    vardiff = make()
    mine(vardiff, 1000, 1e-5)
    assert vardiff.difficulty == 16


def test_slow_is_judged_later_than_fast():
    fast, slow = make(), make()
    slow_time = fast_time = START
    while fast.difficulty == 16:
        fast_time = mine(fast, 1, 10.0 / 3, fast_time)
    while slow.difficulty == 16:
        slow_time = mine(slow, 1, 10.0 * 3, slow_time)
    assert fast.difficulty == 64
    assert slow.difficulty in (4, 8)
    assert slow_time - START > 2 * (fast_time - START)
    assert slow_time - START < 600


@pytest.mark.parametrize("period", [7.05, 10.0, 14.15])
def test_a_pace_that_no_other_power_of_two_fits_better_stays(period):
    vardiff = make()
    mine(vardiff, 5000, period)
    assert vardiff.difficulty == 16


@pytest.mark.parametrize(("factor", "seconds"), [(4, 300), (16, 120), (1 / 4, 1000), (1 / 16, 1000)])
@pytest.mark.parametrize("period", [7.5, 10.0, 13.0])
def test_a_miner_that_changes_after_hours_is_judged_by_what_it_does_since(factor, seconds, period):
    vardiff = make(start=1024.0)
    now = changed = mine(vardiff, 2000, period)
    assert vardiff.difficulty == 1024
    hash_rate = 1024 / period * factor
    due = vardiff.difficulty / hash_rate
    while now < changed + seconds:
        # What is left to do of a share scales with the difficulty.
        now += 1.0
        before = vardiff.difficulty
        due -= 1.0
        while due <= 0:
            vardiff.accepted(before, now)
            due += before / hash_rate
        if vardiff.adjust(now):
            due *= vardiff.difficulty / before
    assert 0.5 < vardiff.difficulty / (hash_rate * 10) < 2


def test_another_wanted_interval_applies_at_once():
    """Several workers that share a connection want more pseudoshares together: nothing kept depends on it."""
    vardiff = make()
    now = mine(vardiff, 100, 10.0)
    vardiff.seconds = 2.5
    while vardiff.difficulty == 16 and now < START + 1500:
        now = mine(vardiff, 1, 10.0, now)
    assert vardiff.difficulty == 4


def test_silence_lowers_step_by_step_with_more_patience_each_time():
    vardiff = make(start=1024.0)
    mine(vardiff, 1, 0.0)
    assert silence(vardiff, START, 3600) == [(125, 256), (370, 64), (855, 16), (1820, 4)]


def test_silence_lowers_to_the_minimum_and_no_further():
    vardiff = make(start=2.0, minimum=0.3)
    mine(vardiff, 1, 0.0)
    assert silence(vardiff, START, 50_000) == [(125, 0.5), (370, 0.3)]


def test_a_short_interruption_changes_nothing():
    vardiff = make()
    now = START
    for _ in range(50):
        now = mine(vardiff, 60, 10.0, now) - 10.0
        assert silence(vardiff, now, 100) == []
        now += 100
    assert vardiff.difficulty == 16


def test_a_miner_that_was_off_for_minutes_gets_its_difficulty_back_in_seconds():
    vardiff = make(start=1024.0)
    off = mine(vardiff, 100, 10.0)
    assert len(silence(vardiff, off, 900)) == 3
    now = off + 900
    while vardiff.difficulty != 1024:
        now = mine(vardiff, 1, vardiff.difficulty / 102.4, now)
        assert now < off + 920


def test_patience_starts_over_with_every_pseudoshare():
    vardiff = make(start=1024.0)
    mine(vardiff, 1, 0.0)
    assert silence(vardiff, START, 400) == [(125, 256), (370, 64)]
    mine(vardiff, 1, 0.0, START + 400)
    assert silence(vardiff, START + 400, 130) == [(125, 16)]


def test_no_number_of_jumps_of_a_clock_is_too_much():
    vardiff = make()
    vardiff.accepted(16.0, 0.0)
    for _ in range(1100):
        vardiff.adjust(math.inf)
        vardiff.adjust(0.0)
    assert vardiff.difficulty == 0.001


def test_a_clock_that_jumps_ahead_is_one_silence():
    vardiff = make(start=1024.0)
    mine(vardiff, 20, 10.0)
    assert silence(vardiff, START + 1e9, 115) == [(5, 256)]


def test_the_time_before_the_first_pseudoshare_is_no_slowness():
    vardiff = make()
    silence(vardiff, START, 100_000)
    assert vardiff.difficulty == 16
    mine(vardiff, 100, 10.0, START + 100_000)
    assert vardiff.difficulty == 16


def test_a_backup_that_never_submitted_is_left_alone():
    vardiff = make()
    assert not vardiff.adjust(START + 1e6)
    assert vardiff.difficulty == 16


# --- the search for slow miners ----------------------------------------------------------------------------


def test_a_silent_connection_is_searched_for_once_in_four_steps_and_back():
    vardiff = make(start=64.0)
    assert silence(vardiff, START, 3 * 86_400) == [(65, 4), (125, 0.25), (185, 2**-6), (245, 0.001), (905, 64)]


@pytest.mark.parametrize(
    ("start", "minimum", "changes"),
    [
        (1024.0, 1.0, [256, 32, 8, 1]),  # no lower than the operator's minimum
        (2.0**-9, 0.001, [0.001]),
        (2.0**-12, 2.0**-20, []),  # easier than the slowest rig needs
        (16.0, 16.0, []),
    ],
)
def test_the_search_keeps_within_the_limits(start, minimum, changes):
    vardiff = make(start=start, minimum=minimum)
    found = [difficulty for _, difficulty in silence(vardiff, START, 800)]
    assert len(found) <= 4
    assert found[-1:] == changes[-1:]
    assert all(power_of_two(difficulty) == difficulty or difficulty == minimum for difficulty in found)
    assert min([*found, start]) >= minimum


def test_a_minimum_that_the_miner_asks_for_during_the_search_holds_after_it():
    vardiff = make(start=64.0)
    silence(vardiff, START, 130)
    vardiff.set_minimum(128.0)
    assert vardiff.difficulty == 128
    silence(vardiff, START + 130, 10_000)
    assert vardiff.difficulty == 128


def test_a_start_that_was_asked_for_is_kept_for_ten_minutes():
    vardiff = make()
    vardiff.set(512.0)
    changes = silence(vardiff, START, 86_400)
    assert changes[0][0] == 605
    assert changes[-1] == (1445, 512)
    assert len(changes) == 5


def test_who_was_fast_or_is_known_to_be_is_not_searched_for():
    fast, known = make(start=64.0), make(start=64.0)
    mine(fast, 30, 10.0)
    fast.set(64.0)  # resumed by another connection, or asked for
    assert silence(fast, START + 300, 595) == []
    known.stop_search()
    assert silence(known, START, 86_400) == []
    assert known.difficulty == 64


def test_a_clock_that_jumps_does_not_end_the_search():
    vardiff = make(start=64.0)
    for number in range(60):
        vardiff.adjust(START + 5.0 * number + (86_400.0 if number % 20 > 10 else 0.0))  # ahead and back again
    assert vardiff.difficulty < 0.02


def first_share(hash_rate: float, seed: int, start: float = 64.0) -> tuple[float, bench.Run]:
    """When a steady rig on a line with latency has its first pseudoshare, and all that came of three hours."""
    vardiff = make(start=start)
    first: list[float] = []

    class Watched(bench.Connection):
        def _submit(self, result: bench.Run) -> bool:
            before = result.accepted
            changed = super()._submit(result)
            if result.accepted > before and not first:
                first.append(self.now)
            return changed

    run = Watched(bench.Miner(), [(0.0, hash_rate)], 10_800.0, random.Random(seed), vardiff).run()
    return (first[0] if first else math.inf), run


@pytest.mark.parametrize("hash_rate", [1e5, 1e6, 1e7, 1e8, 1e9])
def test_a_slow_rig_shows_life_within_ten_minutes_and_settles(hash_rate):
    firsts = []
    for seed in range(30):
        first, run = first_share(hash_rate, seed)
        firsts.append(first)
        ideal = max(0.001, hash_rate / bench.HASHES * 10)
        assert 0.2 < run.changes[-1][1] / ideal < 5
        assert run.refused == 0
    assert max(firsts) < 600


@pytest.mark.parametrize("hash_rate", [1e10, 1.7e12])
def test_an_asic_is_as_soon_at_its_difficulty_as_without_a_search(hash_rate):
    submitted: dict[bool, int] = {False: 0, True: 0}
    for searched in (False, True):
        for seed in range(10):
            vardiff = make(start=64.0)
            if not searched:
                vardiff.stop_search()
            run = bench.Connection(bench.Miner(), [(0.0, hash_rate)], 3600.0, random.Random(seed), vardiff).run()
            submitted[searched] += run.accepted
            assert run.refused == 0
    assert submitted[True] < 1.2 * submitted[False] + 200


@pytest.mark.parametrize("wait", [100.0, 300.0, 700.0, 2000.0])
def test_an_asic_that_begins_late_floods_nobody(wait):
    """Its firmware tunes for minutes, or this node was its backup."""
    vardiff = make(start=64.0)
    phases = [(0.0, 0.0), (wait, 1.7e12)]
    run = bench.Connection(bench.Miner(), phases, wait + 600, random.Random(1), vardiff).run()
    at_rest = 600 / 10 * 3
    assert run.accepted < (at_rest + 600 if wait > 905 else at_rest + 3 * bench.FASTEST)
    assert len([when for when, _ in run.changes if when > wait + 10]) <= 3
    assert 0.5 < vardiff.difficulty / (1.7e12 / bench.HASHES * 10) < 2
    assert run.refused == 0


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


@pytest.mark.parametrize(("start", "got"), [(0.0, 0.001), (1e-9, 0.001), (1e12, 2.0**19), (100.0, 128.0)])
def test_a_start_that_nobody_asked_for_is_a_power_of_two(start, got):
    assert make(start=start).difficulty == got


def test_asking_starts_the_judgement_over():
    vardiff = make()
    mine(vardiff, 7, 10.0)
    vardiff.set(32.0)
    assert not vardiff.adjust(START + 1e6)


def test_a_minimum_may_be_asked_for_again_and_never_lowers_the_difficulty_itself():
    vardiff = make(start=16.0, minimum=1.0, maximum=100.0)
    vardiff.set_minimum(0.1)
    assert (vardiff.minimum, vardiff.difficulty) == (0.1, 16.0)
    vardiff.set_minimum(20.0)
    assert (vardiff.minimum, vardiff.difficulty) == (20.0, 32.0)
    vardiff.set_minimum(1e9)
    assert (vardiff.minimum, vardiff.difficulty) == (100.0, 100.0)


def test_pseudoshares_of_old_jobs_count_with_their_own_difficulty():
    """Sixteen in ten seconds, each a sixteenth of the work: the pace is the wanted one."""
    old, current = make(start=16.0), make(start=16.0)
    for number in range(500):
        for vardiff, difficulty in ((old, 1.0), (current, 16.0)):
            vardiff.accepted(difficulty, START + number * 0.625)
            vardiff.adjust(START + number * 0.625)
    assert old.difficulty == 16
    assert current.difficulty == 256


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


def test_a_clock_that_was_set_back_costs_no_more_than_that_moment():
    vardiff = make()
    now = mine(vardiff, 200, 10.0)
    mine(vardiff, 200, 10.0, now - 86_400.0)
    assert vardiff.difficulty == 16


TIMES = st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1e5)


@given(
    st.floats(2.0**-20, 1e5),
    st.floats(1.0, 1e5),
    st.floats(2.0**-30, 2.0**30),
    st.lists(st.tuples(TIMES, st.integers(0, 100), st.floats(1.0, 60.0)), max_size=60),
)
def test_whatever_the_times_the_difficulty_is_a_power_of_two_or_a_limit(minimum, factor, start, steps):
    maximum = minimum * factor
    vardiff = Vardiff(start=start, minimum=minimum, maximum=maximum, seconds=10.0)
    for now, submissions, seconds in steps:
        before = vardiff.difficulty
        vardiff.seconds = seconds
        for _ in range(submissions):
            vardiff.accepted(before, now)
        assert vardiff.adjust(now) == (vardiff.difficulty != before)
        difficulty = vardiff.difficulty
        assert minimum <= difficulty <= maximum
        if difficulty >= 1 and not math.log2(difficulty).is_integer():
            # Only where there is no power of two between the limits.
            assert difficulty in (minimum, maximum)
            assert maximum < 2.0 ** math.ceil(math.log2(minimum))


@given(st.lists(st.tuples(st.floats(0, 600), st.integers(0, 200)), max_size=60))
def test_with_time_going_on_the_same_holds_and_a_fixed_one_stays(steps):
    free, fixed = make(), make()
    fixed.set(7.0, fixed=True)
    now = START
    for wait, submissions in steps:
        now += wait
        for vardiff in (free, fixed):
            before = vardiff.difficulty
            for _ in range(submissions):
                vardiff.accepted(before, now)
            assert vardiff.adjust(now) == (vardiff.difficulty != before)
        assert 0.001 <= free.difficulty <= 2.0**19
        assert free.difficulty == 0.001 or math.log2(free.difficulty).is_integer()
        assert fixed.difficulty == 7


def connect(kind: int, vardiff: Vardiff, hash_rate: float = 1e11, seed: int = 1) -> bench.Run:
    """A simulated miner whose rate changes every ten minutes, on a line with latency."""
    phases = [(600.0 * number, hash_rate * 16 ** (number % 3)) for number in range(12)]
    miner = bench.Miner(**bench.KINDS[kind])
    return bench.Connection(miner, phases, 7200.0, random.Random(seed), vardiff).run()


@pytest.mark.parametrize("kind", range(len(bench.KINDS)))
def test_no_pseudoshare_is_lost_to_a_change(kind):
    run = connect(kind, make(start=0.001))
    assert len(run.changes) > 8
    assert run.accepted > 500
    assert run.refused == 0


def test_the_simulation_sees_what_rounding_firmware_loses_at_other_difficulties():
    assert connect(2, make(start=0.001, minimum=0.001, maximum=300.0)).refused == 0
    for kind, loses in ((0, False), (1, False), (2, True)):
        vardiff = make()
        vardiff.set(77.0, fixed=True)
        assert (connect(kind, vardiff).refused > 0) == loses


@pytest.mark.parametrize("hash_rate", [1e7, 3e9, 1e12])
def test_random_arrivals_change_a_settled_difficulty_seldom(hash_rate):
    """Ten hours each of several miners; the aim is fewer than two changes an hour."""
    changes = 0
    for seed in range(5):
        miner = bench.Miner()
        run = bench.Connection(miner, [(0.0, hash_rate)], 36_000.0, random.Random(seed), make(start=0.001)).run()
        changes += sum(1 for when, _ in run.changes if when > 1200)
        assert bench.settled_at(run.changes, hash_rate, 0.0, 36_000.0) is not None
    assert changes < 2 * 50
