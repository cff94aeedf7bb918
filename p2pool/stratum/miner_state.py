"""What a miner finds again after a reconnect: its extranonce1, its difficulty and the jobs that it works on."""

from __future__ import annotations

from functools import lru_cache

from p2pool.dash.target import difficulty_to_target
from p2pool.stratum.job_registry import IssuedJob, JobRequest
from p2pool.stratum.solutions import Solutions
from p2pool.stratum.vardiff import Vardiff

EXTRANONCE2_SIZE = 4
"""Bytes; with the 4 of extranonce1 they are the share's last_txout_nonce."""
MAX_JOBS = 256
"""Jobs that a connection may still answer: more than an hour of share-chain tips."""


@lru_cache(maxsize=4096)
def _target_of(difficulty: float) -> int:
    return difficulty_to_target(difficulty)


class SentJob:
    """A job as it was sent to a miner: with its difficulty, its extranonce1, and the solutions accepted for it.

    A miner is never sent the same work under two ids, so one solution has one difficulty."""

    __slots__ = ("difficulty", "extranonce1", "issued", "solutions", "target")

    def __init__(self, issued: IssuedJob, *, difficulty: float, extranonce1: bytes) -> None:
        self.issued = issued
        self.difficulty = difficulty
        limit = issued.limit
        self.target = limit.target if difficulty == limit.difficulty else _target_of(difficulty)
        self.extranonce1 = extranonce1
        self.solutions: Solutions | None = None
        """None until a solution is accepted."""

    @property
    def spent(self) -> bool:
        """Return whether solutions of this job are no longer credited."""
        return self.solutions is not None and self.solutions.spent


class MinerState:
    """The part of a session that outlives its connection."""

    __slots__ = (
        "extranonce1",
        "extranonce_changes",
        "jobs",
        "knows_ping",
        "newest",
        "requested_mask",
        "session_id",
        "share_rate",
        "vardiff",
    )

    def __init__(self, session_id: str, extranonce1: bytes, vardiff: Vardiff) -> None:
        self.session_id = session_id
        self.extranonce1 = extranonce1
        self.vardiff = vardiff
        self.share_rate = vardiff.seconds
        """Seconds per pseudoshare that each of its workers should have."""
        self.requested_mask: int | None = None
        """The version bits that the miner asked to roll; None without version rolling."""
        self.extranonce_changes = False
        """Whether the miner accepts another extranonce1 while it is connected."""
        self.knows_ping = False
        self.jobs: dict[str, SentJob] = {}

        self.newest: SentJob | None = None
        """The last job that was sent."""

    @property
    def difficulty(self) -> float:
        """Return the difficulty of the last job that was sent; before the first, that of the next one unless its
        shares are easier."""
        return self.vardiff.difficulty if self.newest is None else self.newest.difficulty

    def copied(self, session_id: str, extranonce1: bytes) -> MinerState:
        """Return a copy with another session id and extranonce1, and with the same jobs."""
        state = MinerState(session_id, extranonce1, self.vardiff.copied())
        state.share_rate, state.requested_mask = self.share_rate, self.requested_mask
        state.extranonce_changes, state.knows_ping = self.extranonce_changes, self.knows_ping
        state.jobs, state.newest = dict(self.jobs), self.newest
        return state

    def remember(self, sent: SentJob) -> None:
        """Note that a job was sent. Bound: MAX_JOBS; released jobs are dropped first."""
        jobs = self.jobs
        # Jobs are released about in the order in which they were sent: the first ones say whether any was.
        if jobs and next(iter(jobs.values())).issued.job is None:
            self.jobs = jobs = {job_id: old for job_id, old in jobs.items() if old.issued.job is not None}
        if len(jobs) >= MAX_JOBS:
            for job_id in [job_id for job_id, old in jobs.items() if old.issued.job is None]:
                del jobs[job_id]
            if len(jobs) >= MAX_JOBS:
                del jobs[next(iter(jobs))]
        jobs[sent.issued.job_id] = sent
        self.newest = sent

    def last_variant(self, generation: int, request: JobRequest) -> int:
        """Return the highest variant among the jobs that were sent for a request in one generation; -1 if none
        was sent."""
        issued = (sent.issued for sent in self.jobs.values())
        return max(
            (job.variant for job in issued if job.generation == generation and job.request == request),
            default=-1,
        )
