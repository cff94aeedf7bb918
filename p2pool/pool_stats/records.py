"""The values that pool_stats takes and gives: immutable, times in Unix seconds, rates in events or hashes a
second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

RATE_WINDOWS: Final = (60.0, 3600.0, 86400.0)
"""Seconds of the smoothed hash rates beside the sliding one of RATE_WINDOW seconds."""


@dataclass(frozen=True, slots=True)
class ShareRecord:
    """A share of the chain found by a miner of this node."""

    time: float
    share_hash: int
    worker: str
    dead: bool
    attempts: int


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A block of the parent chain found by this pool. `result` is dashd's answer: None until it came, "" for
    accepted, else its reason. `worker` is empty where a peer's miner found it."""

    time: float
    block_hash: int
    height: int
    worker: str
    share_hash: int | None
    subsidy: int
    result: str | None


@dataclass(frozen=True, slots=True)
class BanRecord:
    """A host of miners that is kept out. `host` is an IPv4 address or an IPv6 network of 64 bits."""

    host: str
    since: float
    until: float
    reason: str


@dataclass(frozen=True, slots=True)
class HostRecord:
    """How a host of miners behaves. It is banned when `cost`, which decays, reaches the limit; `submissions` and
    `refused` are those of the latest judgement's window."""

    host: str
    connections: int
    cost: float
    submissions: int
    refused: int


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """One worker. `hash_rate` in hashes a second over the last ten minutes, `dead_rate` the part of it that came
    too late; `hash_rates` are those over RATE_WINDOWS. `refused_by` counts by stratum error code. `last_accepted`
    is None before the first."""

    name: str
    connections: int
    difficulty: float
    hash_rate: float
    dead_rate: float
    hash_rates: tuple[float, ...]
    accepted: int
    refused: int
    refused_by: dict[int, int]
    dead: int
    shares: int
    last_seen: float
    last_accepted: float | None
    software: str


@dataclass(frozen=True, slots=True)
class SecuritySnapshot:
    """Who comes and who is kept out. Rates over the last minute; `turned_away` counts by reason since the
    start."""

    connection_rate: float
    submission_rate: float
    refusal_rate: float
    turned_away_rate: float
    turned_away: dict[str, int]
    offences: dict[str, int]
    bans: tuple[BanRecord, ...]
    hosts: tuple[HostRecord, ...]
    """Those with the highest costs."""


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """Everything at one moment."""

    time: float
    start_time: float
    connections: int
    accepted: int
    refused: dict[int, int]
    dead: int
    hash_rate: float
    dead_rate: float
    hash_rates: tuple[float, ...]
    shares: int
    dead_shares: int
    blocks_accepted: int
    """All that dashd accepted since the start; it never falls, while `recent_blocks` forgets."""
    workers: tuple[WorkerSnapshot, ...]
    recent_shares: tuple[ShareRecord, ...]
    recent_blocks: tuple[BlockRecord, ...]
    security: SecuritySnapshot
