"""What --bench logs: how long templates and new work take, submissions and other steps that are slow, and once a
minute what all of them came to. Without --bench none of it is in the way."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.logger import Logger

from p2pool.base.timings import Timings
from p2pool.stratum.conduct import Conduct
from p2pool.stratum.house import House
from p2pool.stratum.ports import WorkPort
from p2pool.stratum.session import Session
from p2pool.stratum.timed import TimedSession, TimedWork

PERIOD: Final = 60.0
"""Seconds between two summaries."""
SUBMIT, JOB, TEMPLATE, BROADCAST = "submit", "job", "template", "job broadcast"
_log = Logger(namespace="p2pool")


class BenchLog:
    """Measures with `stopwatch` (seconds from any origin), and logs."""

    def __init__(self, stopwatch: Callable[[], float]) -> None:
        self._stopwatch = stopwatch
        self._timings = Timings((SUBMIT, JOB, TEMPLATE, BROADCAST), stopwatch())

    def timed(self, what: str, function: Callable[[Any], None], kind: str | None = None) -> Callable[[Any], None]:
        """The same function, logging each call under the name `what`, and counting it as `kind` in the summary."""

        def timed(value: Any) -> None:
            start = self._stopwatch()
            function(value)
            took = self._stopwatch() - start
            if kind is not None:
                self._timings.record(kind, took)
            _log.info("bench: {what} took {took:.2f} ms", what=what, took=took * 1000)

        return timed

    def record(self, kind: str, seconds: float, whose: str = "") -> None:
        """A step took so long."""
        line = self._timings.record(kind, seconds, whose)
        if line is not None:
            _log.info("bench: {line}", line=line)

    def job_broadcast(self, seconds: float) -> None:
        """A job broadcast reached its last connection so long after there was new work."""
        self.record(BROADCAST, seconds)

    def session(self, house: House, host: Conduct, now: float) -> Session:
        """A connection whose submissions are measured."""
        return TimedSession(house, host, now, self._stopwatch, partial(self.record, SUBMIT))

    def work(self, work: WorkPort) -> WorkPort:
        """The same work, with its jobs measured."""
        return TimedWork(work, self._stopwatch, partial(self.record, JOB))

    def say_summary(self) -> None:
        """Log what the last minute came to."""
        for line in self._timings.summary(self._stopwatch()):
            _log.info("bench: {line}", line=line)
