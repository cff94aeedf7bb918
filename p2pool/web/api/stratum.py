"""The miners' side of this node: /stratum_stats, /stratum_security, /ban_stats, /api/v1/stratum, /api/v1/bans.

The legacy paths have the names that front ends of p2pool know in addition to those of this software.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from p2pool.base.compact_json import dump_compact
from p2pool.pool_stats import BanRecord, HostLoad, PoolSnapshot, WorkerSnapshot
from p2pool.pool_stats.workers import STEP
from p2pool.web.api.difficulties import DIFFICULTY_ROWS, difficulty_rows
from p2pool.web.api.endpoint import Endpoint
from p2pool.web.api.gateways import GATEWAY_ROWS, gateway_rows
from p2pool.web.api.rates import RATE_FIELDS, RATES_BY_WINDOW, rate_figures, rates_by_window
from p2pool.web.api.schema import (
    DEAD_HASH_RATE,
    PART,
    SECONDS,
    TIME,
    array,
    boolean,
    count,
    integer,
    mapping,
    nullable,
    number,
    record,
    text,
)
from p2pool.web.sources import Snapshot
from p2pool.web.submission_pace import SUSPICIOUS_PACE

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


def refusals(counts: Mapping[int, int]) -> dict[str, int]:
    """Return refused submissions by reason, reasons without any included."""
    return {word: counts.get(code, 0) for code, word in REFUSALS.items()}


_NO_REFUSALS = refusals({})


def worker_figures(worker: WorkerSnapshot) -> dict[str, Any]:
    """Return one worker for JSON, without its name."""
    return {
        "connections": worker.connections,
        "difficulty": worker.difficulty,
        "accepted": worker.accepted,
        "refused": worker.refused,
        "refused_by": refusals(worker.refused_by) if worker.refused_by else _NO_REFUSALS,
        "dead": worker.dead,
        "shares": worker.shares,
        **rate_figures(worker),
        "dead_hash_rate": worker.dead_rate,
        "hash_rates": rates_by_window(worker.hash_rate, worker.hash_rates),
        "user_agent": worker.software,
        "last_share": worker.last_accepted,
        "last_seen": worker.last_seen,
    }


def _old_worker(worker: WorkerSnapshot) -> dict[str, Any]:
    """Return a worker as legacy front ends know it: `shares` are submissions."""
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
    """The JSON of each worker's snapshot, rendered again only if that is another one: most of ten thousand
    workers did nothing in the last second. Bound: the workers of the newest snapshot, about half a kilobyte
    each."""

    def __init__(self) -> None:
        self._workers: Sequence[WorkerSnapshot] = ()
        self._rendered: dict[str, orjson.Fragment] = {}
        """Of `_workers`, in their order."""

    def rendering(self, workers: Sequence[WorkerSnapshot]) -> Iterator[None]:
        """Render these workers in steps of STEP."""
        before = {worker.name: worker for worker in self._workers}
        known, rendered = self._rendered, {}
        for done, worker in enumerate(workers, 1):
            name = worker.name
            if before.get(name) is worker:
                rendered[name] = known[name]
            else:
                rendered[name] = orjson.Fragment(dump_compact(_old_worker(worker)))
            if done % STEP == 0:
                yield
        self._workers, self._rendered = workers, rendered

    def __call__(self, workers: Sequence[WorkerSnapshot]) -> dict[str, orjson.Fragment]:
        """Return the JSON of these workers by name: a new value for each snapshot, never changed."""
        if self._workers is not workers:
            for _ in self.rendering(workers):
                pass
        return self._rendered


_rendered_workers = _RenderedWorkers()


def render_workers(snapshot: Snapshot) -> Iterator[None]:
    """Render the workers of `stratum_stats` in steps: thousands may have changed since the last refresh."""
    return _rendered_workers.rendering(snapshot.pool.workers)


def stratum_stats(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /stratum_stats: the pool of this node, and every worker that is remembered.
    `last_share` is the time of the last accepted submission. The workers are rendered already."""
    pool = snapshot.pool
    return {
        "pool": {
            **_totals(pool),
            "total_accepted": pool.accepted,
            "total_rejected": sum(pool.refused.values()),
            "submission_rate": pool.security.submission_rate,
            "uptime": pool.time - pool.start_time,
            "ip_connections": {f"host {number}": load.connections for number, load in _numbered(pool)},
            "ip_workers": {f"host {number}": load.workers for number, load in _numbered(pool)},
            "threat_thresholds": {
                "connection_worker_elevated": _ELEVATED_RATIO,
                "connection_worker_warning": _WARNING_RATIO,
            },
        },
        "workers": _rendered_workers(pool.workers),
        "gateways": gateway_rows(pool),
    }


