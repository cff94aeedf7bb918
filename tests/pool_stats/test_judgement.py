"""Whether a miner is all right, by its figures."""

from __future__ import annotations

import pytest

from p2pool.pool_stats import PoolStats, WorkerSnapshot
from p2pool.pool_stats.judgement import (
    ADVICE,
    FIRST_SUBMISSION,
    INTERVALS,
    KNOWN_FOR,
    LOW_RATE,
    REFUSED_ENOUGH,
    SILENCE,
    STATES,
    MinerState,
    Reason,
    judge,
    judge_address,
)
from p2pool.pool_stats.recent_refusals import PERIOD, Refusals

NOW = 1_700_000_000.0
RATE = 2.0**32 * 8 / 10
"""Hashes a second that submit every ten seconds at difficulty 8."""
DAY = NOW - 86400


def worker(name: str = "X.rig", **figures) -> WorkerSnapshot:
    """A good worker, but for these figures."""
    good = WorkerSnapshot(
        name,
        connections=1,
        difficulty=8.0,
        hash_rate=RATE,
        dead_rate=0.0,
        hash_rates=(RATE, RATE, RATE),
        accepted=8000,
        refused=0,
        refused_by={},
        dead=0,
        shares=3,
        last_seen=NOW - 5,
        last_accepted=NOW - 5,
        software="x",
        first_seen=DAY,
        hash_rate_low=0.8 * RATE,
        hash_rate_high=1.2 * RATE,
    )
    return good._replace(**figures)


def silent_for(seconds: float, **figures) -> WorkerSnapshot:
    return worker(last_seen=NOW - seconds, last_accepted=NOW - seconds, **figures)


NEVER = {"accepted": 0, "last_accepted": None, "hash_rate": 0.0, "hash_rates": (0.0, 0.0, 0.0)}
TABLE = [
    (worker(), Reason.WORKING),
    (worker(connections=0), Reason.DISCONNECTED),
    (worker(connections=0, refusals=Refusals(0, 99, 21, 99)), Reason.DISCONNECTED),
    # Silence: two minutes, or more if submissions are rare.
    (silent_for(SILENCE - 1), Reason.WORKING),
    (silent_for(SILENCE + 1), Reason.STOPPED),
    (silent_for(SILENCE + 1, difficulty=32.0), Reason.WORKING),
    (silent_for(INTERVALS * 40 + 1, difficulty=32.0), Reason.STOPPED),
    (silent_for(3000, hash_rate=0.0, hash_rate_high=0.0), Reason.STOPPED),
    (worker(last_accepted=NOW - 3000, last_seen=NOW - 20), Reason.RECONNECTED),
    # The first submission takes its time.
    (worker(**NEVER, first_seen=NOW - FIRST_SUBMISSION + 1), Reason.NEW),
    (worker(**NEVER, first_seen=NOW - FIRST_SUBMISSION - 1), Reason.NEVER_SUBMITTED),
    (worker(first_seen=NOW - 60, accepted=3, hash_rate_high=3 * RATE), Reason.NEW),
    (worker(first_seen=NOW - KNOWN_FOR - 1, accepted=3, hash_rate_high=3 * RATE), Reason.WORKING),
    # Slow: even the upper end of the interval is below what is usual.
    (worker(hash_rate=0.5 * RATE, hash_rate_high=(LOW_RATE - 0.01) * RATE), Reason.BELOW_USUAL),
    (worker(hash_rate=0.5 * RATE, hash_rate_high=(LOW_RATE + 0.01) * RATE), Reason.WORKING),
    (worker(hash_rate=0.5 * RATE, hash_rate_high=0.6 * RATE, first_seen=NOW - 900), Reason.WORKING),
    (worker(dead_rate=0.16 * RATE), Reason.LATE),
    (worker(dead_rate=0.14 * RATE), Reason.WORKING),
    (worker(dead_rate=0.16 * RATE, accepted=10), Reason.WORKING),
    # Refused: enough of them, and a large part.
    (worker(refusals=Refusals(0, REFUSED_ENOUGH - 1, 23, 4)), Reason.WORKING),
    (worker(refusals=Refusals(20, 6, 23, 4)), Reason.LOW_DIFFICULTY),
    (worker(refusals=Refusals(25, 6, 23, 4)), Reason.WORKING),
    (worker(refusals=Refusals(0, 9, 21, 9)), Reason.STALE),
    (worker(refusals=Refusals(0, 9, 22, 9)), Reason.DUPLICATE),
    (worker(refusals=Refusals(0, 9, 24, 9)), Reason.UNAUTHORIZED),
    (worker(refusals=Refusals(0, 9, 25, 9)), Reason.NOT_SUBSCRIBED),
    (worker(refusals=Refusals(0, 9, 77, 9)), Reason.MALFORMED),
    (worker(**NEVER, first_seen=NOW - 60, refusals=Refusals(0, 9, 23, 9)), Reason.LOW_DIFFICULTY),
]


