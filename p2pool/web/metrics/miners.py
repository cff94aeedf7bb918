"""Metrics of miners: connections, submissions, workers, and bans."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from p2pool.pool_stats import PoolSnapshot, WorkerSnapshot
from p2pool.web.metrics.declared import (
    Declared,
    DeclaredTimes,
    MetricType,
    Sample,
    View,
    announced_counter,
    by_word,
    counter,
    gauge,
    times,
)

REASONS = {
    20: "malformed",
    21: "stale",
    22: "duplicate",
    23: "low_difficulty",
    24: "unauthorized",
    25: "not_subscribed",
}
"""Stratum's error codes as words; others are "other"."""


def _rejected(view: View) -> Iterator[Sample]:
    """Return rejected submissions by reason, reasons without a case included."""
    refused = view.snapshot.refused
    for code in sorted({*REASONS, *refused}):
        yield (REASONS.get(code, "other"), str(code)), refused.get(code, 0)


def _of_workers(value: Callable[[WorkerSnapshot], float]) -> Callable[[View], Iterator[Sample]]:
    """Declare a figure of the strongest workers, no more of them than the operator allows."""

    def samples(view: View) -> Iterator[Sample]:
        for worker in strongest(view.snapshot, view.max_workers):
            yield (worker.name,), value(worker)

    return samples


class _Strongest:
    """The strongest workers of the newest snapshot: several metrics name them. Those that find nothing but are
    connected come after those that do."""

    def __init__(self) -> None:
        self._of: tuple[PoolSnapshot, int] | None = None
        self._workers: list[WorkerSnapshot] = []

    def __call__(self, snapshot: PoolSnapshot, count: int) -> list[WorkerSnapshot]:
        of = self._of
        if of is None or of[0] is not snapshot or of[1] != count:
            self._of = (snapshot, count)
            self._workers = heapq.nlargest(
                count,
                (worker for worker in snapshot.workers if worker.connections or worker.hash_rate),
                key=lambda worker: (worker.hash_rate, worker.connections, worker.name),
            )
        return self._workers


strongest = _Strongest()

MINERS: tuple[Declared | DeclaredTimes, ...] = (
    gauge(
        "p2pool_connected_workers",
        "Connected workers.",
        lambda s: sum(1 for worker in s.workers if worker.connections),
    ),
    gauge("p2pool_known_workers", "Workers with statistics, connected or not.", lambda s: len(s.workers)),
    gauge(
        "p2pool_known_addresses",
        "Payout addresses of workers with statistics.",
        lambda s: len(s.addresses),
    ),
    gauge("p2pool_connections", "Open connections from miners.", lambda s: s.connections),
    counter(
        "p2pool_connections_accepted_total",
        "Connections from miners that were accepted.",
        lambda s: s.security.connected,
    ),
    by_word(
        "p2pool_connections_turned_away_total",
        MetricType.COUNTER,
        "Rejected connections from miners, by reason.",
        label="reason",
        values=lambda s: dict(s.security.turned_away),
    ),
    by_word(
        "p2pool_offences_total",
        MetricType.COUNTER,
        "Offences by miners' hosts that count towards a ban, by kind.",
        label="kind",
        values=lambda s: dict(s.security.offences),
    ),
    gauge(
        "p2pool_bans",
        "Miners' hosts that are currently banned.",
        lambda s: sum(1 for ban in s.security.bans if ban.until > s.time),
    ),
    gauge(
        "p2pool_local_hashrate",
        "Estimated hash rate of this node's miners, in hashes per second: the sum of its workers' hash rates.",
        lambda s: s.hash_rate,
    ),
    gauge(
        "p2pool_local_dead_hashrate",
        "The part of p2pool_local_hashrate that arrived too late to count.",
        lambda s: s.dead_rate,
    ),
    announced_counter("p2pool_shares_accepted", "Accepted submissions.", lambda s: s.accepted),
    counter("p2pool_shares_dead_total", "Accepted submissions that arrived too late to count.", lambda s: s.dead),
    announced_counter("p2pool_shares_rejected", "Rejected submissions.", lambda s: sum(s.refused.values())),
    Declared(
        "p2pool_shares_rejected_by_reason_total",
        MetricType.COUNTER,
        "Rejected submissions, by reason and stratum error code.",
        _rejected,
        ("reason", "code"),
    ),
    counter(
        "p2pool_chain_shares_found_total",
        "Shares for the share chain found by this node's miners.",
        lambda s: s.shares,
    ),
    counter(
        "p2pool_chain_shares_dead_total",
        "Shares in p2pool_chain_shares_found_total that were dead on arrival.",
        lambda s: s.dead_shares,
    ),
    Declared(
        "p2pool_worker_hashrate",
        MetricType.GAUGE,
        "Estimated hash rate of a worker over ten minutes or, if that is longer, its last 16 submissions, in "
        "hashes per second; strongest workers only (--metrics-max-workers).",
        _of_workers(lambda worker: worker.hash_rate),
        ("worker",),
    ),
    Declared(
        "p2pool_worker_dead_hashrate",
        MetricType.GAUGE,
        "The part of p2pool_worker_hashrate that arrived too late to count.",
        _of_workers(lambda worker: worker.dead_rate),
        ("worker",),
    ),
    Declared(
        "p2pool_worker_connections",
        MetricType.GAUGE,
        "Connections of a worker; strongest workers only.",
        _of_workers(lambda worker: worker.connections),
        ("worker",),
    ),
    Declared(
        "p2pool_worker_shares_accepted_total",
        MetricType.COUNTER,
        "Accepted submissions of a worker; strongest workers only.",
        _of_workers(lambda worker: worker.accepted),
        ("worker",),
    ),
    Declared(
        "p2pool_worker_shares_rejected_total",
        MetricType.COUNTER,
        "Rejected submissions of a worker; strongest workers only.",
        _of_workers(lambda worker: worker.refused),
        ("worker",),
    ),
    Declared(
        "p2pool_worker_chain_shares_total",
        MetricType.COUNTER,
        "Shares for the share chain found by a worker; strongest workers only.",
        _of_workers(lambda worker: worker.shares),
        ("worker",),
    ),
    times(
        "p2pool_submit_latency_seconds",
        "Time from receiving a submission to writing the response.",
        lambda s: s.submits,
    ),
    times(
        "p2pool_job_fan_out_seconds",
        "Duration of a job broadcast: from new work to the job for the last connection.",
        lambda s: s.job_broadcasts,
    ),
)