def stratum_figures(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /api/v1/stratum."""
    pool = snapshot.pool
    rows = {"difficulties": difficulty_rows(pool.workers), "gateways": gateway_rows(pool)}
    return {**_totals(pool), **_security(snapshot), **rows}


def _totals(pool: PoolSnapshot) -> dict[str, Any]:
    software = Counter(w.software or "unknown" for w in pool.workers if w.connections)
    return {
        "connections": pool.connections,
        "workers": sum(1 for worker in pool.workers if worker.connections),
        "accepted": pool.accepted,
        "refused": sum(pool.refused.values()),
        "refused_by": refusals(pool.refused),
        "dead": pool.dead,
        "shares": pool.shares,
        "dead_shares": pool.dead_shares,
        **rate_figures(pool),
        "dead_hash_rate": pool.dead_rate,
        "hash_rates": rates_by_window(pool.hash_rate, pool.hash_rates),
        "submissions_per_second": pool.security.submission_rate,
        "user_agents": dict(software.most_common(_MAX_SOFTWARE)),
    }


def _numbered(pool: PoolSnapshot) -> Iterator[tuple[int, HostLoad]]:
    """Iterate over the hosts with the most connections, by number: the addresses of miners are private."""
    return enumerate(pool.security.loads, 1)


def _host_connections(pool: PoolSnapshot) -> dict[str, int]:
    """Return connections by host, of hosts that cost something: the others' addresses are private."""
    return {host.host: host.connections for host in pool.security.hosts}


def stratum_security(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /stratum_security: connections accepted and rejected, and the hosts that cost most. Rates
    per second, over a minute."""
    pool, security = snapshot.pool, snapshot.pool.security
    connected = sum(1 for worker in pool.workers if worker.connections)
    judged = pool.accepted + sum(pool.refused.values())
    ratio = pool.connections / connected if connected else 0.0
    refused = sum(pool.refused.values()) / judged if judged else 0.0
    banned = len(_in_force(snapshot))
    recent, rate, limits = (
        security.recent_submission_rate,
        security.submission_rate,
        snapshot.sources.stratum_limits(),
    )
    burst, most = recent / rate if rate else 0.0, limits.max_connections / limits.share_rate
    fast = snapshot.cache.pace.fast_workers(pool)
    level, reasons = _threat(
        connections_per_worker=ratio,
        refused=refused,
        banned=banned,
        burst=burst if recent >= _BURST_PACE else 0.0,
        load=recent / most,
        fast_workers=len(fast),
    )
    return {
        **_security(snapshot),
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
    *, connections_per_worker: float, refused: float, banned: int, burst: float, load: float, fast_workers: int
) -> tuple[int, list[str]]:
    """Return (0 normal, 1 elevated, 2 warning or 3 critical; the reasons), as front ends colour it."""
    reasons: list[tuple[int, str]] = []
    if connections_per_worker > _ELEVATED_RATIO:
        level = 2 if connections_per_worker > _WARNING_RATIO else 1
        reasons.append((level, f"{connections_per_worker:.1f} connections per worker"))
    if refused > _ELEVATED_REFUSALS:
        reasons.append(
            (2 if refused > _WARNING_REFUSALS else 1, f"{refused:.0%} of all submissions were rejected")
        )
    if burst > _ELEVATED_BURST:
        level = 2 if burst > _WARNING_BURST else 1
        reasons.append((level, f"{burst:.1f} times as many submissions in the last 10 s as in the minute before"))
    if load > _WARNING_LOAD:
        level = 3 if load > _CRITICAL_LOAD else 2
        reasons.append((level, f"{load:.0%} of the submission rate expected at the connection limit"))
    if fast_workers:
        reasons.append((1, f"{fast_workers} workers submit more than {SUSPICIOUS_PACE:g} times a second"))
    if banned:
        reasons.append((1, f"{banned} hosts are banned"))
    return max((level for level, _ in reasons), default=0), [text for _, text in reasons]


def _security(snapshot: Snapshot) -> dict[str, Any]:
    security = snapshot.pool.security
    return {
        "connections": snapshot.pool.connections,
        "connections_per_second": security.connection_rate,
        "submissions_per_second": security.submission_rate,
        "refused_per_second": security.refusal_rate,
        "turned_away_per_second": security.turned_away_rate,
        "turned_away": security.turned_away,
        "offences": security.offences,
        "banned_hosts": len(_in_force(snapshot)),
        "hosts": [
            {
                "host": host.host,
                "connections": host.connections,
                "cost": round(host.cost, 2),
                "submissions": host.submissions,
                "refused": host.refused,
                "never_banned": host.never_banned,
            }
            for host in security.hosts
        ],
    }


def ban_stats(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /ban_stats: the hosts that are kept out now. Workers are never banned here."""
    bans, now = _in_force(snapshot), snapshot.pool.time
    return {
        **ban_list(snapshot),
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
            {"ip": host.host, "violations": round(host.cost)} for host in snapshot.pool.security.hosts[:20]
        ],
        "ip_connections": _host_connections(snapshot.pool),
        "ban_duration": snapshot.sources.ban_duration,
        "max_violations": BAN_COST,
    }


def ban_list(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /api/v1/bans."""
    bans = _in_force(snapshot)
    return {
        "total": len(bans),
        "bans": [
            {
                "host": ban.host,
                "since": ban.since,
                "until": ban.until,
                "remaining": ban.until - snapshot.pool.time,
                "reason": ban.reason,
                "source": ban.source,
            }
            for ban in bans
        ],
    }


def _in_force(snapshot: Snapshot) -> list[BanRecord]:
    return [ban for ban in snapshot.pool.security.bans if ban.until > snapshot.pool.time]


REFUSED_BY = record("by reason", **{word: count() for word in REFUSALS.values()})
_WORKER_FIELDS = {
    "connections": count(),
    "difficulty": number(),
    "accepted": count("submissions (pseudoshares)"),
    "refused": count("submissions"),
    "refused_by": REFUSED_BY,
    "dead": count("accepted submissions that arrived too late"),
    "shares": count("shares of the share chain"),
    **RATE_FIELDS,
    "dead_hash_rate": DEAD_HASH_RATE,
    "hash_rates": RATES_BY_WINDOW,
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
    **RATE_FIELDS,
    "dead_hash_rate": DEAD_HASH_RATE,
    "hash_rates": RATES_BY_WINDOW,
    "submissions_per_second": number(),
    "user_agents": mapping(count(), f"connected workers by software (the {_MAX_SOFTWARE} most common)"),
}
_SECURITY = {
    "connections": count(),
    "connections_per_second": number(),
    "submissions_per_second": number(),
    "refused_per_second": number(),
    "turned_away_per_second": number(),
    "turned_away": mapping(count(), "rejected connections, by reason"),
    "offences": mapping(count(), "by kind"),
    "banned_hosts": count(),
    "hosts": array(
        record(
            host=text(),
            connections=count(),
            cost=number(f"ban score; a host is banned at {BAN_COST}, unless it is never_banned"),
            submissions=count(),
            refused=count(),
            never_banned=boolean("true for loopback addresses and those of --ban-allow"),
        ),
        "the hosts with the highest ban scores",
    ),
}
_BANS = {
    "total": count(),
    "bans": array(
        record(
            host=text(),
            since=TIME,
            until=TIME,
            remaining=SECONDS,
            reason=text(),
            source=text("the gateway that banned the host; empty for this node"),
        )
    ),
}
_HOSTS = mapping(count(), "connections of the hosts that have a ban score")
ENDPOINTS = (
    Endpoint(
        "/api/v1/stratum",
        "Totals of this node's miners, rejected connections, and hosts by ban score",
        record(**{**_TOTALS, **_SECURITY, "difficulties": DIFFICULTY_ROWS, "gateways": GATEWAY_ROWS}),
        view=stratum_figures,
    ),
    Endpoint("/api/v1/bans", "Banned hosts", record(**_BANS), view=ban_list),
    Endpoint(
        "/stratum_stats",
        "Totals of this node's miners, and figures of each worker",
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
            gateways=GATEWAY_ROWS,
        ),
        view=stratum_stats,
    ),
    Endpoint(
        "/stratum_security",
        "Accepted and rejected connections, and the hosts with the highest ban scores",
        record(
            **_SECURITY,
            rate_10s=number("submissions per second over ten seconds"),
            rate_60s=number("submissions per second over a minute"),
            burst_ratio=number("rate_10s divided by rate_60s"),
            conn_worker_ratio=number("connections per worker"),
            reject_rate=PART,
            suspicious_workers=array(
                record(name=text(), rate=number("submissions per second")),
                f"workers with more than {SUSPICIOUS_PACE:g} submissions per second",
            ),
            limits=record(
                "",
                max_submissions_per_sec=number(
                    "submission rate with all permitted connections at vardiff's target rate"
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
