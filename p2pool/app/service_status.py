"""The status line of `systemctl status`: miners, hash rate, height, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from p2pool.base.environment import Environment
from p2pool.base.service_manager import notify_service_manager
from p2pool.base.text import format_rate
from p2pool.base.timer import Timer
from p2pool.pool_stats import PoolStats
from p2pool.web.health import Missing

PERIOD: Final = 10.0
"""Seconds between two checks whether the line has changed."""
SNAPSHOT_AGE: Final = 30.0
"""Seconds for which figures are new enough for the line."""


class ServiceStatus:
    """Tells the service manager how the program does. `height` is that of the block that miners work on, None
    without one; `missing` is what keeps them from work."""

    def __init__(
        self,
        environment: Environment,
        stats: PoolStats,
        *,
        height: Callable[[], int | None],
        missing: Callable[[], Sequence[Missing]],
        notify: Callable[[str], object] = notify_service_manager,
    ) -> None:
        self._environment = environment
        self._stats = stats
        self._height = height
        self._missing = missing
        self._notify = notify
        self._last = ""
        self._timer: Timer | None = None

    def start(self) -> None:
        """Tell it now, and again whenever it has changed."""
        self._timer = Timer(self._environment.reactor, PERIOD, self.tell, name="tell systemd the status")

    def stop(self) -> None:
        """Stop telling the status."""
        if self._timer is not None:
            self._timer.stop()

    def tell(self) -> None:
        """Send the line if it is a new one."""
        line = self.line()
        if line != self._last:
            self._last = line
            self._notify(f"STATUS={line}")

    def line(self) -> str:
        """Return what is missing, in one sentence, else the figures."""
        missing = self._missing()
        if missing:
            return f"No work for miners: {missing[0].message.partition('. ')[0].rstrip('.')}"
        snapshot = self._stats.snapshot(self._environment.clock(), SNAPSHOT_AGE)
        height = self._height()
        block = "" if height is None else f", block {height}"
        return f"{snapshot.connections} miners, {format_rate(snapshot.hash_rate)}{block}"
