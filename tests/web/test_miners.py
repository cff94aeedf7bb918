"""What a miner is told of itself: its judgement, its difficulty, and what it may expect."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from p2pool.pool_stats.difficulty_reason import DifficultyReason, difficulty_reason, difficulty_why
from p2pool.web.health import NO_DASHD
from tests.support import make_template
from tests.web.busy import ALICE, BOB, NOBODY, busy_pool, payee
from tests.web.pages import Pool

RATE = 2.0**32 * 8 / 10
"""Hashes a second that suit difficulty 8."""


@pytest.fixture(scope="module")
def busy() -> Pool:
    return busy_pool()


def ask(pool: Pool, name: str) -> dict:
    answer = pool.ask(f"/api/v1/miners/{quote(name, safe='')}")
    assert answer.status == 200, answer.body
    return answer.json


def working_pool(minutes: int = 10) -> Pool:
    """One worker of BOB submits as it should."""
    pool = Pool(60, make_template(bits=0x1900FFFF))
    pool.stats.record_worker_on(f"{BOB}.rig", difficulty=8.0, now=pool.now)
    for _ in range(6 * minutes):
        pool.now += 10
        pool.stats.record_accepted(f"{BOB}.rig", attempts=8 * 2.0**32, difficulty=8.0, dead=False, now=pool.now)
    pool.refresh()
    return pool


# --- the judgement -------------------------------------------------------------------------------------------


def test_a_worker_and_its_address_are_judged_alike():
    pool = working_pool()
    one, whole = ask(pool, f"{BOB}.rig"), ask(pool, BOB)
    for told in (one, whole):
        assert (told["state"], told["reason"], told["advice"], told["address"]) == ("ok", "working", "", BOB)
        assert told["workers"] == {"ok": 1, "starting": 0, "slow": 0, "refused": 0, "silent": 0, "offline": 0}
        assert told["hash_rate"] == pytest.approx(RATE, rel=0.1)
    assert (one["is_address"], whole["is_address"]) == (False, True)
    listed = pool.ask("/api/v1/workers").json["workers"][0]
    assert (listed["state"], listed["reason"]) == ("ok", "working")


def test_refused_silent_and_offline_miners_are_told_why():
    pool = working_pool()
    for _ in range(30):
        pool.stats.record_refused(f"{BOB}.rig", 23, pool.now)
    pool.refresh()
    assert (told := ask(pool, BOB))["reason"] == "low_difficulty"
    assert "rejected, 30 of them as below the difficulty" in told["why"]
    assert "temperature" in told["advice"]
    assert told["why"].startswith("{recent_refused} of its last {recent_submissions} ".format(**told["facts"]))
    assert (told["facts"]["workers"], told["facts"]["refused_for_reason"]) == (["rig"], 30)
    pool.now += 900
    pool.refresh()
    assert ask(pool, BOB)["reason"] == "stopped"
    object.__setattr__(pool.sources, "missing", lambda: [NO_DASHD])
    assert (told := ask(pool, BOB))["reason"] == "no_work"
    assert "Nothing is wrong with the miner" in told["advice"]
    assert pool.ask(f"/api/v1/workers/{BOB}.rig").json["reason"] == "no_work"
    pool.stats.record_worker_off(f"{BOB}.rig")
    pool.refresh()
    assert ask(pool, BOB)["state"] == "offline"


@pytest.mark.parametrize(
    ("name", "reason", "why"),
    [
        (f"{ALICE}.none", "unknown", "no record of a worker"),
        (NOBODY, "unknown", "no record of it"),
        (f"{ALICE[:-1]}x.rig", "wrong_address", "copy the address again"),
        ("rig1", "wrong_address", "The node rejects it: "),
        ("<script>.x", "wrong_address", "The node rejects it: "),
        ("__proto__", "wrong_address", "The node rejects it: "),
    ],
)
def test_names_that_the_node_does_not_know(busy, name, reason, why):
    told = ask(busy, name)
    assert told["reason"] == reason
    assert why in told["why"]
    assert (told["hash_rate"], told["difficulty"]) == (0, None)


# --- what it may expect --------------------------------------------------------------------------------------


def test_expected_times_are_those_of_the_figures_of_the_chain():
    pool = working_pool()
    told, pool_figures = ask(pool, f"{BOB}.rig"), pool.ask("/api/v1/pool").json
    expected, rate = told["expected"], told["hash_rate"]
    assert expected["submission_time"] == pytest.approx(10, rel=0.1)
    attempts = pool.ask("/local_stats").json["attempts_to_share"]
    assert expected["share_time"] == pytest.approx(attempts / rate)
    # It has no share yet, which takes moments; then the pool must find a block.
    to_block = pool_figures["observed_time_to_block"]
    assert expected["payout_time"] == pytest.approx(to_block, rel=0.1)
    day, week, month = expected["periods"]
    assert (day["days"], week["days"], month["days"]) == (1, 7, 30)
    # On average what the whole network's miners share out, in proportion to work.
    blocks = rate * 86400 / pool_figures["block_attempts"]
    income = blocks * pool_figures["block_value_miners"]["duffs"]
    assert 0.97 * income < day["amount"]["duffs"] < 1.03 * income
    assert month["amount"]["duffs"] == pytest.approx(30 * day["amount"]["duffs"], rel=1e-6)
    for each in (day, week, month):
        assert each["payouts_low"] <= each["payouts_high"]
        assert each["amount_low"]["duffs"] <= each["amount_high"]["duffs"]


def test_without_a_template_nothing_is_expected():
    pool = Pool(10)
    pool.stats.record_worker_on(f"{BOB}.rig", difficulty=8.0, now=pool.now)
    pool.refresh()
    told = ask(pool, BOB)
    assert (told["state"], told["expected"]) == ("starting", None)


def test_an_address_that_mines_elsewhere_expects_payouts_as_well(busy):
    told = ask(busy, payee(busy, 1))
    assert told["reason"] == "unknown"
    assert told["expected"]["share_time"] is None
    assert told["expected"]["payout_time"] > 0


# --- the difficulty ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("difficulty", "rate", "share_difficulty", "reason"),
    [
        (8.0, RATE, 1000.0, DifficultyReason.PACE),
        (16.0, RATE, 1000.0, DifficultyReason.PACE),
        (64.0, RATE, 1000.0, DifficultyReason.HIGH),
        (1.0, RATE, 1000.0, DifficultyReason.LOW),
        (2.0, RATE, 2.5, DifficultyReason.SHARE),
        (0.5, RATE, 2.5, DifficultyReason.LOW),
        (8.0, 0.0, 1000.0, DifficultyReason.SEARCHING),
    ],
)
def test_the_difficulty_has_a_reason(difficulty, rate, share_difficulty, reason):
    told = difficulty_reason(difficulty, rate=rate, share_difficulty=share_difficulty, pace=10.0)
    assert told is reason
    assert difficulty_why(told, difficulty, rate=rate, pace=10.0).endswith(".")


def test_the_interval_between_submissions_is_told():
    for difficulty, interval in (
        (8.0, "about every 10 s,"),
        (4.0, "about every 5.0 s,"),
        (80.0, "every 1 min 40 s "),
    ):
        reason = difficulty_reason(difficulty, rate=RATE, share_difficulty=1e6, pace=10.0)
        assert interval in difficulty_why(reason, difficulty, rate=RATE, pace=10.0)


def test_the_difficulty_of_an_address_is_its_highest(busy):
    assert ask(busy, ALICE)["difficulty"]["value"] == 8
    pool = working_pool()
    assert ask(pool, BOB)["difficulty"]["reason"] == ask(pool, f"{BOB}.rig")["difficulty"]["reason"]
    pool.stats.record_worker_on(f"{BOB}.two", difficulty=32.0, now=pool.now)
    pool.refresh()
    told = ask(pool, BOB)["difficulty"]
    assert (told["value"], told["reason"]) == (32, "highest")
