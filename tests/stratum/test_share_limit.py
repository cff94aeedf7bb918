"""The difficulty of a connection is not above that of its job's shares: those between would never be submitted."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.dash.target import difficulty_to_target, target_to_difficulty
from p2pool.stratum.job_registry import pseudoshare_limit
from p2pool.stratum.vardiff import Vardiff
from tests.stratum.miner import ADDRESS, NOW, FakeWork, Miner


def miner_of(share_difficulty: float, **settings) -> Miner:
    """A miner whose jobs have shares of this difficulty."""
    work = FakeWork()
    work.share_target = difficulty_to_target(share_difficulty)
    return Miner(work=work, **settings)


def newest(miner: Miner):
    return miner.session.state.newest


def next_work(miner: Miner, share_difficulty: float) -> list[dict]:
    """What the miner is sent for new work, whose shares have this difficulty."""
    miner.work.share_target = difficulty_to_target(share_difficulty)
    miner.registry.work_changed(0xABCD, True, miner.now)
    miner.session.send_work(miner.now)
    return miner.out()


@given(st.integers(0, 2**256 - 1))
def test_no_share_misses_the_limit(share_target):
    limit = pseudoshare_limit(share_target)
    assert limit.target >= share_target
    difficulty = target_to_difficulty(share_target)
    assert limit.difficulty <= difficulty
    if difficulty < 1:
        assert limit.difficulty == difficulty
    else:
        assert math.log2(limit.difficulty).is_integer()
        assert limit.difficulty > difficulty / 2


@pytest.mark.parametrize("username", [ADDRESS, ADDRESS + "+1000"])
def test_what_is_sent_is_the_power_of_two_below_the_share_s_difficulty(username):
    miner = miner_of(24.0, start_difficulty=1000.0)
    miner.login(username)
    assert newest(miner).difficulty == 16
    assert newest(miner).target == difficulty_to_target(16.0)
    assert miner.session.vardiff.difficulty >= 512


def test_below_one_every_share_counts_as_a_pseudoshare():
    miner = miner_of(0.7)
    miner.work.share_target += 12345
    miner.login(ADDRESS, "d=64")
    assert newest(miner).difficulty == target_to_difficulty(miner.work.share_target)
    assert newest(miner).target >= miner.work.share_target


def test_an_easier_difficulty_is_not_limited():
    miner = miner_of(24.0, start_difficulty=4.0)
    miner.login()
    assert newest(miner).difficulty == 4


def test_the_limit_follows_the_share_chain_from_job_to_job():
    miner = miner_of(24.0, start_difficulty=1000.0)
    miner.login()
    assert [m["method"] for m in next_work(miner, 31.0)] == ["mining.notify"]
    difficulty, notify = next_work(miner, 33.0)
    assert (difficulty["method"], difficulty["params"]) == ("mining.set_difficulty", [32])
    assert notify["method"] == "mining.notify"
    assert next_work(miner, 9.0)[0]["params"] == [8]


def test_a_change_beyond_the_limit_sends_nothing():
    miner = miner_of(24.0, start_difficulty=1000.0)
    miner.login()
    for difficulty in (17, 64, 10_000):
        assert len(miner.call("mining.suggest_difficulty", difficulty)) == 1
    assert miner.work.made == 1
    _, difficulty, _ = miner.call("mining.suggest_difficulty", 8)
    assert difficulty["params"] == [8]


def test_the_minimum_that_a_miner_requests_holds():
    miner = miner_of(24.0, start_difficulty=1000.0)
    miner.login()

    def configure(value: float) -> list:
        return miner.call("mining.configure", ["minimum-difficulty"], {"minimum-difficulty.value": value})[1:]

    assert configure(50)[0]["params"] == [64]  # a power of two again
    assert newest(miner).target == difficulty_to_target(64.0)
    assert configure(0)[0]["params"] == [16]
    assert configure(3) == []


@pytest.mark.parametrize(
    ("limit", "sent"), [(2000.0, 500.0), (500.0, 500.0), (64.0, 64.0), (32.0, 32.0), (16.0, 32.0), (0.5, 32.0)]
)
def test_the_operator_s_minimum_holds_as_well(limit, sent):
    vardiff = Vardiff(start=1.0, minimum=20.0, maximum=1e6, seconds=10.0)
    vardiff.set(500.0, fixed=True)
    assert vardiff.at_most(limit) == sent


def test_a_fixed_difficulty_at_the_minimum_stays_as_it_is():
    vardiff = Vardiff(start=1.0, minimum=20.0, maximum=1e6, seconds=10.0)
    vardiff.set(21.0, fixed=True)
    assert vardiff.at_most(16.0) == 21.0


def test_a_worker_is_shown_with_the_difficulty_that_it_has():
    miner = miner_of(24.0, start_difficulty=1000.0)
    miner.login(ADDRESS + ".a")
    miner.call("mining.authorize", ADDRESS + ".b", "x")
    assert miner.stats.of("record_worker_on")[-1][1] == 16


def test_a_miner_that_is_ten_times_too_fast_for_its_limit_is_left_alone():
    """Its difficulty is estimated by work, so that submissions at the limit's pace do not drive it up."""
    miner = miner_of(24.0, start_difficulty=64.0, share_rate=10.0)
    miner.login()
    made, rng, hash_rate, accepted, end = miner.work.made, random.Random(1), 16.0, 0, NOW + 4 * 3600
    estimates: dict[float, int] = {}
    tick = NOW
    while miner.now < end:
        miner.now += rng.expovariate(hash_rate / newest(miner).difficulty)
        while tick + 5.0 <= miner.now:
            tick += 5.0
            miner.session.tick(tick)
        miner.session._earned(ADDRESS, newest(miner).difficulty, miner.now)
        miner.session.finish_input(miner.now)
        accepted += 1
        estimate = miner.session.vardiff.difficulty
        estimates[estimate] = estimates.get(estimate, 0) + 1
        assert {m["method"] for m in miner.out()} <= {"mining.notify"}  # to keep the connection alive
    assert newest(miner).difficulty == 16
    assert miner.work.made == made
    assert accepted == pytest.approx(4 * 3600 * hash_rate / 16, rel=0.05)
    assert miner.session.vardiff.difficulty in (128, 256)  # 160 would be ideal
    assert estimates.get(128, 0) + estimates.get(256, 0) > 0.99 * accepted
