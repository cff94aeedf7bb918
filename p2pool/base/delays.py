"""What holds the process up: a reactor that comes late, and the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

PERIOD = 0.1
"""Seconds between two looks at the reactor: each costs some microseconds. What holds it up for longer is seen, but
for this time at most."""


class ReactorWatch:
    """Asks for a turn of the reactor again and again, and records by how much it came too late (seconds).
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
        """Begin."""
        self._ask()

    def _ask(self) -> None:
        self._due = self._monotonic() + PERIOD
        self._call = self._reactor.callLater(PERIOD, self._came)

    def _came(self) -> None:
        self._record(max(0.0, self._monotonic() - self._due))
        self._ask()

    def stop(self) -> None:
        """No more looks."""
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
        """Begin."""
        gc.callbacks.append(self._ran)

    def _ran(self, phase: str, info: dict[str, int]) -> None:
        """Python's, in whichever thread collects: never two at a time."""
        if phase == "start":
            self._began = self._clock()
        elif self._began is not None:
            self._record(self._clock() - self._began)
            self._began = None

    def stop(self) -> None:
        """No more records."""
        if self._ran in gc.callbacks:
            gc.callbacks.remove(self._ran)
