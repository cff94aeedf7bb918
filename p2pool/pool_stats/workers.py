"""The workers that the node remembers, and their addresses: bounded, those that never worked forgotten first."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Final

from p2pool.base.acyclic import never_in_cycles
from p2pool.base.fair import FairQueue
from p2pool.base.rates import DecayingRates, RateEstimator
from p2pool.base.text import printable
from p2pool.pool_stats.recent_refusals import RecentRefusals
from p2pool.pool_stats.records import RATE_WINDOWS, AddressSnapshot, WorkerSnapshot

HASHES_PER_DIFFICULTY: Final = 2.0**32
"""Hashes that a submission of difficulty 1 stands for on average."""
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
MAX_RENEWED: Final = 2_000
"""Snapshots of workers that are made anew in one snapshot of the table, about. If more workers change each second,
each is renewed every few seconds, in turns."""
_SUMMED_AT_ONCE: Final = 8
"""Workers of an address whose rates are summed when somebody asks; those of more are kept summed."""
_SNAPSHOT_AGE = 15.0
"""Seconds after which the snapshot of a worker is made anew in any case: its rates fall if it does nothing."""
_STAGGER = 10
"""Seconds over which these are spread: ten thousand at once would hold everything up."""

Snapshots = tuple[tuple[WorkerSnapshot, ...], dict[str, AddressSnapshot]]


def count_code(counts: dict[int, int], code: int, count: int = 1) -> None:
    """Count refusals. Bound: MAX_REFUSAL_CODES; those known still count."""
    if code in counts or len(counts) < MAX_REFUSAL_CODES:
        counts[code] = counts.get(code, 0) + count


class Worker:
    """One worker's counters. `snapshot` is made again only if something changed. `number` is another one for each
    worker of the table."""

    __slots__ = (
        "_is_changed",
        "_made",
        "_snapshot",
        "accepted",
        "connections",
        "dead",
        "difficulty",
        "first_seen",
        "group",
        "last_accepted",
        "last_seen",
        "name",
        "number",
        "rate",
        "rates",
        "refusals",
        "refused_by",
        "shares",
        "site",
        "software",
    )

    def __init__(self, name: str, group: AddressGroup, *, number: int, site: str, now: float) -> None:
        self.name = name
        self.number = number
        self.group = group
        self.site = site
        """Where it was authorized from: the records of one site count together."""
        self.connections = 0
        self.difficulty = 0.0
        self.accepted = self.dead = self.shares = 0
        self.refused_by: dict[int, int] = {}
        self.refusals: RecentRefusals | None = None
        """None while none of the last minutes' submissions was rejected."""
        self.rate = RateEstimator(now)
        self.rates = DecayingRates(RATE_WINDOWS, now)
        self.first_seen = self.last_seen = now
        self.last_accepted: float | None = None
        self.software = ""
        self._snapshot: WorkerSnapshot | None = None
        self._is_changed = True
        self._made = 0.0

    def changed(self) -> None:
        """Note that the figures shown are out of date."""
        self._is_changed = True

    def record_accepted(self, attempts: float, *, difficulty: float, dead: bool, now: float) -> None:
        """Record a pseudoshare that stands for `attempts` hashes."""
        self.difficulty = difficulty
        self.accepted += 1
        self.last_accepted = now
        self.rate.add(attempts, now, late=attempts if dead else 0.0)
        if self.group.rate is not None:
            self.group.rate.add(attempts, now)
        self.rates.add(attempts)
        self.dead += dead
        self._is_changed = True

    def record_sums(
        self, *, accepted: int, attempts: float, dead: int, dead_attempts: float, seconds: float, now: float
    ) -> None:
        """Record pseudoshares that were counted elsewhere in so many seconds."""
        self.accepted += accepted
        self.last_accepted = now
        self.rate.add(attempts, now, count=accepted, late=dead_attempts, span=seconds)
        if self.group.rate is not None:
            self.group.rate.add(attempts, now, count=accepted)
        self.rates.add(attempts)
        self.dead += dead
        self._is_changed = True

    def record_refused(self, code: int, now: float, count: int = 1) -> None:
        """Record submissions that were rejected with a stratum error code."""
        count_code(self.refused_by, code, count)
        if code in self.refused_by:
            if self.refusals is None:
                self.refusals = RecentRefusals(self.accepted, now)
            self.refusals.add(code, count, accepted=self.accepted, now=now)
        self._is_changed = True

    def is_outdated(self, now: float) -> bool:
        """Return whether something happened since the newest snapshot, or _SNAPSHOT_AGE seconds have passed."""
        return self._is_changed or not 0 <= now - self._made < _SNAPSHOT_AGE

    def may_wait(self, now: float) -> bool:
        """Return whether there is a snapshot that is not _SNAPSHOT_AGE seconds old."""
        return self._snapshot is not None and 0 <= now - self._made < _SNAPSHOT_AGE

    def shown(self, now: float) -> WorkerSnapshot:
        """Return the newest snapshot, whatever has happened since; one of `now` if there is none."""
        return self.snapshot(now) if self._snapshot is None else self._snapshot

    def snapshot(self, now: float) -> WorkerSnapshot:
        """Return the worker at `now`, at most _SNAPSHOT_AGE seconds ago if nothing happened since."""
        snapshot = self._snapshot
        if snapshot is None or self.is_outdated(now):
            self._made = now - self.number % _STAGGER if self._is_changed else now
            self._is_changed = False
            self.group.changed = True
            refused_by = self.refused_by
            rate, late, low, high = self._estimate(now)
            refusals = None if self.refusals is None else self.refusals.read(self.accepted, now)
            if refusals is None:
                self.refusals = None
            snapshot = self._snapshot = WorkerSnapshot(
                self.name,
                self.connections,
                self.difficulty,
                rate,
                late,
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
                low,
                high,
                refusals,
            )
            never_in_cycles(snapshot)
        return snapshot

    def _estimate(self, now: float) -> tuple[float, float, float, float]:
        """Return the hash rate, the part of it that came too late, and its bounds. Nothing is known of a worker
        that left without any submission."""
        size = self.difficulty * HASHES_PER_DIFFICULTY if self.connections else 0.0
        return self.rate.estimate(now, size)


