"""The values that history takes and gives, and how fine and how long it keeps them. Times are Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from p2pool.pool_stats import BlockRecord, ShareRecord, WorkerSnapshot

PERIOD: Final = 10
"""Seconds between samples."""
MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86400

POOL_FIGURES: Final = (
    "pool_hash_rate",
    "pool_stale_proportion",
    "pool_good_rate",
    "pool_orphan_rate",
    "pool_dead_rate",
    "local_hash_rate",
    "local_dead_hash_rate",
    "local_good_share_rate",
    "local_dead_share_rate",
    "network_difficulty",
    "own_payout",
    "workers",
    "connected_addresses",
    "working_addresses",
    "connections",
    "peers_incoming",
    "peers_outgoing",
    "dashd_latency",
    "memory",
)
"""Figures of the node and the pool, one number each: the mean over a period."""
MEANS: Final = ("hash_rate", "dead_rate")
"""Figures of a series that are means over a period in which the node ran: 0 if the worker did nothing."""
LEVELS: Final = ("difficulty", "payout")
"""Figures that are means over the samples in which there were any: null if there was none."""
COUNTS: Final = ("accepted", "stale", "low_difficulty", "duplicate", "other_refused", "dead", "shares")
"""Figures that are counted within a period."""
SERIES_FIGURES: Final = (*MEANS, *LEVELS, *COUNTS)
REFUSED: Final = ("stale", "low_difficulty", "duplicate", "other_refused")
"""The figures of COUNTS that are rejected submissions."""
REASONS: Final = {21: "stale", 22: "duplicate", 23: "low_difficulty"}
"""By stratum's error code; all others are `other_refused`."""


class SeriesKind(IntEnum):
    """The subject of a series; the number is the one in the database."""

    WORKER = 1
    ADDRESS = 2
    VERSION = 3
    """The hash rate that votes for a version of shares."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Samples of one fineness: a period of `step` seconds is kept until it is `kept` seconds old, None for as long
    as history reaches. Each is made of the tier before it."""

    step: int
    kept: int | None


TIERS: Final = (
    Tier(PERIOD, HOUR + 10 * MINUTE),
    Tier(MINUTE, DAY + HOUR),
    Tier(10 * MINUTE, 31 * DAY),
    Tier(HOUR, None),
    Tier(DAY, None),
    Tier(30 * DAY, None),
)
"""The finest first. The last two serve queries over a year: its highest hash rates come from some periods, not
from nine thousand."""


@dataclass(frozen=True, slots=True)
class RoundFigures:
    """The round that led to a block (p2pool/web/luck.py). `start` is the hash of the pool's previous block;
    work in hashes."""

    block_hash: int
    start: int
    time_to_find: float
    difficulty: float | None
    expected_work: float | None
    actual_work: float | None
    method: str | None


@dataclass(frozen=True, slots=True)
class BlockPayouts:
    """What a block pays: the hash of its coinbase transaction, and duffs by address. Scripts without an address
    stand under a text that is none."""

    transaction: int
    amounts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class HistorySample:
    """All that history stores of one point in time. Its values are shared with others and never changed."""

    time: float
    pool: Mapping[str, float | None]
    """By POOL_FIGURES; None if unknown."""
    workers: Sequence[WorkerSnapshot] = ()
    payouts: Mapping[str, float] = field(default_factory=dict)
    """DASH by address that the next block would pay."""
    versions: Mapping[str, float] = field(default_factory=dict)
    """Hash rates by the share version that they vote for."""
    shares: Sequence[ShareRecord] = ()
    """The newest ones; those that came before too."""
    blocks: Sequence[BlockRecord] = ()
    rounds: Sequence[RoundFigures] = ()
    paid: Mapping[int, BlockPayouts] = field(default_factory=dict)
    """By hash, of those blocks of which it is known."""


@dataclass(frozen=True, slots=True)
class Points:
    """Means over equal periods: `times` are their starts, the oldest first, `figures` a number for each, None
    if unknown. `step` in seconds."""

    start: float
    end: float
    step: int
    times: list[int]
    figures: dict[str, list[float | None]]


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list, the newest first, and how many there are in all."""

    total: int
    rows: list[dict[str, object]]


class HistoryProblem(Exception):
    """History cannot be written or asked; the text is for the operator."""


class HistoryBusy(HistoryProblem):
    """History can be asked again later; the text is for everybody."""