@pytest.mark.parametrize(("miner", "reason"), TABLE)
def test_a_worker_is_judged_by_its_figures(miner, reason):
    told = judge(miner, NOW)
    assert told.reason is reason
    assert told.state is STATES[reason]
    assert told.why.endswith(".")
    assert "None" not in told.why
    assert (told.advice == "") == (told.state is MinerState.OK)


def test_without_work_silence_is_the_nodes_fault():
    for miner in (silent_for(3000), worker(**NEVER)):
        assert judge(miner, NOW, has_work=False).reason is Reason.NO_WORK
    assert judge(worker(), NOW, has_work=False).reason is Reason.WORKING


def test_every_reason_has_a_state_and_advice():
    assert set(STATES) == set(ADVICE) == set(Reason)
    assert set(STATES.values()) == set(MinerState)


OK, AWAY = worker("X.ok"), worker("X.away", connections=0)
SLOW = worker("X.slow", hash_rate=0.2 * RATE, hash_rate_high=0.3 * RATE)
QUIET = silent_for(3000)._replace(name="X")
REJECTED = worker("X.bad", refusals=Refusals(1, 9, 22, 8))
RENAMED = worker("X.old", connections=0, hash_rates=(0.0, 0.0, 0.01 * RATE))
ADDRESSES = [
    ([], Reason.UNKNOWN, "no record"),
    ([OK], Reason.WORKING, "its last submission was accepted 5 s ago"),
    ([OK, OK], Reason.WORKING, "All 2 workers are OK."),
    ([AWAY, AWAY], Reason.DISCONNECTED, "None of its workers is connected."),
    ([OK, AWAY], Reason.WORKERS_OFFLINE, "1 of 2 workers OK, 1 offline. away: it is not connected. Of"),
    ([OK, RENAMED], Reason.WORKING, "1 of 2 workers OK, 1 offline."),
    ([OK, SLOW, AWAY], Reason.BELOW_USUAL, "slow: its hash rate is"),
    ([OK, SLOW, QUIET], Reason.STOPPED, "the unnamed worker: it is connected but submits nothing"),
    ([OK, SLOW, QUIET, REJECTED], Reason.DUPLICATE, "bad: 9 of its last 10 submissions were rejected"),
    ([REJECTED] * 5, Reason.DUPLICATE, "bad, bad, bad and 2 more: "),
    # Letters that are read from the right do not take the comma along.
    (
        [REJECTED._replace(name="X.\u05d0")] * 2,
        Reason.DUPLICATE,
        " \u2068\u05d0\u2069, \u2068\u05d0\u2069: 9 of its last 10",
    ),
]


@pytest.mark.parametrize(("workers", "reason", "why"), ADDRESSES)
def test_an_address_is_as_well_as_its_workers(workers, reason, why):
    told = judge_address(workers, NOW)
    assert told.judgement.reason is reason
    assert why in told.judgement.why
    assert sum(told.counts.values()) == len(workers)


def test_refusals_are_those_of_the_last_minutes():
    stats = PoolStats(NOW)
    stats.record_worker_on("X.rig", difficulty=8.0, now=NOW)

    def told(now: float) -> Refusals | None:
        return stats.snapshot(now).workers[0].refusals

    assert told(NOW) is None
    for code in (23, 21, 23):
        stats.record_refused("X.rig", code, NOW + 1)
    stats.record_accepted("X.rig", attempts=1e9, difficulty=8.0, dead=False, now=NOW + 2)
    assert told(NOW + 2) == Refusals(1, 3, 23, 2)
    stats.record_accepted("X.rig", attempts=1e9, difficulty=8.0, dead=False, now=NOW + PERIOD + 3)
    assert told(NOW + PERIOD + 3) == Refusals(2, 3, 23, 2)
    assert told(NOW + 2 * PERIOD + 30) is None
    stats.record_refused("X.rig", 22, NOW + 2 * PERIOD + 40)
    assert told(NOW + 2 * PERIOD + 41) == Refusals(0, 1, 22, 1)
    assert told(NOW - 9000) is None  # the clock was set back
