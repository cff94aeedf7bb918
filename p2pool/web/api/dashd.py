"""Dash Core and the way to it: /dashd_status, /broadcaster_status, /api/v1/dashd."""

from __future__ import annotations

from typing import Any

from p2pool.base.histogram import HistogramSnapshot
from p2pool.dashd.broadcaster import BroadcasterPeer
from p2pool.dashd.figures import DashCoreFigures
from p2pool.web.api.endpoint import Endpoint
from p2pool.web.api.schema import (
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


def daemon_list(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /api/v1/dashd: each daemon's health, how soon there was work on new blocks, how fast
    blocks were sent."""
    figures, pool = snapshot.sources.dashd(), snapshot.pool
    return {
        "problem": figures.problem,
        "warnings": list(figures.warnings),
        "daemons": [
            {
                "address": daemon.name,
                "serving": daemon.serving,
                "problem": daemon.problem,
                "height": daemon.height,
                "last_answer": daemon.since_answer,
                "answer_time": daemon.answer_time,
                "version": daemon.version,
                "connections": daemon.connections,
            }
            for daemon in figures.daemons
        ],
        "new_block_to_job": {source: _times(times) for source, times in pool.notices.items()},
        "block_sending": _times(pool.sending),
        "blocks_waiting": figures.blocks_waiting,
    }


def _times(times: HistogramSnapshot) -> dict[str, Any]:
    """Return the figures of a histogram of seconds; quantiles are upper bounds."""
    count = times.count
    return {
        "count": count,
        "average": times.total / count if count else None,
        "median": times.quantile(0.5),
        "p99": times.quantile(0.99),
    }


def broadcaster_status(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /broadcaster_status: the nodes of the Dash network that found blocks are sent to, as
    front ends of legacy p2pool-dash show them. dashd itself is not among the nodes: it has links of its own."""
    figures, now = snapshot.sources.dashd(), snapshot.pool.time
    peers, totals, sent = figures.broadcaster, figures.broadcasting(), snapshot.pool.sending.count
    counts = totals.counts
    tried = counts.deliveries + counts.failed_deliveries
    return {
        "enabled": snapshot.sources.broadcaster_enabled,
        "bootstrapped": totals.known > 0,
        "connected": len(peers),
        "health": _broadcaster_health(figures, totals.max_peers),
        "blocks_broadcast": sent,
        "statistics": {
            "blocks_broadcast": sent,
            "total_peer_broadcasts": tried,
            "successful_broadcasts": counts.deliveries,
            "failed_broadcasts": counts.failed_deliveries,
            "success_rate_percent": 100 * counts.deliveries / tried if tried else 0.0,
            "connection_attempts": counts.attempts,
            "successful_connections": counts.connected,
            "failed_connections": counts.failed,
            "timeouts": counts.timeouts,
            "refused": counts.refused,
            "dashd_refreshes": counts.refreshes,
        },
        "database": {
            "total_peers": totals.known,
            "sources": dict(totals.sources),
            "last_dashd_refresh": counts.refreshed,
            "seconds_since_refresh": None if counts.refreshed is None else max(0, int(now - counts.refreshed)),
        },
        "configuration": {
            "max_peers": totals.max_peers,
            "min_peers": 1,
            "max_connection_attempts": totals.dials_at_once,
            "connection_timeout_seconds": totals.connect_time,
            "dashd_refresh_interval_seconds": totals.refresh_period,
        },
        "peers": {
            "protected": [],
            "active": [_broadcaster_peer(peer, now) for peer in peers],
            "in_backoff": [
                {
                    "host": each.host,
                    "port": each.port,
                    "backoff_remaining_seconds": int(each.remaining),
                    "backoff_total_seconds": int(each.pause),
                    "attempts": each.failures,
                }
                for each in totals.resting
            ],
        },
    }


def _broadcaster_health(figures: DashCoreFigures, max_peers: int) -> dict[str, Any]:
    connections = len(figures.broadcaster)
    return {
        "healthy": connections > 0,
        "active_connections": connections,
        "protected_connections": 0,
        "total_connections": connections,
        "target_max_peers": max_peers,
        "target_min_peers": 1,
        "local_dashd_connected": figures.links_up > 0,
    }


def _broadcaster_peer(peer: BroadcasterPeer, now: float) -> dict[str, Any]:
    return {
        "host": peer.host,
        "port": peer.port,
        "protected": False,
        "version": peer.software,
        "connected_since": now - peer.connected_for,
        "uptime_seconds": int(peer.connected_for),
        "clock_offset": peer.clock_offset,
        "score": peer.score,
        "source": peer.source,
        "successful_broadcasts": peer.delivered,
        "failed_broadcasts": peer.failed,
        "blocks_relayed": peer.relayed,
        "txs_relayed": 0,
    }


_TIMES = record(
    "seconds; quantiles are upper bounds",
    count=count(),
    average=nullable(SECONDS),
    median=nullable(SECONDS),
    p99=nullable(SECONDS),
)
_DASHD = record(
    problem=nullable(text("why there are no fresh templates")),
    warnings=array(text()),
    daemons=array(
        record(
            address=text(),
            serving=boolean("whether it provides the work"),
            problem=nullable(text()),
            height=nullable(integer()),
            last_answer=nullable({**SECONDS, "description": "seconds ago"}),
            answer_time=nullable(
                {**SECONDS, "description": "seconds that it takes to return a template, smoothed"}
            ),
            version=text(),
            connections=nullable(count()),
        )
    ),
    new_block_to_job=mapping(
        _TIMES, "time from the first notification of a block to the first job on it, by source of the notification"
    ),
    block_sending=_TIMES,
    blocks_waiting=count("found blocks whose outcome is pending"),
)
_BROADCASTER = record(
    enabled=boolean(),
    bootstrapped=boolean("whether any address is known"),
    connected=count(),
    health=record(
        "",
        healthy=boolean(),
        active_connections=count(),
        protected_connections=count("always 0: connections to dashd are counted separately"),
        total_connections=count(),
        target_max_peers=count(),
        target_min_peers=count(),
        local_dashd_connected=boolean("whether a dashd is connected"),
    ),
    blocks_broadcast=count(),
    statistics=record(
        "since the start",
        blocks_broadcast=count(),
        total_peer_broadcasts=count("number of blocks sent, counted once per node"),
        successful_broadcasts=count(),
        failed_broadcasts=count(),
        success_rate_percent=number(),
        connection_attempts=count(),
        successful_connections=count(),
        failed_connections=count(),
        timeouts=count(),
        refused=count(),
        dashd_refreshes=count("lists of dashd's own peers received"),
    ),
    database=record(
        "addresses",
        total_peers=count(),
        sources=mapping(count(), "by source: dashd, network, remembered"),
        last_dashd_refresh=nullable(TIME),
        seconds_since_refresh=nullable(count()),
    ),
    configuration=record(
        "",
        max_peers=count(),
        min_peers=count(),
        max_connection_attempts=count("at a time"),
        connection_timeout_seconds=SECONDS,
        dashd_refresh_interval_seconds=SECONDS,
    ),
    peers=record(
        protected=array({}),
        active=array(
            record(
                host=text(),
                port=count(),
                protected=boolean(),
                version=text(),
                connected_since=TIME,
                uptime_seconds=count(),
                clock_offset=number("how far its clock is ahead of this node's, seconds"),
                score=number("rises with each block that it announces, falls with each failure"),
                source=text("source of the address: dashd, network, remembered"),
                successful_broadcasts=count("blocks that it accepted"),
                failed_broadcasts=count(),
                blocks_relayed=count("new blocks that it announced"),
                txs_relayed=count("always 0: transactions are not requested"),
            )
        ),
        in_backoff=array(
            record(
                host=text(),
                port=count(),
                backoff_remaining_seconds=count(),
                backoff_total_seconds=count(),
                attempts=count(),
            ),
            "addresses that failed, next retry first",
        ),
    ),
)
ENDPOINTS = (
    Endpoint(
        "/api/v1/dashd",
        "Health of each dashd, time from a new block to the first job on it, and time to send found blocks",
        _DASHD,
        view=daemon_list,
    ),
    Endpoint("/dashd_status", "Dash Core", _DASHD, same_as="/api/v1/dashd"),
    Endpoint(
        "/broadcaster_status",
        "Nodes of the Dash network that the node sends found blocks to",
        _BROADCASTER,
        view=broadcaster_status,
    ),
)
