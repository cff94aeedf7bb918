"""Reports of gateways as values: what `PoolStats.gateway_steps` takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from p2pool.base.steps import finish
from p2pool.pool_stats import PoolStats


@dataclass(frozen=True)
class Worker:
    """`pool_stats.WorkerSums` as a value."""

    name: str
    connections: int = 0
    accepted: int = 0
    attempts: float = 0.0
    dead: int = 0
    dead_attempts: float = 0.0
    difficulty: float = 8.0
    refused: Mapping[int, int] = field(default_factory=dict)
    software: str = "miner/1"
    site: str = "192.0.2.1"


@dataclass(frozen=True)
class Report:
    """`pool_stats.GatewaySums` as a value."""

    workers: tuple[Worker, ...] = ()
    gateway: str = "front:7903"
    address: str = "front.example:7903"
    version: str = "1.2"
    run: int = 1
    started: float = 0.0
    seconds: float = 1.0
    connections: int = 0
    connected: int = 0
    turned_away: Mapping[str, int] = field(default_factory=dict)
    offences: Mapping[str, int] = field(default_factory=dict)
    whole: bool = False
    leaving: bool = False


def gateway_sums(name: str, **changes: Any) -> Report:
    """Return a report of five accepted and two rejected submissions of one worker on three connections."""
    worker = Worker(name, connections=3, accepted=5, attempts=6e6, refused={23: 2})
    return Report((worker,), **{"connections": 3, "connected": 3, **changes})


def record_report(stats: PoolStats, report: Report, now: float) -> None:
    """Record a report in one go."""
    finish(stats.gateway_steps(report, now))
