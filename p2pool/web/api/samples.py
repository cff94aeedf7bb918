"""What was: /web/graph_data, /web/log, /network_difficulty, /hashrate_samples, /api/v1/samples; and the samples
that they are made of (`take_sample`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from p2pool.base.compact_json import dump_compact
from p2pool.dash.target import target_to_average_attempts
from p2pool.history.records import PERIOD, HistorySample
from p2pool.web.api.endpoint import Arguments, Endpoint, RequestContext, choice
from p2pool.web.api.payouts import own_addresses, payout_amounts
from p2pool.web.api.peers import peer_counts
from p2pool.web.api.pool import (
    best_max_target,
    network_difficulty,
    observed_rate,
    pool_rate,
    rate_of_shares,
    stale_proportion,
    stale_rates_of,
    version_votes,
)
from p2pool.web.api.rounds import rounds_of
from p2pool.web.api.schema import (
    DASH,
    HASH_RATE,
    PART,
    SECONDS,
    TIME,
    Schema,
    array,
    count,
    integer,
    mapping,
    nullable,
    number,
    record,
    row,
    text,
)
from p2pool.web.samples import SCALARS, Ring, Sample, Samples, keyed, make_sample
from p2pool.web.sources import Snapshot

LOG_PERIOD: Final = 300
"""Seconds between entries of /web/log."""

# --- taking them --------------------------------------------------------------------------------------------


def take_sample(snapshot: Snapshot) -> None:
    """Take a sample if another period has begun. Called with each refresh."""
    samples, now = snapshot.cache.samples, snapshot.pool.time
    if not samples.due(now):
        return
    last = samples.newest
    scalars, named = _scalars(snapshot, last), _keyed(snapshot)
    samples.add(make_sample(now, scalars, named))
    if snapshot.sources.history is not None:
        snapshot.sources.history.record(_history_sample(snapshot, scalars, named))
    if last is None or int(now // LOG_PERIOD) != int(last // LOG_PERIOD):
        snapshot.cache.log.append(dump_compact(_log_entry(snapshot)))


def _history_sample(
    snapshot: Snapshot, scalars: Mapping[str, float | None], named: Mapping[str, Mapping[str, float]]
) -> HistorySample:
    pool = snapshot.pool
    return HistorySample(
        pool.time,
        scalars,
        # Of the others nothing is written, and samples wait for a minute or more: anybody can name workers.
        tuple(worker for worker in pool.workers if worker.accepted),
        named["payouts"],
        named["version_rates"],
        pool.recent_shares,
        pool.blocks,
        snapshot.cache.round_figures(rounds_of(snapshot)),
        {each.block_hash: paid for each in pool.blocks if (paid := snapshot.cache.paid.get(each.block_hash))},
    )


def _scalars(snapshot: Snapshot, last: float | None) -> dict[str, float | None]:
    pool, node = snapshot.pool, snapshot.node
    known = node.best_share is not None and snapshot.sources.lookbehind > 0
    rates, peers = snapshot.per_tip(stale_rates_of).observed, peer_counts(snapshot)
    since = pool.time - PERIOD if last is None else last
    work = {False: 0, True: 0}
    for share in reversed(pool.recent_shares):
        if share.time <= since:
            break
        work[share.dead] += share.attempts
    latency = next((each.answer_time for each in snapshot.sources.dashd().daemons if each.serving), None)
    payouts = snapshot.per_tip(payout_amounts)
    addresses = snapshot.workers.by_address()
    seconds = max(1.0, pool.time - since)
    received, sent = snapshot.cache.traffic.since(snapshot.sources.traffic())
    return {
        "pool_hash_rate": observed_rate(snapshot) if known else None,
        "pool_stale_proportion": stale_proportion(snapshot) if known else None,
        "pool_good_rate": rates["good"] if known else None,
        "pool_orphan_rate": rates["orphan"] if known else None,
        "pool_dead_rate": rates["doa"] if known else None,
        "local_hash_rate": pool.hash_rate,
        "local_dead_hash_rate": pool.dead_rate,
        "local_good_share_rate": work[False] / seconds,
        "local_dead_share_rate": work[True] / seconds,
        "network_difficulty": network_difficulty(snapshot),
        "own_payout": sum(payouts.get(address, 0) for address in own_addresses(snapshot)) / 1e8,
        "workers": sum(1 for worker in pool.workers if worker.connections),
        "working_addresses": sum(1 for each in addresses.values() if any(w.hash_rate > 0 for w in each)),
        "connected_addresses": sum(1 for each in addresses.values() if any(w.connections for w in each)),
        "connections": pool.connections,
        "peers_incoming": peers["incoming"],
        "peers_outgoing": peers["outgoing"],
        "dashd_latency": latency,
        "memory": snapshot.sources.process_memory(),
        "peer_bytes_received": received / seconds,
        "peer_bytes_sent": sent / seconds,
    }


def _keyed(snapshot: Snapshot) -> dict[str, Mapping[str, float]]:
    workers, payouts = snapshot.pool.workers, snapshot.per_tip(payout_amounts)
    rate = rate_of_shares(snapshot)
    here = [address for address in snapshot.workers.by_address() if address in payouts]
    return {
        "worker_hash_rates": {worker.name: worker.hash_rate for worker in workers if worker.hash_rate > 0},
        "worker_dead_hash_rates": {worker.name: worker.dead_rate for worker in workers if worker.dead_rate > 0},
        "payouts": {address: payouts[address] / 1e8 for address in here},
        "version_rates": {version: part * rate for version, part in version_votes(snapshot).items()},
    }


def _log_entry(snapshot: Snapshot) -> dict[str, Any]:
    """Return an entry as legacy p2pool-dash wrote it into a file; of the workers, the fastest."""
    pool, template = snapshot.pool, snapshot.node.template
    stales = snapshot.node.stale_counts()
    payouts = snapshot.per_tip(payout_amounts)
    fastest = keyed({worker.name: worker.hash_rate for worker in pool.workers if worker.hash_rate > 0})
    dead = keyed({worker.name: worker.dead_rate for worker in pool.workers if worker.dead_rate > 0})
    return {
        "time": pool.time,
        "pool_hash_rate": pool_rate(snapshot),
        "pool_stale_prop": stale_proportion(snapshot),
        "local_hash_rates": dict(fastest.items()),
        "local_dead_hash_rates": dict(dead.items()),
        "shares": stales.total,
        "stale_shares": stales.orphans + stales.dead,
        "stale_shares_breakdown": {"orphan": stales.orphans, "doa": stales.dead},
        "current_payout": sum(payouts.get(address, 0) for address in own_addresses(snapshot)) / 1e8,
        "peers": peer_counts(snapshot),
        "attempts_to_share": float(target_to_average_attempts(best_max_target(snapshot))),
        "attempts_to_block": None if template is None else float(target_to_average_attempts(template.target)),
        "block_value": (0 if template is None else template.subsidy) * 1e-8,
    }


# --- graphs of the old interface ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Span:
    """What a view of graphs shows: `bins` of `width` seconds, out of one ring."""

    width: int
    bins: int
    ring: Callable[[Samples], Ring]


_SPANS: Final = {
    "hour": _Span(24, 150, lambda samples: samples.hour),
    "day": _Span(288, 300, lambda samples: samples.day),
    "week": _Span(2016, 300, lambda samples: samples.month),
    "month": _Span(8640, 300, lambda samples: samples.month),
    "year": _Span(105_192, 300, lambda samples: samples.month),
}
"""The bins that front ends of legacy p2pool-dash know: they divide areas and means by them."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A graph: numbers of SCALARS by the names that they have in it, or one of them, or one of KEYED. `empty` is
    what old front ends take for a period without samples, `default` for a name that is missing."""

    scalars: Mapping[str, str] | str = ""
    named: str = ""
    empty: Any = None
    default: float | None = None


_EMPTY: Final[dict[str, float]] = {}
_GRAPHS: Final = {
    "local_hash_rate": _Source("local_hash_rate", empty=0.0, default=0),
    "local_dead_hash_rate": _Source("local_dead_hash_rate", empty=0.0, default=0),
    "local_share_hash_rates": _Source(
        {"good": "local_good_share_rate", "dead": "local_dead_share_rate"}, empty=_EMPTY, default=0
    ),
    "pool_rates": _Source(
        {"good": "pool_good_rate", "orphan": "pool_orphan_rate", "doa": "pool_dead_rate"}, default=0
    ),
    "current_payout": _Source("own_payout"),
    "current_payouts": _Source(named="payouts", empty=_EMPTY),
    "peers": _Source({"incoming": "peers_incoming", "outgoing": "peers_outgoing"}, empty=_EMPTY),
    "miner_hash_rates": _Source(named="worker_hash_rates", empty=_EMPTY, default=0),
    "miner_dead_hash_rates": _Source(named="worker_dead_hash_rates", empty=_EMPTY, default=0),
    "worker_count": _Source("workers"),
    "unique_miner_count": _Source("working_addresses"),
    "connected_miners": _Source("connected_addresses"),
    "desired_version_rates": _Source(named="version_rates", default=0),
    "traffic_rate": _Source(
        {"p2p/in": "peer_bytes_received", "p2p/out": "peer_bytes_sent"}, empty=_EMPTY, default=0
    ),
    "getwork_latency": _Source("dashd_latency"),
    "memory_usage": _Source("memory"),
}
"""By the names that front ends of p2pool know."""


def graph_data(context: RequestContext, arguments: Arguments) -> bytes:
    """Return the JSON of /web/graph_data: rows of [middle, value, width, default], the newest first. Each is
    made once from the samples that there are."""
    source, view = arguments["source"], arguments["view"]
    samples = context.sources.cache.samples
    rendered = samples.rendered.get((source, view))
    if rendered is None:
        span = _SPANS[view.removeprefix("last_")]
        rows = _graph(_GRAPHS[source], span, span.ring(samples), now=context.snapshot.pool.time)
        rendered = samples.rendered[source, view] = dump_compact(rows)
    return rendered


_Weighed = list[tuple[float, Sample]]
"""Samples with the seconds for which each counts."""


def _graph(source: _Source, span: _Span, ring: Ring, *, now: float) -> list[list[Any]]:
    end = math.ceil(now / span.width) * span.width
    bins: list[_Weighed] = [[] for _ in range(span.bins)]
    for sample in ring.samples():
        # A sample counts in each bin that its period reaches into: else the newest bin is empty at times.
        start = sample.start
        until = min(start + ring.period, max(now, start + 0.001))
        first, last = int((end - until) // span.width), int((end - start - 1e-6) // span.width)
        for index in range(max(first, 0), min(last, span.bins - 1) + 1):
            left = end - span.width * (index + 1)
            seconds = min(until, left + span.width) - max(start, left)
            if seconds > 0:
                bins[index].append((seconds, sample))
    rows = []
    for index, inside in enumerate(bins):
        left, right = end - span.width * (index + 1), min(now, end - span.width * index)
        value = _bin(source, inside) if inside else source.empty
        rows.append([(left + right) / 2, value, right - left, source.default])
    return rows


def _bin(source: _Source, samples: _Weighed) -> Any:
    """Return the mean of a graph's figure over the samples of one bin."""
    if source.named:
        sums: dict[str, float] = {}
        whole = sum(seconds for seconds, _ in samples)
        for seconds, sample in samples:
            for name, value in sample.of(source.named).items():
                sums[name] = sums.get(name, 0.0) + value * seconds
        return {name: total / whole for name, total in sums.items()}
    if isinstance(source.scalars, str):
        return _mean(samples, source.scalars) if source.scalars else source.empty
    means = {name: _mean(samples, scalar) for name, scalar in source.scalars.items()}
    return {name: value for name, value in means.items() if value is not None} or source.empty


