"""Snapshots, workers and blocks as the watch sees them, made in a line each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from p2pool.pool_stats import (
    BlockRecord,
    BlockStatus,
    ChainFigures,
    DashdFigures,
    EventKind,
    EventRecord,
    PeerCounts,
    PoolSnapshot,
    PoolStats,
    RefusedBranch,
    RefusedWork,
    WorkerSnapshot,
)
from tests.chains import NOW


def worker(name: str, accepted: int, last: float | None, here: int = 1, rate: float = 1e9) -> WorkerSnapshot:
    return WorkerSnapshot(
        name, here, 1.0, rate, 0.0, (rate, rate, rate), accepted, 0, {}, 0, 0, last or 0.0, last, ""
    )


def snapshot(now: float, **changes: Any) -> PoolSnapshot:
    """A healthy node's, but for the changes."""
    fields: dict[str, Any] = {
        "hash_rate": 100.0,
        "hash_rates": (100.0, 100.0, 100.0),
        "workers": (),
        "dashd": DashdFigures(problem=None),
        "peers": PeerCounts(1, 1),
        "chain": ChainFigures(),
        "start_time": NOW,
    } | changes
    return replace(PoolStats(NOW).snapshot(now), time=now, **fields)


def split(since: float) -> RefusedWork:
    """Most of the network's work is on a refused share."""
    branch = RefusedBranch(0xBAD, "wrong absheight", since, since + 20, 2, 200.0, {"c2pool": 2})
    return RefusedWork(100.0, 200.0, 2 / 3, 0.75, (branch,), True, "67% of the work")


def block(number: int = 1, status: BlockStatus = BlockStatus.SENT, **changes: Any) -> BlockRecord:
    fields: dict[str, Any] = {
        "time": NOW,
        "block_hash": number,
        "height": 100 + number,
        "worker": "yA.rig",
        "share_hash": number + 1,
        "subsidy": 177_000_000,
        "status": status,
    } | changes
    return BlockRecord(**fields)


def event(kind: EventKind = EventKind.WORKER_DOWN, subject: str = "yA.rig", time: float = NOW) -> EventRecord:
    return EventRecord(time, kind, subject, f"{subject}: {kind.value}", {"worker": subject})
