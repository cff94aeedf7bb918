"""Measures this process: delays of the reactor, pauses of the garbage collector, memory, files and threads; and
records how it computes X11."""

from __future__ import annotations

from typing import Final

from p2pool.base.environment import Environment
from p2pool.base.long_lived import LongLived
from p2pool.base.process import read_process_figures
from p2pool.base.reactor_lag import GarbageWatch, ReactorWatch
from p2pool.base.timer import Timer
from p2pool.dash.pow import PROBLEM, PROVIDER
from p2pool.pool_stats import PoolStats, X11Figures

PERIOD: Final = 5.0
"""Seconds between two readings of what the process uses."""


class ProcessWatch:
    """Records what the process does into the statistics."""

    def __init__(self, environment: Environment, stats: PoolStats) -> None:
        self._environment = environment
        self._stats = stats
        self._long_lived = LongLived(environment.monotonic)
        self._watches: tuple[ReactorWatch | GarbageWatch | LongLived, ...] = (
            ReactorWatch(
                environment.reactor,
                lambda delay: stats.record_reactor_delay(delay, environment.clock()),
                environment.monotonic,
            ),
            GarbageWatch(stats.record_gc_pause, environment.monotonic),
            self._long_lived,
        )
        self._timer: Timer | None = None
        stats.record_x11(X11Figures(PROVIDER.name, PROVIDER.instructions, PROBLEM or None))

    def start(self) -> None:
        """Measure from now on."""
        self._timer = Timer(self._environment.reactor, PERIOD, self._read, name="read the process figures")
        for watch in self._watches:
            watch.start()

    def stop(self) -> None:
        """Stop measuring; nothing happens if it never started."""
        if self._timer is not None:
            self._timer.stop()
        for watch in self._watches:
            watch.stop()

    def memory(self) -> float | None:
        """Return the resident memory in bytes; None before the first reading."""
        figures = self._stats.snapshot(self._environment.clock(), PERIOD).process.figures
        return None if figures is None else figures.resident_bytes

    def spare_shares(self) -> None:
        """Collect garbage once more, and exempt what was loaded and imported from later collections."""
        self._long_lived.exempt()

    async def _read(self) -> None:
        self._stats.record_process(await self._environment.run_in_thread(read_process_figures))
