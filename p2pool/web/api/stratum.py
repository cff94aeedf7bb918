"""The miners' side of this node: /stratum_stats, /stratum_security, /ban_stats, /api/v1/stratum, /api/v1/bans.

The old paths have the names that front ends of p2pool know beside those of this software.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from p2pool.base.compact_json import dump_compact
from p2pool.pool_stats import BanRecord, HostLoad, PoolSnapshot, WorkerSnapshot
from p2pool.web.api.endpoint import Endpoint
from p2pool.web.api.schema import (
    HASH_RATE,
    PART,
    SECONDS,
    TIME,
    array,
    count,
    integer,
    mapping,
    nullable,
    number,
    record,
    text,
)
from p2pool.web.sources import Moment
from p2pool.web.submission_pace import SUSPICIOUS_PACE

_WINDOWS = ("1m", "1h", "1d")
_MAX_SOFTWARE = 100
"""Kinds of software listed, the commonest first."""
# Where the old front ends' colours change: connections a worker, the refused part of submissions, submissions of
# ten seconds against those of a minute, and the part of what the node is made for.
_ELEVATED_RATIO, _WARNING_RATIO = 3.0, 5.0
_ELEVATED_REFUSALS, _WARNING_REFUSALS = 0.2, 0.5
_ELEVATED_BURST, _WARNING_BURST = 3.0, 5.0
_WARNING_LOAD, _CRITICAL_LOAD = 0.5, 0.8
_BURST_PACE = 10.0
"""Submissions a second below which a burst is chance."""
BAN_COST = 100
"""The cost at which stratum's guard bans a host."""
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


_NO_REFUSALS = refusals({})


def worker_figures(worker: WorkerSnapshot) -> dict[str, Any]:
    """One worker for JSON, without its name."""
    return {
        "connections": worker.connections,
        "difficulty": worker.difficulty,
        "accepted": worker.accepted,
        "refused": worker.refused,
        "refused_by": refusals(worker.refused_by) if worker.refused_by else _NO_REFUSALS,
        "dead": worker.dead,
        "shares": worker.shares,
        "hash_rate": worker.hash_rate,
        "dead_hash_rate": worker.dead_rate,
        "hash_rates": _rates(worker.hash_rate, worker.hash_rates),
        "user_agent": worker.software,
        "last_share": worker.last_accepted,
        "last_seen": worker.last_seen,
    }


def _old_worker(worker: WorkerSnapshot) -> dict[str, Any]:
    """As legacy front ends know it: `shares` are submissions."""
    figures = worker_figures(worker)
    figures["chain_shares"] = worker.shares
    figures["shares"] = worker.accepted + worker.refused
    figures["rejected"] = worker.refused
    figures["first_seen"] = worker.first_seen
    figures["active_connections"] = worker.connections
    figures["backup_connections"] = 0
    figures["connection_difficulties"] = [worker.difficulty] if worker.connections else []
    return figures


class _RenderedWorkers:
    """The JSON of each worker's snapshot, made again only where that is another one: most of ten thousand workers
    did nothing in the last second. Bound: the workers of the newest snapshot, about half a kilobyte each."""

    def __init__(self) -> None:
        self._rendered: dict[str, tuple[WorkerSnapshot, orjson.Fragment]] = {}

    def __call__(self, workers: Sequence[WorkerSnapshot]) -> dict[str, orjson.Fragment]:
        before, self._rendered = self._rendered, {}
        for worker in workers:
            known = before.get(worker.name)
            if known is None or known[0] is not worker:
                known = (worker, orjson.Fragment(dump_compact(_old_worker(worker))))
            self._rendered[worker.name] = known
        return {name: fragment for name, (_, fragment) in self._rendered.items()}


_rendered_workers = _RenderedWorkers()


def stratum_stats(moment: Moment) -> dict[str, Any]:
    """/stratum_stats: the pool of this node, and every worker that is remembered. `last_share` is the time of the
    last accepted submission. The workers are rendered already."""
    snapshot = moment.snapshot
    return {
        "pool": {
            **_totals(snapshot),
            "total_accepted": snapshot.accepted,
            "total_rejected": sum(snapshot.refused.values()),
            "submission_rate": snapshot.security.submission_rate,
            "uptime": snapshot.time - snapshot.start_time,
            "ip_connections": {f"host {number}": load.connections for number, load in _numbered(snapshot)},
            "ip_workers": {f"host {number}": load.workers for number, load in _numbered(snapshot)},
            "threat_thresholds": {
                "connection_worker_elevated": _ELEVATED_RATIO,
                "connection_worker_warning": _WARNING_RATIO,
            },
        },
        "workers": _rendered_workers(snapshot.workers),
    }


def stratum_figures(moment: Moment) -> dict[str, Any]:
    """/api/v1/stratum."""
    return {**_totals(moment.snapshot), **_security(moment)}


