"""The dispatcher and the work with time measurement, for --bench."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typing_extensions import override

from p2pool.jobs.job import Job, Outcome
from p2pool.stratum.dispatch import Dispatcher, submitter
from p2pool.stratum.errors import StratumError
from p2pool.stratum.ports import WorkPort
from p2pool.stratum.session import Session

Clock = Callable[[], float]
"""Seconds from any origin, as fine as there is."""
Record = Callable[[float, str], None]
"""Is called with seconds and a worker's name."""


class TimedDispatcher(Dispatcher):
    """A dispatcher that measures submissions, from the parsed request to the answer."""

    __slots__ = ("_record", "_stopwatch")

    def __init__(self, stopwatch: Clock, record: Record) -> None:
        super().__init__()
        self._stopwatch = stopwatch
        self._record = record

    @override
    def _call(
        self, session: Session, message: dict[str, Any], line_error: StratumError | None, *, now: float
    ) -> tuple[Any, StratumError | None]:
        if message["method"] != "mining.submit":
            return super()._call(session, message, line_error, now=now)
        start = self._stopwatch()
        try:
            return super()._call(session, message, line_error, now=now)
        finally:
            self._record(self._stopwatch() - start, submitter(session, message.get("params")) or "")


class TimedWork:
    """Work that measures how long its jobs take to make."""

    def __init__(self, work: WorkPort, stopwatch: Clock, record: Record) -> None:
        self.is_current = work.is_current
        self.solved: Callable[[Outcome, str], None] = work.solved
        self._make_job = work.make_job
        self._stopwatch = stopwatch
        self._record = record

    def make_job(self, key_hash: bytes, share_difficulty: float | None) -> Job | None:
        """Return the job of the measured work, and record how long it took."""
        start = self._stopwatch()
        job = self._make_job(key_hash, share_difficulty)
        self._record(self._stopwatch() - start, "")
        return job
