"""New work to everyone: rounds over all connections, in slices, those that earn first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2pool.base.observable import Event
from p2pool.stratum.jobs import JobRegistry
from p2pool.stratum.session import Session

SLICE = 100
"""Connections served between two turns of the reactor, so that a round never blocks it for long."""
PAUSE = 0.1
"""Seconds within which two share-chain tips cause one round more, not two."""


class Serve(Protocol):
    """How a step is done for one connection."""

    def __call__(self, session: Session, step: Callable[..., None], *arguments: object) -> None: ...


class FanOut:
    """When rounds begin and how they go.

    A new parent block is told at once, as everything found on the old one is worthless. So is a new share-chain
    tip, unless a round began less than PAUSE ago, or newer work is known to be on its way. A round under way goes
    on with the newest work, from the beginning.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        registry: JobRegistry,
        sessions: Iterable[Session],
        serve: Serve,
        clock: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._registry = registry
        self._sessions = sessions
        self._serve = serve
        self._clock = clock
        self.first_sent: Event[int] = Event()
        """The parent block of a round, once its first job left."""
        self.all_served: Event[float] = Event()
        """A round is over: seconds since there was work that its last connection had not heard of."""
        self._parent_block: int | None = None
        self._round: Iterator[None] | None = None
        self._began: float | None = None
        self._untold: float | None = None
        """Since when there is work that no round has begun to tell of."""
        self._telling = 0.0
        """Since when there is the oldest work that the round under way tells of."""
        self._waiting: IDelayedCall | None = None
        self._next_slice: IDelayedCall | None = None

    def work_changed(self, parent_block: int, clean: bool, more_to_come: bool) -> None:
        """There is new work."""
        self._registry.work_changed(parent_block, clean, self._clock())
        if self._untold is None:
            self._untold = self._reactor.seconds()
        new_parent, self._parent_block = parent_block != self._parent_block, parent_block
        if self._waiting is not None and not new_parent:
            return  # the round that waits will take the newest work there is
        delay = PAUSE if more_to_come else 0.0
        if not new_parent and self._began is not None:
            delay = max(delay, self._began + PAUSE - self._reactor.seconds())
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if delay > 0:
            self._waiting = self._reactor.callLater(delay, self._begin)
        else:
            self._begin()

    def stop(self) -> None:
        """No more rounds."""
        for call in (self._waiting, self._next_slice):
            if call is not None:
                call.cancel()
        self._waiting = self._next_slice = self._round = None

    def _begin(self) -> None:
        self._waiting = None
        self._began = self._reactor.seconds()
        if self._round is None and self._untold is not None:
            self._telling = self._untold  # else some have not heard yet of what the round under way tells
        self._untold = None
        self._round = self._serve_all()
        if self._next_slice is None:
            self._advance()

    def _serve_all(self) -> Iterator[None]:
        sessions = list(self._sessions)
        earning = [session for session in sessions if session.earning]
        idle = [session for session in sessions if not session.earning]
        now, told = self._clock(), False
        for count, session in enumerate([*earning, *idle], 1):
            self._serve(session, session.send_work, now)
            if not told and session.working and self._parent_block is not None:
                told = True
                self.first_sent.fire(self._parent_block)
            if count % SLICE == 0:
                yield
                now = self._clock()
        if sessions:
            self.all_served.fire(self._reactor.seconds() - self._telling)

    def _advance(self) -> None:
        self._next_slice = None
        if self._round is None:
            return
        try:
            next(self._round)
        except StopIteration:
            self._round = None
            return
        self._next_slice = self._reactor.callLater(0, self._advance)
