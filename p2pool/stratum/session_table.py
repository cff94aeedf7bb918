"""The states of all sessions, live and saved: miners resume them, and no two ever have the same extranonce1."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Protocol

from p2pool.base.errors import ParseError
from p2pool.base.fair import FairDict
from p2pool.base.observable import Event
from p2pool.stratum.miner_state import MinerState
from p2pool.stratum.vardiff import Vardiff

MAX_SAVED = 20_000
"""Sessions remembered after their connection ended. Beyond it the site that left most of them loses its oldest."""
_EXPIRED_AT_ONCE = 5_000
"""Sessions forgotten in one call of `expire`: some milliseconds. All of MAX_SAVED may end in the same second."""


class Resumable(Protocol):
    """A live session, as the table sees it."""

    state: MinerState

    def lose_to_takeover(self, state: MinerState, now: float) -> None:
        """Continue with another state, or end: another connection has resumed this session."""


class SessionTable:
    """All states of sessions, live and saved. Bound: the server's connections and MAX_SAVED.

    With a prefix (see `use_prefix`), new extranonces begin with it, and states may move to the tables of other
    servers that have other prefixes (`give_up`), and come from them (`adopt`).
    """

    def __init__(self, timeout: float, chance: random.Random) -> None:
        self.taken_over: Event[Resumable] = Event()
        """Fires with a live session whose state another connection has taken over, after it was notified."""
        self._timeout = timeout
        self._chance = chance
        self._live: dict[str, Resumable] = {}
        self._saved: FairDict[str, tuple[MinerState, float], str] = FairDict(MAX_SAVED)
        """(state, time of expiry) by session id, in the order of expiry."""
        self._extranonces: set[bytes] = set()
        self._prefix = b""
        self._counters: dict[bytes, int] = {}
        """Counts the extranonces under each prefix: one that was given is not given again for a long time,
        wherever its session is."""

    def __len__(self) -> int:
        return len(self._saved)

    def new_state(self, vardiff: Vardiff) -> MinerState:
        """Return a state for a new connection, with an extranonce1 that no other has."""
        extranonce1 = self._draw()
        while extranonce1 in self._extranonces:
            extranonce1 = self._draw()
        self._extranonces.add(extranonce1)
        # Unguessable, since it gives access to the session. The first digit makes sure that it is not a number in
        # any notation: one stratum checker reads numbers as difficulties.
        session_id = f"d{self._chance.getrandbits(124):031x}"
        return MinerState(session_id, extranonce1, vardiff)

    def _draw(self) -> bytes:
        if not self._prefix:
            return self._chance.randbytes(4)
        size = 4 - len(self._prefix)
        number = self._counters[self._prefix] = (self._counters[self._prefix] + 1) % (1 << 8 * size)
        return self._prefix + number.to_bytes(size, "big")

    def use_prefix(self, prefix: bytes, start: int) -> None:
        """Let new extranonces begin with a prefix that no other server has, counted from `start` when the prefix
        is used first. Those of existing sessions stay. Bound of the counters: the prefixes, each of one byte."""
        self._prefix = prefix
        self._counters.setdefault(prefix, start)

    def opened(self, session: Resumable) -> None:
        """Add a new session to the live ones."""
        self._live[session.state.session_id] = session

    def resume(self, session: Resumable, session_id: str, now: float) -> bool:
        """Give `session` the state that it asks for. Return False if that state is no longer known.

        A session may be resumed while its connection still seems alive: the miner notices first that it is dead.
        """
        owner = self._live.get(session_id)
        if owner is session:
            return True
        if owner is not None:
            state, own = owner.state, session.state
            if own.jobs:
                # The solutions of these jobs are forgotten: their extranonce1 must never get the same work again.
                del self._live[own.session_id]
                self._extranonces.discard(own.extranonce1)
                own = self.new_state(own.vardiff)
            self._live[state.session_id], self._live[own.session_id] = session, owner
            session.state = state
            owner.lose_to_takeover(own, now)
            self.taken_over.fire(owner)
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

    def restore_live(self, session: Resumable, state: MinerState) -> None:
        """Give a new session the state that it had in an earlier process. Raises ParseError if another one has
        it."""
        own = session.state
        del self._live[own.session_id]
        self._extranonces.discard(own.extranonce1)
        self._claim(state)
        session.state = state
        self._live[state.session_id] = session

    def restore_saved(self, state: MinerState, *, expires: float, site: str) -> None:
        """Save a state of an earlier process. Raises ParseError if another session has it."""
        self._claim(state)
        evicted = self._saved.put(state.session_id, (state, expires), site)
        if evicted is not None:
            self._extranonces.discard(evicted[0].extranonce1)

    def _claim(self, state: MinerState) -> None:
        known = state.session_id in self._live or state.session_id in self._saved
        if known or state.extranonce1 in self._extranonces:
            raise ParseError("two sessions with one id or one extranonce1")
        self._extranonces.add(state.extranonce1)

    def saved(self) -> list[tuple[MinerState, float, str]]:
        """Return (state, time of expiry, site) of the saved states, in the order of expiry."""
        return [(*self._saved[session_id], self._saved.group_of(session_id)) for session_id in self._saved]

    def closed(self, session: Resumable, *, site: str, worth_keeping: bool, now: float) -> None:
        """Account for the end of a connection of `site`. If `worth_keeping`, its state can be resumed for a
        while."""
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
        """Forget saved states whose time is over, a portion in each call."""
        for _ in range(_EXPIRED_AT_ONCE):
            if not self._saved:
                return
            session_id = next(iter(self._saved))
            state, expires = self._saved[session_id]
            if now < expires:
                return
            self._saved.pop(session_id)
            self._extranonces.discard(state.extranonce1)

    # --- sessions that move between servers ----------------------------------------------------------------

    def live_sessions(self) -> Iterator[Resumable]:
        """Iterate over the sessions that have a connection."""
        return iter(self._live.values())

    def saved_states(self) -> Iterator[MinerState]:
        """Iterate over the states that can be resumed."""
        return (state for state, _ in self._saved.values())

    def get(self, session_id: str) -> MinerState | None:
        """Return the state of a session, live or saved; None if it is not known."""
        session = self._live.get(session_id)
        if session is not None:
            return session.state
        saved = self._saved.get(session_id)
        return None if saved is None else saved[0]

    def adopt(self, state: MinerState, *, site: str, now: float) -> bool:
        """Add a state of another server, so that a connection of `site` can resume it. Return False if its
        extranonce1 or its id is in use."""
        if state.extranonce1 in self._extranonces or self.get(state.session_id) is not None or self._timeout <= 0:
            return False
        self._extranonces.add(state.extranonce1)
        evicted = self._saved.put(state.session_id, (state, now + self._timeout), site)
        if evicted is not None:
            self._extranonces.discard(evicted[0].extranonce1)
        return True

    def give_up(self, session_id: str, now: float) -> None:
        """Forget a session that another server has resumed; its connection continues with a new one, or ends."""
        saved = self._saved.pop(session_id)
        if saved is not None:
            self._extranonces.discard(saved[0].extranonce1)
        owner = self._live.pop(session_id, None)
        if owner is None:
            return
        self._extranonces.discard(owner.state.extranonce1)
        own = self.new_state(owner.state.vardiff.copied())
        self._live[own.session_id] = owner
        owner.lose_to_takeover(own, now)
        self.taken_over.fire(owner)
