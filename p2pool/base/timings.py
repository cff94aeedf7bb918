"""How long the steps of mining take, for --bench: quantiles of the last minute, and a line for each slow step.
Pure: durations and times are passed in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from p2pool.base.histogram import Histogram

SLOW: Final = 0.010
"""Seconds above which a step is logged in a line of its own."""
MAX_LINES: Final = 20
"""Lines about slow steps of one kind between two summaries; the others are counted."""
BOUNDS: Final = tuple(1e-6 * 1.05**exponent for exponent in range(370))
"""From a microsecond to over a minute, 5 % apart: a quantile is at most so much too high."""


class _Stage:
    __slots__ = ("longest", "slow", "times")

    def __init__(self) -> None:
        self.times = Histogram(BOUNDS)
        self.longest = 0.0
        self.slow = 0


class Timings:
    """Durations of a few kinds of steps since the last summary. Bound: a histogram for each kind."""

    def __init__(self, kinds: Iterable[str], now: float) -> None:
        self._stages = {kind: _Stage() for kind in kinds}
        self._since = now

    def record(self, kind: str, seconds: float, whose: str = "") -> str | None:
        """Count one step; return a line for the log if it was slow. `whose` is a worker's name, or empty."""
        stage, seconds = self._stages[kind], max(0.0, seconds)
        stage.times.add(seconds)
        stage.longest = max(stage.longest, seconds)
        if seconds <= SLOW:
            return None
        stage.slow += 1
        if stage.slow > MAX_LINES:
            return None
        return f"{kind}{f' of {whose}' if whose else ''} took {_milliseconds(seconds)}"

    def summary(self, now: float) -> list[str]:
        """Return a line for each kind, and reset the durations."""
        lines = [
            f"{kind} in {max(0.0, now - self._since):.0f} s: {_summary_of(stage)}"
            for kind, stage in self._stages.items()
        ]
        self._stages = {kind: _Stage() for kind in self._stages}
        self._since = now
        return lines


def _summary_of(stage: _Stage) -> str:
    snapshot = stage.times.snapshot()
    median, p99 = snapshot.quantile(0.5), snapshot.quantile(0.99)
    if median is None or p99 is None:
        return "count 0"
    # A bucket ends above the values in it.
    median, p99 = min(median, stage.longest), min(p99, stage.longest)
    slow = f", {stage.slow} above {_milliseconds(SLOW)}" if stage.slow else ""
    return (
        f"count {snapshot.count}, p50 {_milliseconds(median)}, p99 {_milliseconds(p99)}, "
        f"longest {_milliseconds(stage.longest)}{slow}"
    )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3f} ms"
