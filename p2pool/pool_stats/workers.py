"""The workers that the node remembers, and their addresses: bounded, those that never worked forgotten first."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from p2pool.base.fair import FairQueue
from p2pool.base.rates import DecayingRates, WindowedSum
from p2pool.base.text import printable
from p2pool.pool_stats.records import RATE_WINDOWS, AddressSnapshot, WorkerSnapshot

RATE_WINDOW: Final = 600.0
"""Seconds of the sliding window that hash rates are measured over."""
MAX_WORKERS: Final = 10_000
"""Workers remembered. Beyond it those without an accepted submission are forgotten first, then those without a
connection, then any; of these, one of the site (as given to `WorkerTable.seen`) with most of them."""
MAX_WORKER_NAME: Final = 128
MAX_SOFTWARE: Final = 128
MAX_REFUSAL_CODES: Final = 32
SILENCE: Final = 86400.0
"""Seconds after which a worker without a connection is forgotten."""
STEP: Final = 100
"""Workers read in one step of a snapshot: less than a millisecond."""
_SNAPSHOT_AGE = 15.0
"""Seconds after which the snapshot of a worker who did nothing is made anew: its rates have fallen a little."""
_STAGGER = 10
"""Seconds over which these are spread: ten thousand at once would hold everything up."""

Snapshots = tuple[tuple[WorkerSnapshot, ...], dict[str, AddressSnapshot]]


def count_code(counts: dict[int, int], code: int, count: int = 1) -> None:
    """Count refusals. Bound: MAX_REFUSAL_CODES; those known still count."""
    if code in counts or len(counts) < MAX_REFUSAL_CODES:
        counts[code] = counts.get(code, 0) + count


class Worker:
    """One worker's counters. `snapshot` is made again only if something changed."""

    __slots__ = (
        "_made",
        "_snapshot",
        "accepted",
        "connections",
        "dead",
        "dead_work",
        "difficulty",
        "first_seen",
        "group",
        "last_accepted",
        "last_seen",
        "name",
        "rates",
        "refused_by",
        "shares",
        "site",
        "software",
        "work",
    )

    def __init__(self, name: str, group: AddressGroup, *, site: str, now: float) -> None:
        self.name = name
        self.group = group
        self.site = site
        """Where it was authorized from: the records of one site count together."""
        self.connections = 0
        self.difficulty = 0.0
        self.accepted = self.dead = self.shares = 0
        self.refused_by: dict[int, int] = {}
        self.work = WindowedSum(RATE_WINDOW)
        self.dead_work: WindowedSum | None = None
        self.rates = DecayingRates(RATE_WINDOWS, now)
        self.first_seen = self.last_seen = now
        self.last_accepted: float | None = None
        self.software = ""
        self._snapshot: WorkerSnapshot | None = None
        self._made = 0.0

    def changed(self) -> None:
        """Note that the figures shown are out of date."""
        self._snapshot = None

    def record_accepted(self, attempts: float, *, difficulty: float, dead: bool, now: float) -> None:
        """Record a pseudoshare that stands for `attempts` hashes."""
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

    def record_sums(
        self, *, accepted: int, attempts: float, dead: int, dead_attempts: float, part: float, now: float
    ) -> None:
        """Record pseudoshares that were counted elsewhere; of their attempts, `part` lies in the window of
        rates."""
        self.accepted += accepted
        self.last_accepted = now
        self.work.add(attempts * part, now)
        self.rates.add(attempts)
        if dead:
            self.dead += dead
            if self.dead_work is None:
                self.dead_work = WindowedSum(RATE_WINDOW)
            self.dead_work.add(dead_attempts * part, now)
        self._snapshot = None

    def snapshot(self, now: float) -> WorkerSnapshot:
        """Return the worker at `now`, at most _SNAPSHOT_AGE seconds ago if nothing happened since."""
        snapshot = self._snapshot
        if snapshot is None or not 0 <= now - self._made < _SNAPSHOT_AGE:
            self._made = now - id(self) // 64 % _STAGGER if snapshot is None else now
            self.group.changed = True
            refused_by = self.refused_by
            snapshot = self._snapshot = WorkerSnapshot(
                self.name,
                self.connections,
                self.difficulty,
                self.work.rate(now),
                0.0 if self.dead_work is None else self.dead_work.rate(now),
                self.rates.rates(now),
                self.accepted,
                sum(refused_by.values()) if refused_by else 0,
                refused_by.copy(),
                self.dead,
                self.shares,
                self.last_seen,
                self.last_accepted,
                self.software,
                self.first_seen,
            )
        return snapshot


