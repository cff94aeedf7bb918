"""Says in a gateway's log when the node falls silent, and when its work comes (again)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.timer import Timer

_log = Logger(namespace="p2pool.gateway")

CHECK: Final = 1.0
"""Seconds between two checks."""
START_PATIENCE: Final = 10.0
"""Seconds after the start within which work normally comes."""


class NodeWatch:
    """Logs each change once: from fresh work to none, and back. `problem` returns why there is no fresh work, None
    if there is; `network` is named to those who look for the node."""

    def __init__(self, environment: Environment, *, problem: Callable[[], str | None], network: str) -> None:
        self._environment = environment
        self._problem = problem
        self._network = network
        self._started = 0.0
        self._has_had_work = False
        self._silent_since: float | None = None
        """When the problem that was logged was noticed, by the clock that never steps."""
        self._timer: Timer | None = None

    def start(self) -> None:
        """Watch from now on."""
        self._started = self._environment.monotonic()
        self._timer = Timer(self._environment.reactor, CHECK, self.check, name="check for work of the node")

    def stop(self) -> None:
        """Stop watching the node."""
        if self._timer is not None:
            self._timer.stop()

    def check(self) -> None:
        """Log what has changed."""
        now, problem = self._environment.monotonic(), self._problem()
        if problem is None:
            self._work_is_there(now)
        elif self._silent_since is None:
            self._work_is_missing(now, problem)

    def _work_is_there(self, now: float) -> None:
        since, self._silent_since = self._silent_since, None
        if not self._has_had_work:
            _log.info("work has come from the node: serving miners")
        elif since is not None:
            _log.info("work comes from the node again, after {seconds:.0f} s", seconds=now - since)
        self._has_had_work = True

    def _work_is_missing(self, now: float, problem: str) -> None:
        if self._has_had_work:
            _log.warn(
                "no fresh work: {problem}; miners go on with the work that they have, and what they find is kept "
                "on disk",
                problem=problem,
            )
        elif now - self._started >= START_PATIENCE:
            _log.warn(
                "waiting for work: {problem}; start the node with the same --broker and --net {network}",
                problem=problem,
                network=self._network,
            )
        else:
            return
        self._silent_since = now
