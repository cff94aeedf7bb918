"""What a miner finds again after a reconnect: its extranonce1, its difficulty and the jobs that it works on.

`MinerState` is that part of a session; `SessionTable` keeps the states of those who are gone for a while, and sees
to it that no two miners ever have the same extranonce1.
"""

from __future__ import annotations

import secrets
from copy import copy
from typing import Protocol

from p2pool.base.fair import FairDict
from p2pool.base.observable import Event
from p2pool.stratum.jobs import IssuedJob, Request
from p2pool.stratum.seen import Solutions
from p2pool.stratum.vardiff import Vardiff

EXTRANONCE2_SIZE = 4
"""Bytes; with the 4 of extranonce1 they are the share's last_txout_nonce."""
MAX_SAVED = 20_000
"""Sessions remembered after their connection ended. Beyond it the site that left most behind loses its oldest."""
MAX_JOBS = 256
"""Jobs that a connection may still answer: more than an hour of share-chain tips."""
_PRUNE_AT = 24
_EXPIRED_AT_ONCE = 5_000
"""Sessions forgotten in one call of `expire`: some milliseconds. All of MAX_SAVED may end in the same second."""


class SentJob:
    """A job as a miner got it: at which difficulty, with which extranonce1, and what was accepted for it.

    A miner is never sent the same work under two ids, so one solution has one difficulty."""

    __slots__ = ("difficulty", "extranonce1", "issued", "solutions", "target")

    def __init__(self, issued: IssuedJob, difficulty: float, target: int, extranonce1: bytes) -> None:
        self.issued = issued
        self.difficulty = difficulty
        self.target = target
        self.extranonce1 = extranonce1
        self.solutions: Solutions | None = None
        """None while nothing was accepted."""

    @property
    def spent(self) -> bool:
        """Return whether solutions of this job are no longer credited."""
        return self.solutions is not None and self.solutions.spent


class MinerState:
    """The part of a session that outlives its connection."""

    __slots__ = (
        "asked_mask",
        "extranonce1",
        "extranonce_changes",
        "jobs",
        "knows_ping",
        "newest",
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
        self.asked_mask: int | None = None
        """The version bits that the miner wishes to roll; None where it negotiated none."""
        self.extranonce_changes = False
        """Whether it may be told another extranonce1."""
        self.knows_ping = False
        self.jobs: dict[str, SentJob] = {}

        self.newest: SentJob | None = None
        """The last job that was sent."""

    def copied(self, session_id: str, extranonce1: bytes) -> MinerState:
        """Return the same under another id and extranonce1, with the same jobs."""
        state = copy(self)
        state.session_id, state.extranonce1 = session_id, extranonce1
        state.vardiff, state.jobs = copy(self.vardiff), dict(self.jobs)
        return state

    def remember(self, sent: SentJob) -> None:
        """Note that a job was sent. Bound: MAX_JOBS; those whose time is over go first."""
        jobs = self.jobs
        if len(jobs) >= _PRUNE_AT:
            for job_id in [job_id for job_id, old in jobs.items() if old.issued.job is None]:
                del jobs[job_id]
            if len(jobs) >= MAX_JOBS:
                del jobs[next(iter(jobs))]
        jobs[sent.issued.job_id] = sent
        self.newest = sent

    def last_variant(self, generation: int, request: Request) -> int:
        """Return the highest variant among the jobs that were sent for a request of one generation; -1 without
        any."""
        issued = (sent.issued for sent in self.jobs.values())
        return max(
            (job.variant for job in issued if job.generation == generation and job.request == request),
            default=-1,
        )


class Resumable(Protocol):
    """A live session, as the table sees it."""

    state: MinerState

    def displace(self, state: MinerState, now: float) -> None:
        """Another connection resumed this session: go on with `state`, or end."""


class SessionTable:
    """All states, live and saved. Bound: the server's connections and MAX_SAVED."""

    def __init__(self, timeout: float) -> None:
        self.displaced: Event[Resumable] = Event()
        """A live session whose state another connection took over, after it was told."""
        self._timeout = timeout
        self._live: dict[str, Resumable] = {}
        self._saved: FairDict[str, tuple[MinerState, float], str] = FairDict(MAX_SAVED)
        """(state, when it expires), by session id, in the order in which they expire."""
        self._extranonces: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._saved)

    def new_state(self, vardiff: Vardiff) -> MinerState:
        """A state of its own for a connection that begins."""
        extranonce1 = secrets.token_bytes(4)
        while extranonce1 in self._extranonces:
            extranonce1 = secrets.token_bytes(4)
        self._extranonces.add(extranonce1)
        # Unguessable, since it gives access to the session; and its first digit makes it no number in any
        # notation: one checker reads numbers as difficulties.
        session_id = "d" + secrets.token_hex(16)[1:]
        return MinerState(session_id, extranonce1, vardiff)

    def opened(self, session: Resumable) -> None:
        """A session lives."""
        self._live[session.state.session_id] = session

    def resume(self, session: Resumable, session_id: str, now: float) -> bool:
        """Give `session` the state that it asks for; False where that is not known any more.

        A session may be resumed while its connection still seems to live: the miner noticed first that it is dead.
        """
        owner = self._live.get(session_id)
        if owner is session:
            return True
        if owner is not None:
            state, own = owner.state, session.state
            if own.jobs:
                # What was accepted for them is forgotten: their extranonce1 must never have the same work again.
                del self._live[own.session_id]
                self._extranonces.discard(own.extranonce1)
                own = self.new_state(own.vardiff)
            self._live[state.session_id], self._live[own.session_id] = session, owner
            session.state = state
            owner.displace(own, now)
            self.displaced.fire(owner)
            return True
        saved = self._saved.pop(session_id)
        if saved is None:
            return False
        state, expires = saved
        if now >= expires:
            self._extranonces.discard(state.extranonce1)
            return False
        own = session.state
        del self._live[own.session_id]
        self._extranonces.discard(own.extranonce1)
        session.state = state
        self._live[session_id] = session
        return True

    def closed(self, session: Resumable, site: str, worth_keeping: bool, now: float) -> None:
        """A connection of `site` ended; what it leaves behind can be resumed for a while."""
        state = session.state
        if self._live.get(state.session_id) is not session:
            return
        del self._live[state.session_id]
        if not worth_keeping or self._timeout <= 0:
            self._extranonces.discard(state.extranonce1)
            return
        evicted = self._saved.put(state.session_id, (state, now + self._timeout), site)
        if evicted is not None:
            self._extranonces.discard(evicted[0].extranonce1)

    def expire(self, now: float) -> None:
        """Forget those that nobody came back for, a portion in each call."""
        for _ in range(_EXPIRED_AT_ONCE):
            if not self._saved:
                return
            session_id = next(iter(self._saved))
            state, expires = self._saved[session_id]
            if now < expires:
                return
            self._saved.pop(session_id)
            self._extranonces.discard(state.extranonce1)
