"""The values that pool_stats takes and gives: immutable, times in Unix seconds, rates in events or hashes a
second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from p2pool.base.histogram import HistogramSnapshot
from p2pool.pool_stats.figures import ChainFigures, DashdFigures, PeerCounts
from p2pool.pool_stats.process import ProcessSnapshot
from p2pool.pool_stats.recent_refusals import Refusals

RATE_WINDOWS: Final = (60.0, 3600.0, 86400.0)
"""Time constants, in seconds, of the smoothed hash rates. `hash_rate` is an estimate of the present one."""
CERTAIN: Final = 1.7
"""A hash rate that may be so many times what is estimated is still being estimated: it rests on fewer than seven
submissions or so."""


@dataclass(frozen=True, slots=True)
class ShareRecord:
    """A share of the chain found by a miner of this node."""

    time: float
    share_hash: int
    worker: str
    dead: bool
    attempts: int


class BlockStatus(StrEnum):
    """What became of a block of the pool."""

    SENT = "sent"
    """On its way: no daemon has it in its chain yet."""
    ACCEPTED = "accepted"
    """In the best chain."""
    CONFIRMED = "confirmed"
    """So deep in the best chain that its coins can be spent."""
    ORPHANED = "orphaned"
    """Valid, but another block took its place."""
    REFUSED = "refused"
    """No daemon took it."""


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A block of the parent chain found by this pool. `worker` is empty or "another node" if it was not found
    here; `subsidy` in duffs; `reason` says why it was refused or orphaned; `confirmations` is 1 at the tip."""

    time: float
    block_hash: int
    height: int
    worker: str
    share_hash: int | None
    subsidy: int
    status: BlockStatus = BlockStatus.SENT
    reason: str = ""
    confirmations: int = 0
    chainlocked: bool = False

    @property
    def found_here(self) -> bool:
        """Return whether a miner of this node found it."""
        return self.worker not in ("", "another node")

    @property
    def in_chain(self) -> bool:
        """Return whether the best chain has it, as far as is known."""
        return self.status in (BlockStatus.ACCEPTED, BlockStatus.CONFIRMED)


@dataclass(frozen=True, slots=True)
class BanRecord:
    """A host of miners that is kept out. `host` is an IPv4 address or an IPv6 network of 64 bits; `source` is the
    gateway or node that banned it, "" for this process; `is_automatic` if that was because of what its miners did
    there, not by an operator."""

    host: str
    since: float
    until: float
    reason: str
    source: str = ""
    is_automatic: bool = False


@dataclass(frozen=True, slots=True)
class HostRecord:
    """How a host of miners behaves. It is banned when `cost`, which decays, reaches the limit, unless it is
    `never_banned`: loopback, or on the allow-list. `submissions` and `refused` are those of the latest judgement's
    window."""

    host: str
    connections: int
    cost: float
    submissions: int
    refused: int
    never_banned: bool = False


class HostLoad(NamedTuple):
    """How many connections one host of miners has, and how many workers with different names use them. Its
    address is left out, because the figures are public."""

    connections: int
    workers: int


