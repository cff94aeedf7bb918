"""The gateway's side of statistics: sums of what stratum records, by worker, until they are sent to the node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from p2pool.base.text import printable
from p2pool.gateway.sums_messages import MAX_WORKERS_SENT, WorkerPart
from p2pool.pool_stats import BanRecord, HostLoad, HostRecord, PoolStats

W = TypeVar("W", str, int)
MAX_WORKERS: Final = 10_000
"""Workers whose sums are kept apart; what more of them submit is summed without a name."""
MAX_TEXT: Final = 128
"""Characters of a name or a text that are sent."""
MAX_WORDS: Final = 32
"""Reasons and offences that are counted: each is a word of the code. Also refusal codes of a worker."""


class _Sums:
    """What is not sent yet of one worker, and how it is now."""

    __slots__ = (
        "accepted",
        "attempts",
        "connections",
        "dead",
        "dead_attempts",
        "difficulty",
        "name",
        "refused",
        "site",
        "software",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.site = self.software = ""
        self.connections = 0
        self.difficulty = 0.0
        self.accepted = self.dead = 0
        self.attempts = self.dead_attempts = 0.0
        self.refused: dict[int, int] = {}

    def cut(self) -> WorkerPart:
        """Return what is not sent yet, and begin anew."""
        part = WorkerPart(
            name=self.name,
            connections=self.connections,
            accepted=self.accepted,
            attempts=self.attempts,
            dead=self.dead,
            dead_attempts=self.dead_attempts,
            difficulty=self.difficulty,
            refused=self.refused,
            software=self.software,
            site=self.site,
        )
        self.accepted = self.dead = 0
        self.attempts = self.dead_attempts = 0.0
        self.refused = {}
        return part


class SumsCollector:
    """Stratum's StatsPort: records into this process's statistics, and sums up what the node does not know yet.

    However long the node cannot be reached, there is one sum a worker.
    """

    def __init__(self, stats: PoolStats) -> None:
        self.stats = stats
        self.record_submissions = stats.record_submissions
        self.record_job_broadcast = stats.record_job_broadcast
        self.connections = self.connected = 0
        self.turned_away: dict[str, int] = {}
        self.offences: dict[str, int] = {}
        self._workers: dict[str, _Sums] = {}
        """Those with a connection or with sums, by name. Bound: MAX_WORKERS."""
        self._changed: dict[str, _Sums] = {}
        """Those of which there is something to send, by name; "" is for submissions without a worker."""
        self._whole = True
        """Whether the next report has to name all workers with a connection."""

    @property
    def has_news(self) -> bool:
        """Return whether there is something to send."""
        return bool(self._changed or self._whole or self.connected or self.turned_away or self.offences)

    @property
    def unfinished(self) -> bool:
        """Return whether there is more than fits into one report."""
        return len(self._changed) > MAX_WORKERS_SENT

    @property
    def unsent(self) -> int:
        """Return the number of submissions that are not sent yet."""
        return sum(each.accepted + sum(each.refused.values()) for each in self._changed.values())

    def name_all(self) -> None:
        """Let the next report name all workers with a connection: the node may not know them."""
        self._whole = True

    def cut(self) -> tuple[list[WorkerPart], bool]:
        """Return what has changed of at most MAX_WORKERS_SENT workers, and whether it begins a report of all of
        them."""
        whole, self._whole = self._whole, False
        if whole:
            self._changed.update((name, each) for name, each in self._workers.items() if each.connections)
        parts = []
        for name in list(self._changed)[:MAX_WORKERS_SENT]:
            worker = self._changed.pop(name)
            parts.append(worker.cut())
            if not worker.connections:
                self._workers.pop(name, None)
        return parts, whole

    def cut_words(self) -> tuple[int, dict[str, int], dict[str, int]]:
        """Return the new connections, the rejected ones by reason, and offences, since the last time."""
        connected, turned_away, offences = self.connected, self.turned_away, self.offences
        self.connected, self.turned_away, self.offences = 0, {}, {}
        return connected, turned_away, offences

    def _touch(self, name: str) -> _Sums:
        """Return the sums of a worker, which will be sent; those without a name if there are too many."""
        worker = self._workers.get(name)
        if worker is None:
            name = printable(name, MAX_TEXT)
            worker = self._workers.get(name)
        if worker is None:
            if len(self._workers) >= MAX_WORKERS:
                return self._nameless()
            worker = self._workers[name] = _Sums(name)
        self._changed[worker.name] = worker
        return worker

    def _nameless(self) -> _Sums:
        return self._changed.setdefault("", _Sums(""))

    # --- what stratum records ----------------------------------------------------------------------------

    def record_connected(self, now: float) -> None:
        """Count a miner that connected."""
        self.stats.record_connected(now)
        self.connections += 1
        self.connected += 1

    def record_disconnected(self) -> None:
        """Count a miner that disconnected."""
        self.stats.record_disconnected()
        self.connections -= 1

    def record_turned_away(self, reason: str, now: float) -> None:
        """Record a rejected connection."""
        self.stats.record_turned_away(reason, now)
        _count(self.turned_away, reason)

    def record_offence(self, what: str) -> None:
        """Record an offence of a host."""
        self.stats.record_offence(what)
        _count(self.offences, what)

    def record_worker_on(self, name: str, *, difficulty: float, now: float, site: str = "") -> None:
        """Record that a worker was authorized on one more connection."""
        self.stats.record_worker_on(name, difficulty=difficulty, now=now, site=site)
        worker = self._touch(name)
        if worker.name:
            worker.connections += 1
            worker.difficulty = difficulty
            worker.site = printable(site, MAX_TEXT)

    def record_worker_off(self, name: str) -> None:
        """Record that a connection of this worker ended."""
        self.stats.record_worker_off(name)
        worker = self._workers.get(name) or self._workers.get(printable(name, MAX_TEXT))
        if worker is not None and worker.connections:
            worker.connections -= 1
            self._changed[worker.name] = worker

    def record_software(self, name: str, text: str) -> None:
        """Note the software that a worker's rig reports."""
        self.stats.record_software(name, text)
        worker = self._workers.get(name) or self._workers.get(printable(name, MAX_TEXT))
        if worker is not None and text:
            worker.software = printable(text, MAX_TEXT)
            self._changed[worker.name] = worker

    def record_accepted(self, name: str, *, attempts: float, difficulty: float, dead: bool, now: float) -> None:
        """Record a pseudoshare that stands for `attempts` hashes."""
        self.stats.record_accepted(name, attempts=attempts, difficulty=difficulty, dead=dead, now=now)
        worker = self._changed.get(name) or self._touch(name)
        worker.accepted += 1
        worker.attempts += attempts
        worker.difficulty = difficulty
        if dead:
            worker.dead += 1
            worker.dead_attempts += attempts

    def record_refused(self, name: str | None, code: int, now: float) -> None:
        """Record a submission refused with a stratum error code; `name` is None if the worker is not known."""
        self.stats.record_refused(name, code, now)
        worker = self._nameless() if name is None else self._touch(name)
        _count(worker.refused, code)

    def record_bans(self, bans: Iterable[BanRecord]) -> None:
        """Record the hosts that are banned here."""
        self.stats.record_bans(bans)

    def record_hosts(self, hosts: Iterable[HostRecord]) -> None:
        """Record the hosts that behave worst here."""
        self.stats.record_hosts(hosts)

    def record_host_loads(self, loads: Iterable[HostLoad]) -> None:
        """Record the hosts with the most connections here."""
        self.stats.record_host_loads(loads)


def _count(counts: dict[W, int], word: W) -> None:
    """Count a word or a code. Bound: MAX_WORDS."""
    if word in counts or len(counts) < MAX_WORDS:
        counts[word] = counts.get(word, 0) + 1
