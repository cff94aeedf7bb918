"""Measures what delays the process: a reactor that is late, and the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

PERIOD = 0.1
"""Seconds between two measurements of the reactor's delay: each costs some microseconds. A delay that is longer
than this is always noticed, and reported as up to this much too short."""


class ReactorWatch:
    """Schedules a call of the reactor again and again, and records by how much each was late (seconds).
    `monotonic` gives seconds that never jump: the reactor's do when the clock is set."""

    def __init__(
        self, reactor: IReactorTime, record: Callable[[float], None], monotonic: Callable[[], float]
    ) -> None:
        self._reactor = reactor
        self._record = record
        self._monotonic = monotonic
        self._due = 0.0
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Begin to measure the reactor's delay."""
        self._schedule()

    def _schedule(self) -> None:
        self._due = self._monotonic() + PERIOD
        self._call = self._reactor.callLater(PERIOD, self._called)

    def _called(self) -> None:
        self._record(max(0.0, self._monotonic() - self._due))
        self._schedule()

    def stop(self) -> None:
        """End the measurements of the reactor's delay."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()


class GarbageWatch:
    """Records how long each run of the garbage collector takes (seconds). `clock` is a precise one."""

    def __init__(self, record: Callable[[float], None], clock: Callable[[], float]) -> None:
        self._record = record
        self._clock = clock
        self._began: float | None = None

    def start(self) -> None:
        """Begin to record runs of the garbage collector."""
        gc.callbacks.append(self._ran)

    def _ran(self, phase: str, info: dict[str, int]) -> None:
        """Record a run of the garbage collector. Python calls this in the thread that collects, never in two at a
        time."""
        if phase == "start":
            self._began = self._clock()
        elif self._began is not None:
            self._record(self._clock() - self._began)
            self._began = None

    def stop(self) -> None:
        """End the records of the garbage collector's runs."""
        if self._ran in gc.callbacks:
            gc.callbacks.remove(self._ran)
