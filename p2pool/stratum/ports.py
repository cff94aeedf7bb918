"""What stratum needs from the rest of the node; `app` plugs it in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from twisted.internet.defer import Deferred

from p2pool.jobs.job import Job, Outcome
from p2pool.pool_stats import BanRecord, HostLoad, HostRecord


class WorkPort(Protocol):
    """Where jobs come from, and where solved work goes."""

    def make_job(self, key_hash: bytes, share_difficulty: float | None) -> Job | None:
        """Return a job on the newest work that pays `key_hash` (20 bytes); None if there is no work."""

    def is_current(self, job: Job) -> bool:
        """Return whether a job is still on the tip; what is found with any other is dead on arrival."""

    def solved(self, outcome: Outcome, worker: str) -> None:
        """Take a submission that meets the share, block or aux target. It is reported before anything else is
        done with it."""


class OtherServers(Protocol):
    """Other servers of the same pool, whose sessions miners may resume here."""

    def fetch(self, session_id: str, site: str) -> Deferred[None] | None:
        """Bring a session of another server into the SessionTable, for a connection of `site`. The Deferred fires
        within a fraction of a second, whether or not the session was found, and never fails. Return None if there
        is nothing to wait for."""


class StatsPort(Protocol):
    """The part of pool_stats that stratum feeds; PoolStats says what each method counts."""

    def record_connected(self, now: float) -> None: ...

    def record_disconnected(self) -> None: ...

    def record_turned_away(self, reason: str, now: float) -> None: ...

    def record_worker_on(self, name: str, *, difficulty: float, now: float, site: str = "") -> None: ...

    def record_worker_off(self, name: str) -> None: ...

    def record_software(self, name: str, text: str) -> None: ...

    def record_accepted(
        self, name: str, *, attempts: float, difficulty: float, dead: bool, now: float
    ) -> None: ...

    def record_refused(self, name: str | None, code: int, now: float) -> None: ...

    def record_submissions(self, count: int, seconds: float) -> None: ...

    def record_job_broadcast(self, seconds: float) -> None: ...

    def record_offence(self, what: str) -> None: ...

    def record_bans(self, bans: Iterable[BanRecord]) -> None: ...

    def record_hosts(self, hosts: Iterable[HostRecord]) -> None: ...

    def record_host_loads(self, loads: Iterable[HostLoad]) -> None: ...
