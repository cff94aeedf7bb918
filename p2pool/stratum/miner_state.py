"""What a miner finds again after a reconnect: its extranonce1, its difficulty and the jobs that it works on."""

from __future__ import annotations

from collections.abc import Mapping
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

    __slots__ = ("difficulty", "extranonce1", "is_kept", "issued", "solutions", "target")

    def __init__(self, issued: IssuedJob, *, difficulty: float, extranonce1: bytes) -> None:
        self.issued = issued
        self.difficulty = difficulty
        limit = issued.limit
        self.target = limit.target if difficulty == limit.difficulty else _target_of(difficulty)
        self.extranonce1 = extranonce1
        self.solutions: Solutions | None = None
        """None until a solution is accepted."""
        self.is_kept = False
        """Whether others may hold this object as well, such as a submission that waits, or another session: then
        it is never made again, so that all of them know the same solutions."""

    @property
    def spent(self) -> bool:
        """Return whether solutions of this job are no longer credited."""
        return self.solutions is not None and self.solutions.spent


def _issued(job: SentJob | IssuedJob) -> IssuedJob:
    return job if isinstance(job, IssuedJob) else job.issued


class MinerState:
    """The part of a session that outlives its connection."""

    __slots__ = (
        "_difficulty",
        "_extranonce1",
        "_jobs",
        "extranonce1",
        "extranonce_changes",
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
        self._jobs: list[SentJob | IssuedJob] = []
        """The jobs that were sent, the newest last; a table of their ids would take four times the memory. An
        IssuedJob stands for a SentJob with the following two, without solutions."""
        self._difficulty, self._extranonce1 = 0.0, b""
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
        state.jobs, state.newest = self.jobs, self.newest
        return state

    def remember(self, sent: SentJob) -> None:
        """Note that a job was sent. Bound: MAX_JOBS; released jobs are dropped first."""
        jobs = self._jobs
        # Jobs are released about in the order in which they were sent: the first ones say whether any was.
        if jobs and (len(jobs) >= MAX_JOBS or _issued(jobs[0]).job is None):
            jobs = self._jobs = [job for job in jobs if _issued(job).job is not None]
            if len(jobs) >= MAX_JOBS:
                del jobs[0]
        newest = self.newest
        if newest is not None and jobs and jobs[-1] is newest:
            self._shrink_last(newest)
        jobs.append(sent)
        self.newest = sent

    def _shrink_last(self, sent: SentJob) -> None:
        """Keep of the last job only what cannot be made again: most jobs of a connection never get a solution, and
        have the same difficulty and extranonce1."""
        if sent.solutions is not None or sent.is_kept:
            return
        if sent.difficulty != self._difficulty or sent.extranonce1 != self._extranonce1:
            for place in range(len(self._jobs)):
                self._sent_at(place)
            self._difficulty, self._extranonce1 = sent.difficulty, sent.extranonce1
        self._jobs[-1] = sent.issued

    def _sent_at(self, place: int) -> SentJob:
        job = self._jobs[place]
        if isinstance(job, IssuedJob):
            job = self._jobs[place] = SentJob(job, difficulty=self._difficulty, extranonce1=self._extranonce1)
        job.is_kept = True
        return job

    def sent(self, job_id: str) -> SentJob | None:
        """Return a job that was sent, by its id; None if it is not known."""
        jobs = self._jobs
        for place in range(len(jobs) - 1, -1, -1):  # nearly always it is the newest one
            if _issued(jobs[place]).job_id == job_id:
                return self._sent_at(place)
        return None

    @property
    def jobs(self) -> dict[str, SentJob]:
        """Return all jobs that were sent by their ids, the oldest first."""
        sent = [self._sent_at(place) for place in range(len(self._jobs))]
        return {job.issued.job_id: job for job in sent}

    @jobs.setter
    def jobs(self, jobs: Mapping[str, SentJob]) -> None:
        for sent in jobs.values():
            sent.is_kept = True
        self._jobs = list(jobs.values())

    @property
    def accepted(self) -> int:
        """Return how many accepted solutions of its jobs are remembered."""
        solutions = (job.solutions for job in self._jobs if isinstance(job, SentJob))
        return sum(len(each) for each in solutions if each is not None)

    def last_variant(self, generation: int, request: JobRequest) -> int:
        """Return the highest variant among the jobs that were sent for a request in one generation; -1 if none
        was sent."""
        issued = map(_issued, self._jobs)
        return max(
            (job.variant for job in issued if job.generation == generation and job.request == request),
            default=-1,
        )
