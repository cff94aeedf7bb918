"""The workers that the node remembers: bounded, those silent longest forgotten first."""

from __future__ import annotations

from typing import Final

from p2pool.base.rates import DecayingRates, WindowedSum
from p2pool.pool_stats.records import RATE_WINDOWS, WorkerSnapshot

RATE_WINDOW: Final = 600.0
"""Seconds of the sliding window that hash rates are measured over."""
MAX_WORKERS: Final = 10_000
"""Workers remembered; those without a connection are forgotten first, of these the one silent longest."""
MAX_WORKER_NAME: Final = 128
MAX_SOFTWARE: Final = 128
MAX_REFUSAL_CODES: Final = 32
_SNAPSHOT_AGE = 15.0
"""Seconds after which the snapshot of a worker who did nothing is made anew: its rates have fallen a little."""
_STAGGER = 10
"""Seconds over which these are spread: ten thousand at once would hold everything up."""


def count_code(counts: dict[int, int], code: int) -> None:
    """Count a refusal. Bound: MAX_REFUSAL_CODES; those known still count."""
    if code in counts or len(counts) < MAX_REFUSAL_CODES:
        counts[code] = counts.get(code, 0) + 1


class Worker:
    """One worker's counters. `snapshot` is made again only where something changed."""

    __slots__ = (
        "_made",
        "_snapshot",
        "accepted",
        "connections",
        "dead",
        "dead_work",
        "difficulty",
        "last_accepted",
        "last_seen",
        "name",
        "rates",
        "refused_by",
        "shares",
        "software",
        "work",
    )

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.connections = 0
        self.difficulty = 0.0
        self.accepted = self.dead = self.shares = 0
        self.refused_by: dict[int, int] = {}
        self.work = WindowedSum(RATE_WINDOW)
        self.dead_work: WindowedSum | None = None
        self.rates = DecayingRates(RATE_WINDOWS, now)
        self.last_seen = now
        self.last_accepted: float | None = None
        self.software = ""
        self._snapshot: WorkerSnapshot | None = None
        self._made = 0.0

    def changed(self) -> None:
        """What was shown is no longer so."""
        self._snapshot = None

    def record_accepted(self, attempts: float, difficulty: float, dead: bool, now: float) -> None:
        """A pseudoshare that stands for `attempts` hashes."""
        self.difficulty = difficulty
        self.accepted += 1
        self.last_accepted = now
        self.work.add(attempts, now)
        self.rates.add(attempts)
        if dead:
            self.dead += 1
            if self.dead_work is None:
                self.dead_work = WindowedSum(RATE_WINDOW)
            self.dead_work.add(attempts, now)
        self._snapshot = None

    def snapshot(self, now: float) -> WorkerSnapshot:
        """The worker at `now`, at most _SNAPSHOT_AGE seconds ago where nothing happened since."""
        snapshot = self._snapshot
        if snapshot is None or not 0 <= now - self._made < _SNAPSHOT_AGE:
            self._made = now - id(self) // 64 % _STAGGER if snapshot is None else now
            snapshot = self._snapshot = WorkerSnapshot(
                name=self.name,
                connections=self.connections,
                difficulty=self.difficulty,
                hash_rate=self.work.rate(now),
                dead_rate=0.0 if self.dead_work is None else self.dead_work.rate(now),
                hash_rates=self.rates.rates(now),
                accepted=self.accepted,
                refused=sum(self.refused_by.values()),
                refused_by=dict(self.refused_by),
                dead=self.dead,
                shares=self.shares,
                last_seen=self.last_seen,
                last_accepted=self.last_accepted,
                software=self.software,
            )
        return snapshot


class WorkerTable:
    """All of them by name, in order of silence. Bound: MAX_WORKERS."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}
        self._by_address: dict[str, dict[str, Worker]] = {}
        """The same workers by the address before the dot: a job asks for an address's rate."""
        self._absent: dict[str, None] = {}
        """The names of those without a connection, who are forgotten before the others; the first goes first."""

    def seen(self, name: str, now: float) -> Worker:
        """The worker, made where it is new, and moved to the end of the table."""
        name = name[:MAX_WORKER_NAME]
        worker = self._workers.pop(name, None)
        if worker is None:
            worker = Worker(name, now)
            if len(self._workers) >= MAX_WORKERS:
                self._forget_one()
            self._by_address.setdefault(_address_of(name), {})[name] = worker
        self._workers[name] = worker
        if not worker.connections:
            self._absent.pop(name, None)
            self._absent[name] = None
        worker.last_seen = now
        return worker

    def get(self, name: str) -> Worker | None:
        """The worker, where it is remembered; it was not seen thereby."""
        return self._workers.get(name[:MAX_WORKER_NAME])

    def connected(self, worker: Worker) -> None:
        """It has one connection more."""
        self._absent.pop(worker.name, None)
        worker.connections += 1

    def disconnected(self, worker: Worker) -> None:
        """It has one connection fewer."""
        if worker.connections:
            worker.connections -= 1
            if not worker.connections:
                self._absent[worker.name] = None

    def _forget_one(self) -> None:
        oldest = next(iter(self._absent or self._workers))
        self._absent.pop(oldest, None)
        del self._workers[oldest]
        address = _address_of(oldest)
        group = self._by_address[address]
        del group[oldest]
        if not group:
            del self._by_address[address]

    def address_hash_rate(self, address: str, now: float) -> float:
        """Hashes a second of all workers of one payout address."""
        return sum(worker.work.rate(now) for worker in self._by_address.get(address, {}).values())

    def snapshots(self, now: float) -> tuple[WorkerSnapshot, ...]:
        """All of them, the one silent longest first."""
        return tuple([worker.snapshot(now) for worker in self._workers.values()])


def _address_of(name: str) -> str:
    """Worker names are `address` or `address.name`."""
    return name.partition(".")[0]
