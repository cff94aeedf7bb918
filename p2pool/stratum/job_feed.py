"""Which job a connection is sent, and which difficulty and extranonce1 before it.

A miner is never sent the same work under two ids: common miners restart their nonces on a new id, and would find
and submit again what was already accepted. So a changed difficulty takes other work, or waits for the next.

The difficulty is the connection's own, but not above that of the job's shares: a miner submits no hash that misses
its difficulty, and shares among them would be lost (see `Vardiff.at_most` for the exception).
"""

from __future__ import annotations

from p2pool.stratum.job_registry import JobRegistry
from p2pool.stratum.messages import difficulty_line, notification_line
from p2pool.stratum.miner_state import EXTRANONCE2_SIZE, MinerState, SentJob
from p2pool.stratum.username import Username


class JobFeed:
    """Chooses the jobs of one connection.

    Each method returns the lines to send, or no bytes if there is nothing to send:

    - `renew` after new work: the job on it, unless the miner has it;
    - `change` after the difficulty, the extranonce1 or the payee changed: other work that suits them;
    - `restart` for a miner that starts over: a job that it has no solutions of;
    - `repeat` to keep the connection alive: the current job again.

    A job is preceded by mining.set_extranonce and mining.set_difficulty if the miner does not know them yet.
    `state` is passed in, since it changes when another connection resumes the session.
    """

    __slots__ = ("_difficulty", "_extranonce1", "_registry", "_site")

    def __init__(self, registry: JobRegistry, site: str) -> None:
        self._registry = registry
        self._site = site
        self._difficulty: float | None = None
        self._extranonce1 = b""
        """The difficulty and the extranonce1 that were last sent to the miner."""

    def subscribed(self, extranonce1: bytes) -> None:
        """Note that the answer to mining.subscribe contained this extranonce1."""
        self._extranonce1 = extranonce1

    def renew(self, state: MinerState, payee: Username) -> bytes:
        """Return the job on the newest work; nothing if the miner has it."""
        former, registry = state.newest, self._registry
        if former is not None and registry.is_newest(former.issued):
            return b""
        clean = former is None or registry.ended(former.issued)
        sent = self._next(state, payee, 0)
        return b"" if sent is None else self._lines(sent, clean)

    def change(self, state: MinerState, payee: Username, *, clean: bool = False) -> bytes:
        """Return other work if the newest job no longer suits the connection, or is spent; nothing if no other
        work is left: then the change waits for the next work."""
        sent = self._newest(state)
        if sent is None:
            return self.renew(state, payee)
        if not self._outdated(sent, state, payee):
            return b""
        other = self._other(state, payee)
        return b"" if other is None else self._lines(other, clean)

    def restart(self, state: MinerState, payee: Username) -> bytes:
        """Return a job for a miner that starts over: its nonces restart, so it must have no solutions of the
        job."""
        sent = self._newest(state)
        if sent is None or sent.solutions is not None or self._outdated(sent, state, payee):
            former, sent = sent, self._other(state, payee)
            # The former job may be for another address, or for an extranonce1 that another connection has now.
            if sent is None and former is not None and self._is_for(former, payee):
                sent = former if former.extranonce1 == self._extranonce1 else None
        return b"" if sent is None else self._lines(sent, clean=True)

    def repeat(self, state: MinerState, payee: Username) -> bytes:
        """Return the current job again, to show that the connection is alive."""
        sent = self._newest(state)
        if sent is None:
            return self.renew(state, payee)
        return self._lines(sent, clean=False) if self._is_for(sent, payee) else b""

    def _newest(self, state: MinerState) -> SentJob | None:
        """Return the last job that was sent, if it is on the newest work."""
        sent = state.newest
        return sent if sent is not None and self._registry.is_newest(sent.issued) else None

    @staticmethod
    def _is_for(sent: SentJob, payee: Username) -> bool:
        """Return whether a job is for this payee: a session may be resumed under another address."""
        return sent.issued.request == payee.job_request

    def _outdated(self, sent: SentJob, state: MinerState, payee: Username) -> bool:
        return (
            sent.difficulty != state.vardiff.at_most(sent.issued.limit.difficulty)
            or sent.extranonce1 != state.extranonce1
            or sent.spent
            or not self._is_for(sent, payee)
        )

    def _other(self, state: MinerState, payee: Username) -> SentJob | None:
        """Return the next job on the newest work that was not sent yet."""
        return self._next(state, payee, state.last_variant(self._registry.generation, payee.job_request) + 1)

    def _next(self, state: MinerState, payee: Username, variant: int) -> SentJob | None:
        issued = self._registry.job_for(self._site, payee.job_request, variant)
        if issued is None:
            return None
        difficulty = state.vardiff.at_most(issued.limit.difficulty)
        sent = SentJob(issued, difficulty=difficulty, extranonce1=state.extranonce1)
        state.remember(sent)
        return sent

    def _lines(self, sent: SentJob, clean: bool) -> bytes:
        """Return the notify line, after the difficulty and extranonce1 if the miner does not know them yet."""
        notify = sent.issued.notify(clean)
        if sent.difficulty == self._difficulty and sent.extranonce1 == self._extranonce1:
            return notify
        before = b""
        if sent.extranonce1 != self._extranonce1:
            self._extranonce1 = sent.extranonce1
            before = notification_line("mining.set_extranonce", [sent.extranonce1.hex(), EXTRANONCE2_SIZE])
        if sent.difficulty != self._difficulty:
            self._difficulty = sent.difficulty
            before += difficulty_line(sent.difficulty)
        return before + notify