class EventKind(StrEnum):
    """Events that people are notified of, and that history keeps."""

    BLOCK_FOUND = "block_found"
    BLOCK_CONFIRMED = "block_confirmed"
    BLOCK_ORPHANED = "block_orphaned"
    BLOCK_REFUSED = "block_refused"
    NODE_UP = "node_up"
    NODE_DOWN = "node_down"
    WORKER_UP = "worker_up"
    WORKER_DOWN = "worker_down"
    HASH_RATE_DROP = "hash_rate_drop"
    HASH_RATE_BACK = "hash_rate_back"
    DASHD_LOST = "dashd_lost"
    DASHD_BACK = "dashd_back"
    PEERS_LOST = "peers_lost"
    PEERS_BACK = "peers_back"
    BAN = "ban"
    STORAGE_PROBLEM = "storage_problem"
    STORAGE_BACK = "storage_back"
    VOTES_RISEN = "votes_risen"
    VOTES_FALLEN = "votes_fallen"
    OWN_VOTES_REFUSED = "own_votes_refused"
    OWN_VOTES_ACCEPTED = "own_votes_accepted"
    NEWER_SHARE_TYPE = "newer_share_type"
    SOFTWARE_LOST = "software_lost"
    SOFTWARE_BACK = "software_back"
    HANDSHAKES_CLOSED = "handshakes_closed"
    HANDSHAKES_KEPT = "handshakes_kept"
    CHAIN_SPLIT = "chain_split"
    CHAIN_JOINED = "chain_joined"


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened. `subject` is what it happened to: a worker, a host, a block's hash, or empty for
    the node; `text` one sentence for people; `details` what programs may want, JSON values."""

    time: float
    kind: EventKind
    subject: str
    text: str
    details: Mapping[str, object] = field(default_factory=dict)


def is_estimating(rate: float, high: float) -> bool:
    """Return whether a hash rate, which may be as high as `high`, rests on too few submissions to be relied on."""
    return high > CERTAIN * rate


class WorkerSnapshot(NamedTuple):
    """One worker; a tuple, because thousands are made in a second. `hash_rate` in hashes a second is estimated
    from the last ten minutes, or more if submissions are rare; the real one is between `hash_rate_low` and
    `hash_rate_high` with a probability of 90 %. `dead_rate` is the part of it that came too late; `hash_rates` are
    averages over RATE_WINDOWS. `refused_by` counts by stratum error code. `last_accepted` is None before the
    first. `first_seen` is when the node saw it first in this run, or since it was last forgotten."""

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
    first_seen: float = 0.0
    hash_rate_low: float = 0.0
    hash_rate_high: float = 0.0
    refusals: Refusals | None = None
    """Of the last minutes; None if no submission was rejected in them."""


class AddressSnapshot(NamedTuple):
    """All remembered workers of one payout address together; fields as WorkerSnapshot's. `workers` counts those
    with a connection, `known` all. The counters fall if a worker is forgotten."""

    address: str
    known: int
    workers: int
    connections: int
    hash_rate: float
    dead_rate: float
    hash_rates: tuple[float, ...]
    accepted: int
    refused: int
    dead: int
    shares: int
    last_seen: float
    last_accepted: float | None
    hash_rate_low: float = 0.0
    hash_rate_high: float = 0.0


@dataclass(frozen=True, slots=True)
class SecuritySnapshot:
    """Connections and submissions, accepted and rejected, and bans. Rates are over the last minute,
    `recent_submission_rate` over ten seconds;
    `connected` counts the connections that were let in, `turned_away` the others by reason, both since the
    start."""

    connected: int
    connection_rate: float
    submission_rate: float
    refusal_rate: float
    turned_away_rate: float
    turned_away: dict[str, int]
    offences: dict[str, int]
    bans: tuple[BanRecord, ...]
    hosts: tuple[HostRecord, ...]
    """The hosts with the highest costs."""
    recent_submission_rate: float = 0.0
    loads: tuple[HostLoad, ...] = ()
    """The hosts with the most connections, the greatest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySnapshot:
    """One gateway. `connections` and `workers` are those of now, 0 if it is not `present`; the counters are those
    since this node was started. `last_heard` is in Unix seconds, rates in hashes a second over ten minutes."""

    name: str
    address: str
    version: str
    present: bool
    connections: int
    workers: int
    hash_rate: float
    dead_rate: float
    accepted: int
    dead: int
    refused: int
    last_heard: float


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
    hash_rate_low: float
    hash_rate_high: float
    hash_rates: tuple[float, ...]
    shares: int
    dead_shares: int
    blocks_accepted: int
    """All that came into the best chain since the start; it never falls, while `blocks` forgets."""
    workers: tuple[WorkerSnapshot, ...]
    """The worker that has been silent longest comes first. Each is as of some milliseconds before or after
    `time`."""
    addresses: dict[str, AddressSnapshot]
    recent_shares: tuple[ShareRecord, ...]
    blocks: tuple[BlockRecord, ...]
    """The oldest first; also those of earlier runs."""
    notices: dict[str, HistogramSnapshot]
    """Seconds from the first notification of a block to the first job on it, by the notification's source."""
    sending: HistogramSnapshot
    """Seconds from finding a block until it was sent on all channels."""
    job_broadcasts: HistogramSnapshot
    """Seconds from new work until the last connection of a job broadcast had its job."""
    submits: HistogramSnapshot
    """Seconds from a submission's arrival to its answer."""
    security: SecuritySnapshot
    chain: ChainFigures
    peers: PeerCounts
    dashd: DashdFigures
    process: ProcessSnapshot
    alerts: int
    """Alerts sent since the start."""
    gateways: tuple[GatewaySnapshot, ...] = ()
    """By name. What they count is part of all other figures."""