def _totals(snapshot: PoolSnapshot) -> dict[str, Any]:
    software = Counter(w.software or "unknown" for w in snapshot.workers if w.connections)
    return {
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
    }


def _numbered(snapshot: PoolSnapshot) -> Iterator[tuple[int, HostLoad]]:
    """The hosts with the most connections, by number: the addresses of miners are nobody's business."""
    return enumerate(snapshot.security.loads, 1)


def _host_connections(snapshot: PoolSnapshot) -> dict[str, int]:
    """Of the hosts that cost something: the others' addresses are nobody's business."""
    return {host.host: host.connections for host in snapshot.security.hosts}


def stratum_security(moment: Moment) -> dict[str, Any]:
    """/stratum_security: who comes, who is turned away, and which hosts cost most. Rates a second, over a
    minute."""
    snapshot, security = moment.snapshot, moment.snapshot.security
    connected = sum(1 for worker in snapshot.workers if worker.connections)
    judged = snapshot.accepted + sum(snapshot.refused.values())
    ratio = snapshot.connections / connected if connected else 0.0
    refused = sum(snapshot.refused.values()) / judged if judged else 0.0
    banned = len(_in_force(moment))
    recent, rate, limits = security.recent_submission_rate, security.submission_rate, moment.sources.stratum_limits
    burst, most = recent / rate if rate else 0.0, limits.max_connections / limits.share_rate
    fast = moment.memory.pace.fast_workers(snapshot)
    level, reasons = _threat(
        ratio, refused, banned, burst if recent >= _BURST_PACE else 0.0, recent / most, len(fast)
    )
    return {
        **_security(moment),
        "rate_10s": recent,
        "rate_60s": rate,
        "burst_ratio": burst,
        "conn_worker_ratio": ratio,
        "reject_rate": refused,
        "suspicious_workers": [{"name": name, "rate": pace} for name, pace in fast],
        "threat_level": level,
        "threat_reasons": reasons,
        "banned_ips_count": banned,
        "banned_workers_count": 0,
        "limits": {
            "max_submissions_per_sec": most,
            "max_connections": limits.max_connections,
            "min_difficulty": limits.min_difficulty,
            "max_connections_per_ip": limits.max_connections_per_host,
        },
    }


def _threat(
    connections_per_worker: float, refused: float, banned: int, burst: float, load: float, fast_workers: int
) -> tuple[int, list[str]]:
    """(0 normal, 1 elevated, 2 warning or 3 critical; why), as front ends colour it."""
    reasons: list[tuple[int, str]] = []
    if connections_per_worker > _ELEVATED_RATIO:
        level = 2 if connections_per_worker > _WARNING_RATIO else 1
        reasons.append((level, f"{connections_per_worker:.1f} connections a worker"))
    if refused > _ELEVATED_REFUSALS:
        reasons.append((2 if refused > _WARNING_REFUSALS else 1, f"{refused:.0%} of all submissions were refused"))
    if burst > _ELEVATED_BURST:
        level = 2 if burst > _WARNING_BURST else 1
        reasons.append((level, f"{burst:.1f} times as many submissions in the last 10 s as in the minute before"))
    if load > _WARNING_LOAD:
        level = 3 if load > _CRITICAL_LOAD else 2
        reasons.append((level, f"{load:.0%} of the submissions that a node with all its connections expects"))
    if fast_workers:
        reasons.append((1, f"{fast_workers} workers submit more than {SUSPICIOUS_PACE:g} times a second"))
    if banned:
        reasons.append((1, f"{banned} hosts are banned"))
    return max((level for level, _ in reasons), default=0), [text for _, text in reasons]


def _security(moment: Moment) -> dict[str, Any]:
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
    """/ban_stats: the hosts that are kept out now. Workers are never banned here."""
    bans, now = _in_force(moment), moment.snapshot.time
    return {
        **ban_list(moment),
        "banned_ips_count": len(bans),
        "banned_workers_count": 0,
        "banned_ips": [
            {
                "ip": ban.host,
                "banned_at": ban.since,
                "expires_at": ban.until,
                "remaining_seconds": int(ban.until - now),
                "reason": ban.reason,
            }
            for ban in bans
        ],
        "banned_workers": [],
        "ip_violations": [
            {"ip": host.host, "violations": round(host.cost)} for host in moment.snapshot.security.hosts[:20]
        ],
        "ip_connections": _host_connections(moment.snapshot),
        "ban_duration": moment.sources.ban_duration,
        "max_violations": BAN_COST,
    }


def ban_list(moment: Moment) -> dict[str, Any]:
    """/api/v1/bans."""
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


