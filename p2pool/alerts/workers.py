"""Which workers are working. One that has worked and falls silent is down, one that works again is up; each is
reported once.

A worker is silent when none of its submissions is accepted, whether it is connected or not: a miner that hangs
keeps its connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from p2pool.base.bounded import BoundedDict
from p2pool.base.text import format_duration, format_rate
from p2pool.pool_stats import EventKind, EventRecord, WorkerSnapshot

MAX_WORKERS: Final = 10_000
"""Workers that are watched, as many as pool_stats remembers; the one known longest is forgotten."""
WORKED: Final = 120.0
"""Seconds for which a worker must have worked before its silence is reported: many connect and leave at once."""
UNPROVEN: Final = 3600.0
"""Seconds for which one that has worked for less is remembered."""
INTERVALS: Final = 20.0
"""A worker that submits seldom is not down before so many of its usual intervals have passed."""
STEP: Final = 500
"""Workers that are checked in one step."""


class _Watched:
    """What is known of one worker."""

    __slots__ = ("accepted", "check_number", "down_since", "first", "hash_rate", "last", "proven", "started")

    def __init__(self, accepted: int, at: float) -> None:
        self.started = accepted
        """Submissions accepted when it was first seen at work, or again after being down."""
        self.first = self.last = at
        self.accepted = accepted
        self.hash_rate = 0.0
        self.down_since: float | None = None
        self.proven = False
        """Set if it was reported before: then it is reported again, however short it worked."""
        self.check_number = 0

    def worked(self, accepted: int, at: float, hash_rate: float) -> None:
        """Record an accepted submission."""
        self.accepted, self.last, self.hash_rate = accepted, at, hash_rate

    def patience(self, silence: float) -> float:
        """Return the seconds of silence after which it counts as down."""
        count = self.accepted - self.started
        return max(silence, INTERVALS * (self.last - self.first) / count) if count > 0 else silence


class WorkerWatch:
    """Watches all workers. `silence`: seconds without an accepted submission after which a worker is down."""

    def __init__(self, silence: float) -> None:
        self.silence = silence
        self._watched: BoundedDict[str, _Watched] = BoundedDict(MAX_WORKERS)
        self._checks = 0
        self._seen = 0
        """Watched ones that were seen in this check."""

    def check(self, workers: tuple[WorkerSnapshot, ...], now: float) -> Iterator[EventRecord | None]:
        """Yield what happened since the last check; None between two steps."""
        self._checks += 1
        self._seen = 0
        for count, worker in enumerate(workers, 1):
            event = self._check(worker, now)
            if event is not None:
                yield event
            elif count % STEP == 0:
                yield None
        if self._seen < len(self._watched):
            yield from self._check_forgotten(now)

    def _check(self, worker: WorkerSnapshot, now: float) -> EventRecord | None:
        last = worker.last_accepted
        if last is None:
            return None
        watched = self._watched.get(worker.name)
        if watched is None:
            if now - last > self.silence:
                return None  # silent since before the first check: not reported
            watched = self._watched[worker.name] = _Watched(worker.accepted, last)
        watched.check_number = self._checks
        self._seen += 1
        if last > watched.last or worker.accepted < watched.accepted:
            return self._worked(watched, worker, last)
        return self._silent(worker.name, watched, connections=worker.connections, now=now)

    def _worked(self, watched: _Watched, worker: WorkerSnapshot, last: float) -> EventRecord | None:
        since = watched.down_since
        if (
            since is not None or worker.accepted < watched.accepted
        ):  # forgotten meanwhile, its count began at 0 again
            watched.started, watched.first = worker.accepted, last
        watched.down_since = None
        watched.worked(worker.accepted, last, worker.hash_rates[1])
        if since is None:
            return None
        away = max(0.0, last - since)
        return EventRecord(
            last,
            EventKind.WORKER_UP,
            worker.name,
            f"worker {worker.name} is back, after {format_duration(away)}",
            {"worker": worker.name, "down_since": since, "away": away},
        )

    def _silent(self, name: str, watched: _Watched, *, connections: int, now: float) -> EventRecord | None:
        if watched.down_since is not None:
            return None
        silent = now - watched.last
        if silent < watched.patience(self.silence):
            return None
        if not watched.proven and watched.last - watched.first < min(WORKED, self.silence):
            if silent > UNPROVEN + self.silence:
                del self._watched[name]  # it never really worked
            return None
        watched.down_since, watched.proven = watched.last, True
        state = "it is still connected" if connections else "it is not connected"
        rate = f"; its hash rate was {format_rate(watched.hash_rate)}" if watched.hash_rate else ""
        return EventRecord(
            now,
            EventKind.WORKER_DOWN,
            name,
            f"worker {name} has submitted nothing for {format_duration(silent)}; {state}{rate}",
            {
                "worker": name,
                "down_since": watched.last,
                "connections": connections,
                "hash_rate": watched.hash_rate,
            },
        )

    def _check_forgotten(self, now: float) -> Iterator[EventRecord | None]:
        """Report the workers that pool_stats has forgotten, unless they were reported already, and forget them."""
        gone = [(name, each) for name, each in self._watched.items() if each.check_number != self._checks]
        for count, (name, watched) in enumerate(gone, 1):
            event = self._silent(name, watched, connections=0, now=now)
            if watched.down_since is not None:
                self._watched.pop(name, None)
            yield event if event is not None or count % STEP == 0 else None
