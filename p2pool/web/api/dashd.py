"""Dash Core and the way to it: /dashd_status, /broadcaster_status, /api/v1/dashd."""

from __future__ import annotations

from typing import Any

from p2pool.base.histogram import HistogramSnapshot
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
from p2pool.web.sources import Moment


def daemon_list(moment: Moment) -> dict[str, Any]:
    """/api/v1/dashd: each daemon's health, how soon there was work on new blocks, how fast blocks were sent."""
    figures, snapshot = moment.sources.dashd(), moment.snapshot
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
        "new_block_to_job": {road: _times(times) for road, times in snapshot.notices.items()},
        "block_sending": _times(snapshot.sending),
        "blocks_waiting": figures.blocks_waiting,
    }


def _times(times: HistogramSnapshot) -> dict[str, Any]:
    """Seconds; quantiles are upper bounds."""
    count = times.count
    return {
        "count": count,
        "average": times.total / count if count else None,
        "median": times.quantile(0.5),
        "p99": times.quantile(0.99),
    }


def broadcaster_status(moment: Moment) -> dict[str, Any]:
    """/broadcaster_status: the nodes of the Dash network that found blocks are sent to. What the old software told
    of its list of addresses and of single deliveries is not counted here and left out."""
    peers, sent = moment.sources.dashd().broadcaster, moment.snapshot.sending.count
    return {
        "enabled": moment.sources.broadcaster_enabled,
        "connected": len(peers),
        "health": {
            "healthy": bool(peers),
            "active_connections": len(peers),
            "total_connections": len(peers),
        },
        "blocks_broadcast": sent,
        "peers": {
            "protected": [],
            "active": [
                {
                    "host": peer.host,
                    "port": peer.port,
                    "protected": False,
                    "version": peer.software,
                    "connected_since": moment.snapshot.time - peer.connected_for,
                    "uptime_seconds": int(peer.connected_for),
                    "clock_offset": peer.clock_offset,
                }
                for peer in peers
            ],
            "in_backoff": [],
        },
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
            serving=boolean("whether work comes from it"),
            problem=nullable(text()),
            height=nullable(integer()),
            last_answer=nullable({**SECONDS, "description": "seconds ago"}),
            answer_time=nullable({**SECONDS, "description": "seconds that it takes for a template, smoothed"}),
            version=text(),
            connections=nullable(count()),
        )
    ),
    new_block_to_job=mapping(_TIMES, "from the first news of a block to the first job on it, by road of the news"),
    block_sending=_TIMES,
    blocks_waiting=count("found blocks that are not settled yet"),
)
ENDPOINTS = (
    Endpoint(
        "/api/v1/dashd",
        "Each Dash Core's health, how soon there was work on new blocks, how fast found blocks were sent",
        _DASHD,
        view=daemon_list,
    ),
    Endpoint("/dashd_status", "Dash Core", _DASHD, same_as="/api/v1/dashd"),
    Endpoint(
        "/broadcaster_status",
        "Nodes of the Dash network that found blocks are sent to",
        record(
            enabled=boolean(),
            connected=count(),
            health=record(healthy=boolean(), active_connections=count(), total_connections=count()),
            blocks_broadcast=count(),
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
                        clock_offset=number("how far its clock is ahead of ours, seconds"),
                    )
                ),
                in_backoff=array({}),
            ),
        ),
        view=broadcaster_status,
    ),
)
