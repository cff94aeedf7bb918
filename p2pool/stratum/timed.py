"""Sessions and work that measure themselves, in the place of the plain ones, with --bench."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p2pool.jobs.job import Job, Outcome
from p2pool.stratum.conduct import Conduct
from p2pool.stratum.errors import Refusal
from p2pool.stratum.house import House
from p2pool.stratum.ports import WorkPort
from p2pool.stratum.session import Session

Clock = Callable[[], float]
"""Seconds from any origin, as fine as there is."""
Record = Callable[[float, str], None]
"""Is given seconds and a worker's name."""


class TimedSession(Session):
    """A connection whose submissions are measured, from the parsed request to what is answered."""

    __slots__ = ("_record", "_stopwatch")

    def __init__(self, house: House, host: Conduct, now: float, stopwatch: Clock, record: Record) -> None:
        super().__init__(house, host, now)
        self._stopwatch = stopwatch
        self._record = record

    def _call(
        self, method: str, params: Any, now: float, refusal: Refusal | None = None
    ) -> tuple[Any, Refusal | None]:
        if method != "mining.submit":
            return super()._call(method, params, now, refusal)
        start = self._stopwatch()
        try:
            return super()._call(method, params, now, refusal)
        finally:
            self._record(self._stopwatch() - start, self._submitter(params) or "")


class TimedWork:
    """Work whose jobs are measured."""

    def __init__(self, work: WorkPort, stopwatch: Clock, record: Record) -> None:
        self.is_current = work.is_current
        self.solved: Callable[[Outcome, str], None] = work.solved
        self._make_job = work.make_job
        self._stopwatch = stopwatch
        self._record = record

    def make_job(self, key_hash: bytes, share_difficulty: float | None) -> Job | None:
        """WorkPort's."""
        start = self._stopwatch()
        job = self._make_job(key_hash, share_difficulty)
        self._record(self._stopwatch() - start, "")
        return job
