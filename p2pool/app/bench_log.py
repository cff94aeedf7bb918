"""The log of --bench: how long templates and new work take, which submissions and other steps are slow, and a
summary once a minute. None of it is used without --bench."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.logger import Logger

from p2pool.base.timings import Timings
from p2pool.stratum.dispatch import Dispatcher
from p2pool.stratum.ports import WorkPort
from p2pool.stratum.timed import TimedDispatcher, TimedWork

PERIOD: Final = 60.0
"""Seconds between two summaries."""
SUBMIT, JOB, TEMPLATE, BROADCAST = "submit", "job", "template", "job broadcast"
_log = Logger(namespace="p2pool")


class BenchLog:
    """Measures steps with `stopwatch` (seconds from any origin), and logs them."""

    def __init__(self, stopwatch: Callable[[], float]) -> None:
        self._stopwatch = stopwatch
        self._timings = Timings((SUBMIT, JOB, TEMPLATE, BROADCAST), stopwatch())

    def timed(self, what: str, function: Callable[[Any], None], kind: str | None = None) -> Callable[[Any], None]:
        """Return a function that calls `function`, logs each call under the name `what`, and counts it as `kind`
        in the summary."""

        def timed(value: Any) -> None:
            start = self._stopwatch()
            function(value)
            took = self._stopwatch() - start
            if kind is not None:
                self._timings.record(kind, took)
            _log.info("bench: {what} took {took:.2f} ms", what=what, took=took * 1000)

        return timed

    def record(self, kind: str, seconds: float, whose: str = "") -> None:
        """Count a step in the summary, and log it if it was slow."""
        line = self._timings.record(kind, seconds, whose)
        if line is not None:
            _log.info("bench: {line}", line=line)

    def job_broadcast(self, seconds: float) -> None:
        """Count a job broadcast: seconds from new work to its last connection."""
        self.record(BROADCAST, seconds)

    def dispatcher(self) -> Dispatcher:
        """Return a dispatcher that measures submissions."""
        return TimedDispatcher(self._stopwatch, partial(self.record, SUBMIT))

    def work(self, work: WorkPort) -> WorkPort:
        """Return work that measures how long its jobs take to make."""
        return TimedWork(work, self._stopwatch, partial(self.record, JOB))

    def log_summary(self) -> None:
        """Log the summary of the last minute."""
        for line in self._timings.summary(self._stopwatch()):
            _log.info("bench: {line}", line=line)
