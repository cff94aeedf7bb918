"""What stratum needs from the rest of the node; `app` plugs it in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from p2pool.jobs.job import Job, Outcome
from p2pool.pool_stats import BanRecord, HostLoad, HostRecord


class WorkPort(Protocol):
    """Work, and where solved work goes."""

    def make_job(self, key_hash: bytes, share_difficulty: float | None) -> Job | None:
        """A job that pays `key_hash` (20 bytes), on the newest work; None while there is none."""

    def is_current(self, job: Job) -> bool:
        """Whether the job is still on the tip; else what is found with it is dead on arrival."""

    def solved(self, outcome: Outcome, worker: str) -> None:
        """A submission meets the share, block or aux target. Must be told before anything else is done."""


class StatsPort(Protocol):
    """The part of pool_stats that stratum feeds; PoolStats says what each is."""

    def record_connected(self, now: float) -> None: ...

    def record_disconnected(self) -> None: ...

    def record_turned_away(self, reason: str, now: float) -> None: ...

    def record_worker_on(self, name: str, difficulty: float, now: float, site: str = "") -> None: ...

    def record_worker_off(self, name: str) -> None: ...

    def record_software(self, name: str, text: str) -> None: ...

    def record_accepted(self, name: str, attempts: float, difficulty: float, dead: bool, now: float) -> None: ...

    def record_refused(self, name: str | None, code: int, now: float) -> None: ...

    def record_submissions(self, count: int, seconds: float) -> None: ...

    def record_fan_out(self, seconds: float) -> None: ...

    def record_offence(self, what: str) -> None: ...

    def record_bans(self, bans: Iterable[BanRecord]) -> None: ...

    def record_hosts(self, hosts: Iterable[HostRecord]) -> None: ...

    def record_host_loads(self, loads: Iterable[HostLoad]) -> None: ...
