"""The miners' side of this node: /stratum_stats, /stratum_security, /ban_stats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson

from p2pool.pool_stats import BanRecord, WorkerSnapshot
from p2pool.web.sources import Moment

_WINDOWS = ("1m", "1h", "1d")
_MAX_SOFTWARE = 100
"""Kinds of software listed, the commonest first."""
REFUSALS = {
    20: "malformed",
    21: "stale",
    22: "duplicate",
    23: "low_difficulty",
    24: "unauthorized",
    25: "not_subscribed",
}
"""Stratum's error codes as words."""


def _rates(ten_minutes: float, smoothed: Sequence[float]) -> dict[str, float]:
    """Hashes a second by window."""
    return {"10m": ten_minutes, **dict(zip(_WINDOWS, smoothed, strict=True))}


def refusals(counts: dict[int, int]) -> dict[str, int]:
    """Refused submissions by reason; a reason without a refusal is there as well."""
    return {word: counts.get(code, 0) for code, word in REFUSALS.items()}


def _worker(worker: WorkerSnapshot) -> dict[str, Any]:
    return {
        "connections": worker.connections,
        "difficulty": worker.difficulty,
        "accepted": worker.accepted,
        "refused": worker.refused,
        "refused_by": refusals(worker.refused_by),
        "dead": worker.dead,
        "shares": worker.shares,
        "hash_rate": worker.hash_rate,
        "dead_hash_rate": worker.dead_rate,
        "hash_rates": _rates(worker.hash_rate, worker.hash_rates),
        "user_agent": worker.software,
        "last_share": worker.last_accepted,
        "last_seen": worker.last_seen,
    }


class _RenderedWorkers:
    """The JSON of each worker's snapshot, made again only where that is another one: most of ten thousand workers
    did nothing in the last second. Bound: the workers of the newest snapshot."""

    def __init__(self) -> None:
        self._rendered: dict[str, tuple[WorkerSnapshot, orjson.Fragment]] = {}

    def __call__(self, workers: Sequence[WorkerSnapshot]) -> dict[str, orjson.Fragment]:
        before, self._rendered = self._rendered, {}
        for worker in workers:
            known = before.get(worker.name)
            if known is None or known[0] is not worker:
                known = (worker, orjson.Fragment(orjson.dumps(_worker(worker))))
            self._rendered[worker.name] = known
        return {name: fragment for name, (_, fragment) in self._rendered.items()}


_rendered_workers = _RenderedWorkers()


def stratum_stats(moment: Moment) -> dict[str, Any]:
    """/stratum_stats: the pool of this node, and every worker that is remembered. `last_share` is the time of the
    last accepted submission. The workers are rendered already."""
    snapshot = moment.snapshot
    software = Counter(w.software or "unknown" for w in snapshot.workers if w.connections)
    return {
        "pool": {
            "connections": snapshot.connections,
            "workers": sum(1 for worker in snapshot.workers if worker.connections),
            "accepted": snapshot.accepted,
            "refused": sum(snapshot.refused.values()),
            "refused_by": refusals(snapshot.refused),
            "dead": snapshot.dead,
            "shares": snapshot.shares,
            "dead_shares": snapshot.dead_shares,
            "hash_rate": snapshot.hash_rate,
            "dead_hash_rate": snapshot.dead_rate,
            "hash_rates": _rates(snapshot.hash_rate, snapshot.hash_rates),
            "submissions_per_second": snapshot.security.submission_rate,
            "user_agents": dict(software.most_common(_MAX_SOFTWARE)),
        },
        "workers": _rendered_workers(snapshot.workers),
    }


def stratum_security(moment: Moment) -> dict[str, Any]:
    """/stratum_security: who comes, who is turned away, and which hosts cost most. Rates a second, over a
    minute."""
    security = moment.snapshot.security
    return {
        "connections": moment.snapshot.connections,
        "connections_per_second": security.connection_rate,
        "submissions_per_second": security.submission_rate,
        "refused_per_second": security.refusal_rate,
        "turned_away_per_second": security.turned_away_rate,
        "turned_away": security.turned_away,
        "offences": security.offences,
        "banned_hosts": len(_in_force(moment)),
        "hosts": [
            {
                "host": host.host,
                "connections": host.connections,
                "cost": round(host.cost, 2),
                "submissions": host.submissions,
                "refused": host.refused,
            }
            for host in security.hosts
        ],
    }


def ban_stats(moment: Moment) -> dict[str, Any]:
    """/ban_stats: the hosts that are kept out now."""
    bans = _in_force(moment)
    return {
        "total": len(bans),
        "bans": [
            {
                "host": ban.host,
                "since": ban.since,
                "until": ban.until,
                "remaining": ban.until - moment.snapshot.time,
                "reason": ban.reason,
            }
            for ban in bans
        ],
    }


def _in_force(moment: Moment) -> list[BanRecord]:
    return [ban for ban in moment.snapshot.security.bans if ban.until > moment.snapshot.time]