def _mean(samples: _Weighed, scalar: str) -> float | None:
    known = [(seconds, value) for seconds, sample in samples if (value := sample.scalar(scalar)) is not None]
    whole = sum(seconds for seconds, _ in known)
    return sum(seconds * value for seconds, value in known) / whole if known else None


def difficulty_history(context: RequestContext, arguments: Arguments) -> bytes:
    """Return the JSON of /network_difficulty, made once from the samples that there are."""
    samples, key = context.sources.cache.samples, ("network_difficulty", arguments["period"])
    rendered = samples.rendered.get(key)
    if rendered is None:
        rendered = samples.rendered[key] = dump_compact(_difficulties(context, _SPANS[arguments["period"]]))
    return rendered


def _difficulties(context: RequestContext, span: _Span) -> list[dict[str, Any]]:
    samples = span.ring(context.sources.cache.samples).samples()
    start = context.snapshot.pool.time - span.width * span.bins
    step = max(1, len(samples) // span.bins)
    found = [(sample.start, sample.scalar("network_difficulty")) for sample in samples[::step]]
    return [{"ts": when, "network_diff": value} for when, value in found if value is not None and when >= start]


def hashrate_samples(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /hashrate_samples: what there is of the pool's hash rate."""
    ring = snapshot.cache.samples.month
    ends = ring.ends()
    samples_json: list[dict[str, Any] | None] = [
        {
            "ts": sample.start,
            "hashrate": sample.scalar("pool_hash_rate"),
            "network_diff": sample.scalar("network_difficulty"),
        }
        for sample in ends or ()
    ]
    return {
        "sample_count": len(ring),
        "oldest_sample": samples_json[0] if samples_json else None,
        "newest_sample": samples_json[-1] if samples_json else None,
        "sample_interval": ring.period,
    }


def difficulty_samples(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /net_diff_samples: what there is of the Dash network's difficulty."""
    known = [
        {"ts": sample.start, "difficulty": value}
        for sample in snapshot.cache.samples.month.ends() or ()
        if (value := sample.scalar("network_difficulty")) is not None
    ]
    return {
        "sample_count": len(snapshot.cache.samples.month),
        "oldest_sample": known[0] if known else None,
        "newest_sample": known[-1] if known else None,
    }


def stat_log(context: RequestContext, arguments: Arguments) -> bytes:
    """Return the JSON of /web/log: the oldest first. Entries are rendered when they are made."""
    return b"[" + b",".join(context.sources.cache.log) + b"]"


# --- version 1 ----------------------------------------------------------------------------------------------

_PERIODS: Final[dict[str, Callable[[Samples], Ring]]] = {
    "hour": lambda samples: samples.hour,
    "day": lambda samples: samples.day,
    "month": lambda samples: samples.month,
}


def samples_of(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /api/v1/samples."""
    ring, figure = _PERIODS[arguments["period"]](context.sources.cache.samples), arguments["figure"]
    return {
        "figure": figure,
        "period": arguments["period"],
        "interval": ring.period,
        "points": [[int(sample.start), sample.scalar(figure)] for sample in ring.samples()],
    }


def _graph_schema() -> Schema:
    value: Schema = {"anyOf": [number(), {"type": "null"}, mapping(number())]}
    return array(row(value, 4, "[middle in Unix seconds, value or values by name, seconds, default]"))


_LOG_ENTRY = record(
    time=TIME,
    pool_hash_rate=HASH_RATE,
    pool_stale_prop=PART,
    local_hash_rates=mapping(HASH_RATE, "hash rates of the fastest workers"),
    local_dead_hash_rates=mapping(HASH_RATE),
    shares=count(),
    stale_shares=count(),
    stale_shares_breakdown=record(orphan=count(), doa=count()),
    current_payout=DASH,
    peers=record(incoming=count(), outgoing=count()),
    attempts_to_share=number(),
    attempts_to_block=nullable(number()),
    block_value=DASH,
)
_DIFFICULTY_SAMPLE = nullable(record(ts=TIME, difficulty=number()))
_HASHRATE_SAMPLE = nullable(record(ts=TIME, hashrate=nullable(HASH_RATE), network_diff=nullable(number())))
ENDPOINTS = (
    Endpoint(
        "/api/v1/samples",
        "One figure over the last hour (every 10 s), day (every minute) or month (every 10 minutes), oldest "
        "first, as far back as this node has been running",
        record(
            figure=text(),
            period=text(),
            interval=integer("seconds"),
            points=array(row(nullable(number()), 2, "[Unix seconds, value]")),
        ),
        look_up=samples_of,
        parameters=(
            choice("figure", "which figure", SCALARS, default="pool_hash_rate"),
            choice("period", "length of the time range", tuple(_PERIODS), default="hour"),
        ),
    ),
    Endpoint(
        "/web/graph_data/{source}/{view}",
        "A graph: [middle of the period, value, width, default], newest first",
        _graph_schema(),
        look_up=graph_data,
        parameters=(
            choice("source", "which graph", tuple(_GRAPHS), default=None, in_path=True),
            choice(
                "view",
                "length of the time range",
                tuple(f"last_{span}" for span in _SPANS),
                default=None,
                in_path=True,
            ),
        ),
    ),
    Endpoint("/web/log", "Figures of the last day, every five minutes", array(_LOG_ENTRY), look_up=stat_log),
    Endpoint(
        "/network_difficulty",
        "The Dash network's difficulty over time, oldest first",
        array(record(ts=TIME, network_diff=number())),
        look_up=difficulty_history,
        parameters=(choice("period", "length of the time range", tuple(_SPANS), default="day"),),
    ),
    Endpoint(
        "/hashrate_samples",
        "Available samples of the pool's hash rate",
        record(
            sample_count=count(),
            oldest_sample=_HASHRATE_SAMPLE,
            newest_sample=_HASHRATE_SAMPLE,
            sample_interval=SECONDS,
        ),
        view=hashrate_samples,
    ),
    Endpoint(
        "/net_diff_samples",
        "Available samples of the Dash network's difficulty",
        record(sample_count=count(), oldest_sample=_DIFFICULTY_SAMPLE, newest_sample=_DIFFICULTY_SAMPLE),
        view=difficulty_samples,
    ),
)
