"""The node's own process: what it uses, and how long it kept others waiting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from p2pool.base.histogram import Histogram, HistogramSnapshot
from p2pool.base.process import ProcessFigures

DELAY_BOUNDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
PAUSE_BOUNDS: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
WORST_PERIOD: Final = 60.0
"""Seconds. The worst delay is that of this period and the one before it."""


@dataclass(frozen=True, slots=True)
class X11Figures:
    """The implementation of X11 that the node uses: its name, one of a few words; the processor instructions that
    it uses, if it is built-in, else ""; and why a faster one is not used, None if there is no reason."""

    provider: str = ""
    instructions: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ProcessSnapshot:
    """`figures` is None before they were read. Delays and pauses in seconds; `last_delay` is the newest,
    `worst_delay` the longest of the last minute or two."""

    figures: ProcessFigures | None
    delays: HistogramSnapshot
    last_delay: float
    worst_delay: float
    pauses: HistogramSnapshot
    """Of the garbage collector."""
    x11: X11Figures


class ProcessStats:
    """The counters of the node's own process."""

    def __init__(self) -> None:
        self.figures: ProcessFigures | None = None
        self.x11 = X11Figures()
        self._delays = Histogram(DELAY_BOUNDS)
        self._pauses = Histogram(PAUSE_BOUNDS)
        self._last = self._worst = self._worst_before = 0.0
        self._period = 0.0

    def record_delay(self, seconds: float, now: float) -> None:
        """Record by how many seconds the reactor was late."""
        self._advance(now)
        self._delays.add(seconds)
        self._last = seconds
        self._worst = max(self._worst, seconds)

    def record_pause(self, seconds: float) -> None:
        """Record a pause for garbage collection. The collector may run in any thread, which holds up all
        others."""
        self._pauses.add(seconds)

    def _advance(self, now: float) -> None:
        """Begin the next period if it is time, or if the clock was set back. Whoever asks may have read the
        clock a little before the newest delay was recorded: that is no reason to forget it."""
        age = now - self._period
        if not -1 <= age < WORST_PERIOD:
            self._worst_before = self._worst if 0 <= age < 2 * WORST_PERIOD else 0.0
            self._worst, self._period = 0.0, now

    def snapshot(self, now: float) -> ProcessSnapshot:
        """Return all of it at `now`."""
        self._advance(now)
        return ProcessSnapshot(
            self.figures,
            self._delays.snapshot(),
            self._last,
            max(self._worst, self._worst_before),
            self._pauses.snapshot(),
            self.x11,
        )