_WORKER_FIELDS = {
    "connections": count(),
    "difficulty": number(),
    "accepted": count("submissions (pseudoshares)"),
    "refused": count("submissions"),
    "refused_by": record("by reason", **{word: count() for word in REFUSALS.values()}),
    "dead": count("accepted submissions that arrived too late"),
    "shares": count("shares of the share chain"),
    "hash_rate": {**HASH_RATE, "description": "hashes per second over ten minutes"},
    "dead_hash_rate": HASH_RATE,
    "hash_rates": record("by time window", **dict.fromkeys(("10m", *_WINDOWS), HASH_RATE)),
    "user_agent": text("user agent of the mining software"),
    "last_share": nullable({**TIME, "description": "time of the last accepted submission, Unix seconds"}),
    "last_seen": TIME,
}
WORKER = record("", name=text(), **_WORKER_FIELDS)
_TOTALS = {
    "connections": count(),
    "workers": count("connected workers"),
    "accepted": count(),
    "refused": count(),
    "refused_by": _WORKER_FIELDS["refused_by"],
    "dead": count(),
    "shares": count("shares of the share chain"),
    "dead_shares": count(),
    "hash_rate": HASH_RATE,
    "dead_hash_rate": HASH_RATE,
    "hash_rates": _WORKER_FIELDS["hash_rates"],
    "submissions_per_second": number(),
    "user_agents": mapping(count(), f"connected workers by software, the {_MAX_SOFTWARE} commonest"),
}
_SECURITY = {
    "connections": count(),
    "connections_per_second": number(),
    "submissions_per_second": number(),
    "refused_per_second": number(),
    "turned_away_per_second": number(),
    "turned_away": mapping(count(), "connections that were turned away, by reason"),
    "offences": mapping(count(), "by kind"),
    "banned_hosts": count(),
    "hosts": array(
        record(
            host=text(),
            connections=count(),
            cost=number(f"a host is banned at {BAN_COST}"),
            submissions=count(),
            refused=count(),
        ),
        "the hosts with the highest costs",
    ),
}
_BANS = {
    "total": count(),
    "bans": array(record(host=text(), since=TIME, until=TIME, remaining=SECONDS, reason=text())),
}
_HOSTS = mapping(count(), "connections of the hosts that have a cost")
ENDPOINTS = (
    Endpoint(
        "/api/v1/stratum",
        "Totals of this node's miners, and rejected connections",
        record(**{**_TOTALS, **_SECURITY}),
        view=stratum_figures,
    ),
    Endpoint("/api/v1/bans", "Banned hosts", record(**_BANS), view=ban_list),
    Endpoint(
        "/stratum_stats",
        "Totals of this node's miners, and each worker",
        record(
            pool=record(
                **_TOTALS,
                total_accepted=count(),
                total_rejected=count(),
                submission_rate=number("submissions per second"),
                uptime=SECONDS,
                ip_connections=mapping(
                    count(), "connections of the hosts with the most connections, without their addresses"
                ),
                ip_workers=mapping(count(), "distinct worker names on these hosts"),
                threat_thresholds=record(connection_worker_elevated=number(), connection_worker_warning=number()),
            ),
            workers=mapping(
                record(
                    **{**_WORKER_FIELDS, "shares": count("submissions, including rejected ones")},
                    chain_shares=count("shares of the share chain"),
                    first_seen={**TIME, "description": "first seen since the node's start, Unix seconds"},
                    rejected=count(),
                    active_connections=count(),
                    backup_connections=count(),
                    connection_difficulties=array(number()),
                )
            ),
        ),
        view=stratum_stats,
    ),
    Endpoint(
        "/stratum_security",
        "Accepted and rejected connections, and the hosts with the highest costs",
        record(
            **_SECURITY,
            rate_10s=number("submissions per second over ten seconds"),
            rate_60s=number("submissions per second over a minute"),
            burst_ratio=number("sum of these two"),
            conn_worker_ratio=number("connections per worker"),
            reject_rate=PART,
            suspicious_workers=array(
                record(name=text(), rate=number("submissions per second")),
                f"those with more than {SUSPICIOUS_PACE:g} submissions a second",
            ),
            limits=record(
                "",
                max_submissions_per_sec=number(
                    "submission rate of all permitted connections at vardiff's target rate"
                ),
                max_connections=count(),
                min_difficulty=nullable(number("null for the network's default")),
                max_connections_per_ip=count(),
            ),
            threat_level=integer("0 normal, 1 elevated, 2 warning, 3 critical", minimum=0, maximum=3),
            threat_reasons=array(text()),
            banned_ips_count=count(),
            banned_workers_count=count(),
        ),
        view=stratum_security,
    ),
    Endpoint(
        "/ban_stats",
        "Banned hosts",
        record(
            **_BANS,
            banned_ips_count=count(),
            banned_workers_count=count(),
            banned_ips=array(
                record(ip=text(), banned_at=TIME, expires_at=TIME, remaining_seconds=integer(), reason=text())
            ),
            banned_workers=array(text()),
            ip_violations=array(record(ip=text(), violations=integer())),
            ip_connections=_HOSTS,
            ban_duration=SECONDS,
            max_violations=count(),
        ),
        view=ban_stats,
    ),
)
