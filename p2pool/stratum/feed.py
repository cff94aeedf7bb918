"""Which job a connection is sent, and what has to be sent before it.

A miner is never sent the same work under two ids: common miners restart their nonces on a new id, and would find
and submit again what was already accepted. So a changed difficulty takes other work, or waits for the next.
"""

from __future__ import annotations

from functools import lru_cache

from p2pool.dash.target import difficulty_to_target
from p2pool.stratum.jobs import JobRegistry
from p2pool.stratum.messages import difficulty_line, notification_line
from p2pool.stratum.sessions import EXTRANONCE2_SIZE, MinerState, SentJob
from p2pool.stratum.username import Username


@lru_cache(maxsize=4096)
def _target_of(difficulty: float) -> int:
    return difficulty_to_target(difficulty)


class JobFeed:
    """The jobs of one connection. Each method returns the bytes to send; none of them if there is nothing to send.

    `state` is passed in, since it changes when a session is resumed by another connection."""

    __slots__ = ("_difficulty", "_extranonce1", "_registry", "_site")

    def __init__(self, registry: JobRegistry, site: str) -> None:
        self._registry = registry
        self._site = site
        self._difficulty: float | None = None
        self._extranonce1 = b""
        """What the miner was last told of both."""

    def subscribed(self, extranonce1: bytes) -> None:
        """Note that the answer to mining.subscribe carried this extranonce1."""
        self._extranonce1 = extranonce1

    def renew(self, state: MinerState, payee: Username) -> bytes:
        """Send the job on the newest work, unless the miner has it."""
        former, registry = state.newest, self._registry
        if former is not None and registry.is_newest(former.issued):
            return b""
        clean = former is None or registry.ended(former.issued)
        sent = self._next(state, payee, 0)
        return b"" if sent is None else self._lines(sent, clean)

    def change(self, state: MinerState, payee: Username, clean: bool = False) -> bytes:
        """Send other work if the newest job no longer suits the connection, or is spent. Without other work left
        it waits for the next."""
        sent = self._newest(state)
        if sent is None:
            return self.renew(state, payee)
        if not self._outdated(sent, state, payee):
            return b""
        other = self._other(state, payee)
        return b"" if other is None else self._lines(other, clean)

    def restart(self, state: MinerState, payee: Username) -> bytes:
        """Send a job to a miner that begins anew: its nonces restart, so not one that it has solutions of."""
        sent = self._newest(state)
        if sent is None or sent.solutions is not None or self._outdated(sent, state, payee):
            former, sent = sent, self._other(state, payee)
            # What is left may be work for another address, or for an extranonce1 that another connection has now.
            if sent is None and former is not None and self._is_for(former, payee):
                sent = former if former.extranonce1 == self._extranonce1 else None
        return b"" if sent is None else self._lines(sent, clean=True)

    def repeat(self, state: MinerState, payee: Username) -> bytes:
        """Send the current job again, as a sign of life."""
        sent = self._newest(state)
        if sent is None:
            return self.renew(state, payee)
        return self._lines(sent, clean=False) if self._is_for(sent, payee) else b""

    def _newest(self, state: MinerState) -> SentJob | None:
        """The last job that was sent, if it is on the newest work."""
        sent = state.newest
        return sent if sent is not None and self._registry.is_newest(sent.issued) else None

    @staticmethod
    def _is_for(sent: SentJob, payee: Username) -> bool:
        """Whether a job is for this payee: a session may be resumed under another address."""
        return sent.issued.request == payee.request

    def _outdated(self, sent: SentJob, state: MinerState, payee: Username) -> bool:
        return (
            sent.difficulty != state.vardiff.difficulty
            or sent.extranonce1 != state.extranonce1
            or sent.spent
            or not self._is_for(sent, payee)
        )

    def _other(self, state: MinerState, payee: Username) -> SentJob | None:
        """The next job on the newest work that was not sent yet."""
        return self._next(state, payee, state.last_variant(self._registry.generation, payee.request) + 1)

    def _next(self, state: MinerState, payee: Username, variant: int) -> SentJob | None:
        issued = self._registry.job_for(self._site, *payee.request, variant)
        if issued is None:
            return None
        difficulty = state.vardiff.difficulty
        sent = SentJob(issued, difficulty, _target_of(difficulty), state.extranonce1)
        state.remember(sent)
        return sent

    def _lines(self, sent: SentJob, clean: bool) -> bytes:
        """The notify line, after whatever of difficulty and extranonce1 the miner does not know yet."""
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
