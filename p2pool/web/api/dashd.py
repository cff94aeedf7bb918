"""Dash Core and the way to it: /dashd_status, /broadcaster_status."""

from __future__ import annotations

from typing import Any

from p2pool.base.histogram import HistogramSnapshot
from p2pool.web.sources import Moment


def daemon_list(moment: Moment) -> dict[str, Any]:
    """/dashd_status: each daemon's health, how soon there was work on new blocks, how fast blocks were sent."""
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
    """/broadcaster_status: the nodes of the Dash network that found blocks are sent to."""
    peers = moment.sources.dashd().broadcaster
    return {
        "connected": len(peers),
        "peers": [
            {
                "address": f"[{peer.host}]:{peer.port}" if ":" in peer.host else f"{peer.host}:{peer.port}",
                "version": peer.software,
                "connected_for": peer.connected_for,
                "clock_offset": peer.clock_offset,
            }
            for peer in peers
        ],
    }
