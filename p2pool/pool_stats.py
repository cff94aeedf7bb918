"""What the node is doing, in one in-memory object that all share.

`record_*` is called from the mining path: constant time, nothing that grows with the number of events.
`snapshot` gives an immutable value for whoever shows or stores it. There is no policy in here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from p2pool.base.bounded import BoundedDict
from p2pool.base.rates import WindowedSum

RATE_WINDOW: Final = 600.0
"""Seconds over which hash rates are averaged."""
MAX_WORKERS: Final = 10_000
"""Workers remembered; those without a connection are forgotten first, of these the one silent longest."""
MAX_WORKER_NAME: Final = 128
MAX_RECENT: Final = 100
"""Shares and blocks of ours kept for pages."""
MAX_OPEN_BLOCKS: Final = 1000
"""Blocks without an answer: dashd answers in seconds, and none is waited for longer than an hour."""
MAX_REFUSAL_CODES: Final = 32


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
class WorkerSnapshot:
    """One worker. `hash_rate` in hashes a second, `dead_rate` the part of it that came too late."""

    name: str
    connections: int
    difficulty: float
    hash_rate: float
    dead_rate: float
    accepted: int
    refused: int
    dead: int
    shares: int
    last_seen: float


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
    shares: int
    dead_shares: int
    blocks_accepted: int
    """All that dashd accepted since the start; it never falls, while `recent_blocks` forgets."""
    workers: tuple[WorkerSnapshot, ...]
    recent_shares: tuple[ShareRecord, ...]
    recent_blocks: tuple[BlockRecord, ...]


class _Worker:
    __slots__ = (
        "accepted",
        "connections",
        "dead",
        "dead_work",
        "difficulty",
        "last_seen",
        "refused",
        "shares",
        "work",
    )

    def __init__(self, now: float) -> None:
        self.connections = 0
        self.difficulty = 0.0
        self.accepted = self.refused = self.dead = self.shares = 0
        self.work = WindowedSum(RATE_WINDOW)
        self.dead_work = WindowedSum(RATE_WINDOW)
        self.last_seen = now


class PoolStats:
    """The counters. Times are passed in, in Unix seconds."""

    def __init__(self, now: float) -> None:
        self.start_time = now
        self._connections = 0
        self._accepted = self._dead = self._shares = self._dead_shares = 0
        self._refused: dict[int, int] = {}
        self._work = WindowedSum(RATE_WINDOW)
        self._dead_work = WindowedSum(RATE_WINDOW)
        self._workers: dict[str, _Worker] = {}
        self._by_address: dict[str, dict[str, _Worker]] = {}
        """The same workers by the address before the dot: a job asks for an address's rate."""
        self._absent: dict[str, None] = {}
        """The names of those without a connection, who are forgotten before the others; the first goes first."""
        self._recent_shares: deque[ShareRecord] = deque(maxlen=MAX_RECENT)
        self._blocks: dict[int, BlockRecord] = {}
        self._blocks_accepted = 0
        self._open_blocks: BoundedDict[int, bool] = BoundedDict(MAX_OPEN_BLOCKS)
        """Recorded, and not answered by dashd yet: each is counted once, also after it is off the pages."""

    # --- recording ---------------------------------------------------------------------------------------

    def _worker(self, name: str, now: float) -> _Worker:
        """The worker, moved to the end of the table, which stays in order of silence."""
        name = name[:MAX_WORKER_NAME]
        worker = self._workers.pop(name, None)
        if worker is None:
            worker = _Worker(now)
            if len(self._workers) >= MAX_WORKERS:
                self._forget_one()
            self._by_address.setdefault(_address_of(name), {})[name] = worker
        self._workers[name] = worker
        if not worker.connections:
            self._absent.pop(name, None)
            self._absent[name] = None
        worker.last_seen = now
        return worker

    def _forget_one(self) -> None:
        oldest = next(iter(self._absent or self._workers))
        self._absent.pop(oldest, None)
        del self._workers[oldest]
        address = _address_of(oldest)
        group = self._by_address[address]
        del group[oldest]
        if not group:
            del self._by_address[address]

    def record_connected(self) -> None:
        """A miner connected."""
        self._connections += 1

    def record_disconnected(self) -> None:
        """A miner's connection ended."""
        self._connections -= 1

    def record_worker_on(self, name: str, difficulty: float, now: float) -> None:
        """A worker was authorized on one more connection."""
        worker = self._worker(name, now)
        self._absent.pop(name[:MAX_WORKER_NAME], None)
        worker.connections += 1
        worker.difficulty = difficulty

    def record_worker_off(self, name: str) -> None:
        """A connection of this worker ended."""
        name = name[:MAX_WORKER_NAME]
        worker = self._workers.get(name)
        if worker is not None and worker.connections:
            worker.connections -= 1
            if not worker.connections:
                self._absent[name] = None

    def record_accepted(self, name: str, attempts: float, difficulty: float, dead: bool, now: float) -> None:
        """A pseudoshare that stands for `attempts` hashes; `dead` where it came too late to be of use."""
        worker = self._worker(name, now)
        worker.difficulty = difficulty
        worker.accepted += 1
        self._accepted += 1
        worker.work.add(attempts, now)
        self._work.add(attempts, now)
        if dead:
            worker.dead += 1
            self._dead += 1
            worker.dead_work.add(attempts, now)
            self._dead_work.add(attempts, now)

    def record_refused(self, name: str | None, code: int, now: float) -> None:
        """A submission refused with a stratum error code; `name` None where the worker is not known."""
        if code in self._refused or len(self._refused) < MAX_REFUSAL_CODES:
            self._refused[code] = self._refused.get(code, 0) + 1
        if name is not None:
            self._worker(name, now).refused += 1

    def record_share(self, record: ShareRecord) -> None:
        """A share of the chain, found here."""
        self._shares += 1
        self._dead_shares += record.dead
        self._worker(record.worker, record.time).shares += 1
        self._recent_shares.append(record)

    def record_block(self, record: BlockRecord) -> None:
        """A block, or what became of one recorded before."""
        if record.block_hash not in self._blocks:
            self._open_blocks[record.block_hash] = True
            if len(self._blocks) >= MAX_RECENT:
                del self._blocks[next(iter(self._blocks))]
        self._blocks[record.block_hash] = record
        if record.result is not None:
            self._answered(record.block_hash, record.result)

    def settle_block(self, block_hash: int, result: str) -> None:
        """dashd answered: an empty result is "accepted"."""
        record = self._blocks.get(block_hash)
        if record is not None:
            self._blocks[block_hash] = replace(record, result=result)
        self._answered(block_hash, result)

    def _answered(self, block_hash: int, result: str) -> None:
        if self._open_blocks.pop(block_hash, False) and not result:
            self._blocks_accepted += 1

    # --- looking -----------------------------------------------------------------------------------------

    def hash_rate(self, now: float) -> float:
        """Hashes a second of all miners here, over the last RATE_WINDOW seconds."""
        return self._work.rate(now)

    def address_hash_rate(self, address: str, now: float) -> float:
        """Hashes a second of all workers of one payout address."""
        return sum(worker.work.rate(now) for worker in self._by_address.get(address, {}).values())

    def snapshot(self, now: float) -> PoolSnapshot:
        """Everything at `now`."""
        return PoolSnapshot(
            time=now,
            start_time=self.start_time,
            connections=self._connections,
            accepted=self._accepted,
            refused=dict(self._refused),
            dead=self._dead,
            hash_rate=self._work.rate(now),
            dead_rate=self._dead_work.rate(now),
            shares=self._shares,
            dead_shares=self._dead_shares,
            blocks_accepted=self._blocks_accepted,
            workers=tuple(_worker_snapshot(n, w, now) for n, w in self._workers.items()),
            recent_shares=tuple(self._recent_shares),
            recent_blocks=tuple(self._blocks.values()),
        )


def _address_of(name: str) -> str:
    """Worker names are `address` or `address.name`."""
    return name.partition(".")[0]


def _worker_snapshot(name: str, worker: _Worker, now: float) -> WorkerSnapshot:
    return WorkerSnapshot(
        name=name,
        connections=worker.connections,
        difficulty=worker.difficulty,
        hash_rate=worker.work.rate(now),
        dead_rate=worker.dead_work.rate(now),
        accepted=worker.accepted,
        refused=worker.refused,
        dead=worker.dead,
        shares=worker.shares,
        last_seen=worker.last_seen,
    )