class AddressGroup:
    """The workers of one payout address by name. Its snapshot is made again only if one of theirs was."""

    __slots__ = ("_snapshot", "address", "changed", "workers")

    def __init__(self, address: str) -> None:
        self.address = address
        self.workers: dict[str, Worker] = {}
        self.changed = True
        self._snapshot: AddressSnapshot | None = None

    def taking(self, now: float) -> Generator[None, None, AddressSnapshot]:
        """Return all of them together; one address may have thousands."""
        if self._snapshot is not None and not self.changed:
            return self._snapshot
        self.changed = False
        workers = connections = accepted = refused = dead = shares = 0
        hash_rate = dead_rate = last_seen = last_accepted = 0.0
        rates = [0.0] * len(RATE_WINDOWS)
        members = list(self.workers.values())
        for count, member in enumerate(members, 1):
            # By position: names cost twice as much, and there are ten thousand of them.
            _, here, _, rate, rate_dead, smoothed, good, bad, _, late, found, seen, last, _, _ = member.snapshot(
                now
            )
            if here:
                workers += 1
                connections += here
            hash_rate += rate
            dead_rate += rate_dead
            for index, each in enumerate(smoothed):
                rates[index] += each
            accepted += good
            refused += bad
            dead += late
            shares += found
            if seen > last_seen:
                last_seen = seen
            if last is not None and last > last_accepted:
                last_accepted = last
            if count % STEP == 0:
                yield
        self._snapshot = snapshot = AddressSnapshot(
            self.address,
            len(members),
            workers,
            connections,
            hash_rate,
            dead_rate,
            tuple(rates),
            accepted,
            refused,
            dead,
            shares,
            last_seen,
            last_accepted or None,
        )
        return snapshot