class AddressGroup:
    """The workers of one payout address by name. Its snapshot is made again only if one of theirs was."""

    __slots__ = ("_snapshot", "address", "changed", "connections", "rate", "workers")

    def __init__(self, address: str) -> None:
        self.address = address
        self.workers: dict[str, Worker] = {}
        self.connections = 0
        """Those of all workers."""
        self.rate: RateEstimator | None = None
        """That of all workers together, once there are many."""
        self.changed = True
        self._snapshot: AddressSnapshot | None = None

    def taking(self, now: float) -> Generator[None, None, AddressSnapshot]:
        """Return all of them together; one address may have thousands."""
        if self._snapshot is not None and not self.changed:
            return self._snapshot
        self.changed = False
        workers = connections = accepted = refused = dead = shares = 0
        hash_rate = dead_rate = last_seen = last_accepted = below = above = 0.0
        rates = [0.0] * len(RATE_WINDOWS)
        members = list(self.workers.values())
        for start in range(0, len(members), STEP):
            if start:
                yield
            # By column: ten thousand workers may be of one address.
            of_members = [member.shown(now) for member in members[start : start + STEP]]
            _, here, _, rate, rate_dead, smoothed, good, bad, _, late, found, seen, last, _, _, low, high, _ = zip(
                *of_members, strict=True
            )
            workers += len(here) - here.count(0)
            connections += sum(here)
            hash_rate += sum(rate)
            dead_rate += sum(rate_dead)
            below += sum([(each - least) ** 2 for each, least in zip(rate, low, strict=True)])
            above += sum([(most - each) ** 2 for each, most in zip(rate, high, strict=True)])
            for index, column in enumerate(zip(*smoothed, strict=True)):
                rates[index] += sum(column)
            accepted += sum(good)
            refused += sum(bad)
            dead += sum(late)
            shares += sum(found)
            last_seen = max(last_seen, *seen)
            last_accepted = max(last_accepted, *[each or 0.0 for each in last])
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
            max(0.0, hash_rate - math.sqrt(below)),
            hash_rate + math.sqrt(above),
        )
        never_in_cycles(snapshot)
        return snapshot

    def hash_rate(self, now: float) -> float:
        """Return the hashes per second of all workers."""
        if self.rate is not None:
            return self.rate.rate(now)
        return sum(worker.rate.rate(now) for worker in self.workers.values())

    def sum_up(self, now: float) -> None:
        """Estimate the rate of all workers together from now on: there are too many to ask each one."""
        self.rate = RateEstimator(now)
        self.rate.merge([worker.rate for worker in self.workers.values()], now)


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
        self._made = 0
        """Workers made so far."""
        self._taken = 0
        """Snapshots taken so far."""
        self._outdated = 0
        """Workers that were out of date at the last of these."""

    def seen(self, name: str, now: float, site: str | None = None, *, connects: bool = False) -> Worker:
        """Return the worker, made if it is new, and move it to the end of the table. `site` is where it is
        authorized from; `connects` if that is on one more connection."""
        worker = self._workers.pop(name, None)
        if worker is None:
            clean = printable(name, MAX_WORKER_NAME)
            worker = self._workers.pop(clean, None) or self._new(clean, site or "", now)
        self._workers[worker.name] = worker
        if site is not None and worker.site != site and not (worker.accepted and worker.connections):
            worker.site = site
        is_filed = worker.connections and worker.accepted
        if connects:
            if not worker.connections:
                worker.rate.resume(now)
            worker.connections += 1
            worker.group.connections += 1
        if not is_filed:
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
        self._made += 1
        worker = group.workers[name] = Worker(name, group, number=self._made, site=site, now=now)
        if len(group.workers) > _SUMMED_AT_ONCE and group.rate is None:
            group.sum_up(now)
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
        """Count more connections of a worker that has just been seen."""
        if not worker.connections:
            worker.rate.resume(worker.last_seen)
        worker.connections += count
        worker.group.connections += count
        self._absent.discard(worker.name)
        self._idle.discard(worker.name)

    def disconnected(self, worker: Worker, count: int = 1) -> None:
        """Count fewer connections of a worker."""
        if worker.connections:
            gone = min(count, worker.connections)
            worker.connections -= gone
            worker.group.connections -= gone
            if not worker.connections:
                self._file(worker)

    def _forget(self, name: str) -> None:
        for queue in (self._absent, self._idle, self._unproven, self._by_site):
            queue.discard(name)
        worker = self._workers.pop(name)
        group = worker.group
        group.connections -= worker.connections
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
        return 0.0 if group is None else group.hash_rate(now)

    def address_connections(self, address: str) -> int:
        """Return the connections of all workers of one payout address."""
        group = self._by_address.get(address)
        return 0 if group is None else group.connections

    def taking(self, now: float) -> Generator[None, None, Snapshots]:
        """Return all of them, the one silent longest first, and all addresses, in steps of STEP."""
        shown = []
        self._taken += 1
        turns = max(1, -(-self._outdated // MAX_RENEWED))
        turn, outdated = self._taken % turns, 0
        for count, worker in enumerate(list(self._workers.values()), 1):
            if not worker.is_outdated(now):
                shown.append(worker.shown(now))
            else:
                outdated += 1
                waits = turns > 1 and worker.number % turns != turn and worker.may_wait(now)
                shown.append(worker.shown(now) if waits else worker.snapshot(now))
            if count % STEP == 0:
                yield
        self._outdated = outdated
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
