"""pool_stats: what recording costs, and what a snapshot of ten thousand workers and a page of metrics do. Printed
by `python -m tests.bench web`."""

from __future__ import annotations

import time
from collections.abc import Callable

from p2pool.pool_stats import BlockRecord, PoolStats, ShareRecord
from p2pool.pool_stats.workers import MAX_WORKERS
from p2pool.web.metrics import render_metrics
from tests.bench import measure
from tests.bench.measure import Table

NOW = 1_700_000_000.0
WORKERS, ADDRESSES = MAX_WORKERS, 1000
PACE = 10
"""Seconds a submission: the default pace of a worker."""
RECORDS = 10_000
"""Calls of each kind in a round."""
NAMED = 100
"""Workers in the metrics, as by default."""


def names(count: int) -> list[str]:
    """So many workers of ADDRESSES addresses."""
    return [f"yAddressOfThirtyFourCharacters{number % ADDRESSES:05d}.rig{number}" for number in range(count)]


def full_stats() -> tuple[PoolStats, list[str]]:
    """All workers, each with a connection and some submissions."""
    stats, workers = PoolStats(NOW - 600), names(WORKERS)
    for number, name in enumerate(workers):
        stats.record_connected(NOW - 500)
        stats.record_worker_on(name, difficulty=8.0, now=NOW - 500)
        for step in range(3):
            stats.record_accepted(name, attempts=1e9, difficulty=8.0, dead=False, now=NOW - 400 + 100 * step)
        if number % 50 == 0:
            stats.record_refused(name, 21, NOW - 50)
    return stats, workers


def record_times() -> dict[str, float]:
    """Microseconds of a call to each record_* that events of the mining path make, the best round of each."""
    stats, workers = full_stats()
    calls: dict[str, Callable[[int, str, float], object]] = {
        "accepted": lambda number, name, now: stats.record_accepted(
            name, attempts=1e9, difficulty=8.0, dead=number % 50 == 0, now=now
        ),
        "refused": lambda number, name, now: stats.record_refused(name, 20 + number % 6, now),
        "submissions": lambda number, name, now: stats.record_submissions(1, 0.001),
        "fan_out": lambda number, name, now: stats.record_job_broadcast(0.1),
        "worker_on": lambda number, name, now: stats.record_worker_on(name, difficulty=8.0, now=now),
        "worker_off": lambda number, name, now: stats.record_worker_off(name),
        "software": lambda number, name, now: stats.record_software(name, "cgminer/4.12"),
        "connected": lambda number, name, now: stats.record_connected(now),
        "disconnected": lambda number, name, now: stats.record_disconnected(),
        "share": lambda number, name, now: stats.record_share(ShareRecord(now, number, name, False, 10)),
        "block": lambda number, name, now: stats.record_block(BlockRecord(now, number, 1, name, None, 1)),
        "new_block_job": lambda number, name, now: stats.record_new_block_job("zmq", 0.01),
        "turned_away": lambda number, name, now: stats.record_turned_away("banned", now),
        "offence": lambda number, name, now: stats.record_offence("malformed lines"),
        "reactor_delay": lambda number, name, now: stats.record_reactor_delay(0.001, now),
    }
    return {kind: _microseconds(call, workers) for kind, call in calls.items()}


def _microseconds(call: Callable[[int, str, float], object], workers: list[str]) -> float:
    """Of one call; events come a thousand a second, of one worker after the other."""
    best = float("inf")
    for _ in range(measure.ROUNDS):
        start = time.perf_counter()
        for number in range(RECORDS):
            call(number, workers[number % len(workers)], NOW + number / 1000)
        best = min(best, (time.perf_counter() - start) / RECORDS)
    return best * 1e6


def record_us() -> float:
    """The dearest record_* of the mining path, in microseconds."""
    return max(record_times().values())


def _steps(stats: PoolStats, now: float) -> list[float]:
    """Seconds of each step of a snapshot."""
    steps, taken = stats.taking(now), []
    going_on = True
    while going_on:
        start = time.perf_counter()
        going_on = next(steps, "done") != "done"
        taken.append(time.perf_counter() - start)
    return taken


def snapshot_times(changed: int) -> tuple[float, float]:
    """(milliseconds of a snapshot, of the longest of its steps), where so many workers did something since the
    last one, a second ago."""
    stats, workers = full_stats()
    stats.snapshot(NOW)
    best = longest = float("inf")
    for second in range(1, measure.ROUNDS + 20):  # the last ones: silent workers are looked at every 15 s
        for number in range(changed):
            stats.record_accepted(
                workers[(second * changed + number) % WORKERS],
                attempts=1e9,
                difficulty=8.0,
                dead=False,
                now=NOW + second,
            )
        steps = _steps(stats, NOW + second)
        if second >= 20:
            best, longest = min(best, sum(steps)), min(longest, max(steps))
    return best * 1000, longest * 1000


def snapshot_10000_ms() -> float:
    """Milliseconds of a snapshot of all workers at the usual pace."""
    return snapshot_times(WORKERS // PACE)[0]


def metrics_ms() -> float:
    """Milliseconds of rendering /metrics with all workers."""
    snapshot = full_stats()[0].snapshot(NOW)
    return measure.seconds_per_call(lambda: render_metrics(snapshot, NAMED)) * 1000


def add_rows(table: Table) -> None:
    """All of them, into a table of others' figures as well."""
    times = record_times()
    dearest = max(times, key=lambda kind: times[kind])
    table.add("record_us", f"the dearest record_* ({dearest})", times[dearest], "us")
    table.add("record_accepted_us", "record_accepted", times["accepted"], "us")
    usual, step = snapshot_times(WORKERS // PACE)
    table.add("snapshot_10000_ms", f"a snapshot of {WORKERS} workers, a {PACE}th of them active", usual, "ms")
    table.add("snapshot_step_ms", "its longest step: what miners wait for", step, "ms")
    table.add("snapshot_all_changed_ms", "a snapshot where all of them were", snapshot_times(WORKERS)[0], "ms")
    table.add("metrics_ms", f"/metrics of {WORKERS} workers, {NAMED} of them named", metrics_ms(), "ms")


def main() -> None:
    """Print them alone."""
    table = Table("statistics (one core, in process)")
    add_rows(table)
    table.finish()