class WorkerTable:
    """All of them by name, in order of silence. Bound: MAX_WORKERS."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}
        self._by_address: dict[str, AddressGroup] = {}
        """Workers by the address before the dot: a job asks for an address's rate."""
        self._unproven: FairQueue[str, str] = FairQueue()
        """The names, by site, of those without an accepted submission."""
        self._idle: FairQueue[str, str] = FairQueue()
        """Of these, the ones without a connection."""
        self._absent: FairQueue[str, str] = FairQueue()
        """All those without a connection, in the order in which they were seen last."""
        self._by_site: FairQueue[str, str] = FairQueue()
        """All of them."""

    def seen(self, name: str, now: float, site: str | None = None) -> Worker:
        """Return the worker, made if it is new, and move it to the end of the table. `site` is where it is
        authorized from."""
        worker = self._workers.pop(name, None)
        if worker is None:
            clean = printable(name, MAX_WORKER_NAME)
            worker = self._workers.pop(clean, None) or self._new(clean, site or "", now)
        self._workers[worker.name] = worker
        if site is not None and worker.site != site and not (worker.accepted and worker.connections):
            worker.site = site
        if not worker.connections or not worker.accepted:
            self._file(worker)
        worker.last_seen = now
        return worker

    def worked(self, worker: Worker) -> None:
        """Note its first accepted submission: from now on it is forgotten after those that have none."""
        self._unproven.discard(worker.name)
        self._idle.discard(worker.name)

    def _file(self, worker: Worker) -> None:
        """Put it where it belongs among those that may be forgotten, as the newest one."""
        name = worker.name
        for queue, belongs in (
            (self._unproven, not worker.accepted),
            (self._idle, not worker.accepted and not worker.connections),
            (self._absent, not worker.connections),
            (self._by_site, True),
        ):
            if belongs:
                queue.add(name, worker.site)
            else:
                queue.discard(name)

    def _new(self, name: str, site: str, now: float) -> Worker:
        if len(self._workers) >= MAX_WORKERS:
            self._forget(self._candidate(site))
        address = address_of(name)
        group = self._by_address.get(address)
        if group is None:
            group = self._by_address[address] = AddressGroup(address)
        worker = group.workers[name] = Worker(name, group, site=site, now=now)
        return worker

    def _candidate(self, site: str) -> str:
        """Return the name to forget for a new one of `site`."""
        largest = self._unproven.largest_group(site)
        if largest is not None:
            return next(iter(self._idle.group(largest) or self._unproven.group(largest)))
        absent = self._absent.candidate(site)
        if absent is not None:
            return absent
        # Seldom: the new one is without an accepted submission, and goes next. The site's queue is not in order of
        # silence, as every submission would have to move its worker.
        crowded = self._by_site.largest_group(site)
        members = self._by_site.group(site if crowded is None else crowded)
        return next((name for name in self._workers if name in members), next(iter(self._workers)))

    def get(self, name: str) -> Worker | None:
        """Return the worker, if it is remembered; it was not seen thereby."""
        return self._workers.get(name) or self._workers.get(printable(name, MAX_WORKER_NAME))

    def connected(self, worker: Worker, count: int = 1) -> None:
        """Count more connections of a worker."""
        worker.connections += count
        self._absent.discard(worker.name)
        self._idle.discard(worker.name)

    def disconnected(self, worker: Worker, count: int = 1) -> None:
        """Count fewer connections of a worker."""
        if worker.connections:
            worker.connections = max(0, worker.connections - count)
            if not worker.connections:
                self._file(worker)

    def _forget(self, name: str) -> None:
        for queue in (self._absent, self._idle, self._unproven, self._by_site):
            queue.discard(name)
        group = self._workers.pop(name).group
        del group.workers[name]
        group.changed = True
        if not group.workers:
            del self._by_address[group.address]

    def forget_silent(self, now: float) -> Generator[None, None, None]:
        """Forget the workers without a connection that were silent for SILENCE seconds. A clock that was set back
        by more than that does not keep anybody."""
        count = 0
        while self._absent:
            name = next(iter(self._absent))
            if abs(now - self._workers[name].last_seen) <= SILENCE:
                return
            self._forget(name)
            count += 1
            if count % STEP == 0:
                yield

    def address_hash_rate(self, address: str, now: float) -> float:
        """Return the hashes per second of all workers of one payout address."""
        group = self._by_address.get(address)
        return 0.0 if group is None else sum(worker.work.rate(now) for worker in group.workers.values())

    def address_connections(self, address: str) -> int:
        """Return the connections of all workers of one payout address."""
        group = self._by_address.get(address)
        return 0 if group is None else sum(worker.connections for worker in group.workers.values())

    def taking(self, now: float) -> Generator[None, None, Snapshots]:
        """Return all of them, the one silent longest first, and all addresses, in steps of STEP."""
        shown = []
        for count, worker in enumerate(list(self._workers.values()), 1):
            shown.append(worker.snapshot(now))
            if count % STEP == 0:
                yield
        addresses, done = {}, 0
        for group in list(self._by_address.values()):
            addresses[group.address] = yield from group.taking(now)
            done += len(group.workers)
            if done >= STEP:
                done = 0
                yield
        return tuple(shown), addresses


def address_of(name: str) -> str:
    """Return the address in a worker name, `address` or `address.name`."""
    return name.partition(".")[0]
