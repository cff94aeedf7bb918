"""Sending new work to all connections: job broadcasts in slices, to connections that earn first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from p2pool.base.environment import Environment
from p2pool.base.garbage import CollectorPause
from p2pool.base.observable import Event
from p2pool.stratum.job_registry import JobRegistry
from p2pool.stratum.session import Session

SLICE = 100
"""Connections served between two turns of the reactor, so that a broadcast never blocks it for long."""
PAUSE = 0.1
"""Seconds. Two share-chain tips within this time cause one more broadcast, not two."""


class Serve(Protocol):
    """Run a step for one connection and write its output."""

    def __call__(self, session: Session, step: Callable[..., None], *arguments: object) -> None:
        """Run `step` with the arguments; `session` is the connection that it is for."""


class JobBroadcast:
    """Starts broadcasts of new jobs, and runs them in slices.

    ::

        IDLE --new work--> RUNNING --all connections served--> IDLE
          |                 ^   |
          |                 |   +--newer work: start over from the first connection
          +--> WAITING -----+
               for up to PAUSE: a broadcast started less than PAUSE ago, or newer work is on its way

    A new previous block is broadcast at once, since everything found on the old one is worthless. So is a new
    share-chain tip, unless a broadcast started less than PAUSE ago, or newer work is known to be on its way. A
    broadcast that is running continues with the newest work, from the first connection. The garbage collector
    pauses during a broadcast, which makes thousands of objects that are all kept.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        registry: JobRegistry,
        sessions: Iterable[Session],
        serve: Serve,
    ) -> None:
        self._reactor = environment.reactor
        self._clock = environment.clock
        self._registry = registry
        self._sessions = sessions
        self._serve = serve
        self.first_sent: Event[int] = Event()
        """Fires with the previous block of the work when a broadcast has sent its first job."""
        self.all_served: Event[float] = Event()
        """Fires at the end of a broadcast, with the seconds since there was work that its last connection
        lacked."""
        self._previous_block: int | None = None
        self._broadcast: Iterator[None] | None = None
        """The rest of the running broadcast; each step serves one slice."""
        self._started: float | None = None
        """When the last broadcast started."""
        self._pending_since: float | None = None
        """Since when there is work of which no broadcast has started."""
        self._running_since = 0.0
        """Since when there is the oldest work that the running broadcast sends."""
        self._waiting: IDelayedCall | None = None
        self._next_slice: IDelayedCall | None = None
        self._pause = CollectorPause(environment.reactor.seconds)

    def work_changed(self, previous_block: int, *, clean: bool, more_to_come: bool) -> None:
        """Start a broadcast of new work, or schedule one."""
        self._registry.work_changed(previous_block, clean, self._clock())
        if self._pending_since is None:
            self._pending_since = self._reactor.seconds()
        new_block, self._previous_block = previous_block != self._previous_block, previous_block
        if self._waiting is not None and not new_block:
            return  # the broadcast that waits will send the newest work there is
        delay = PAUSE if more_to_come else 0.0
        if not new_block and self._started is not None:
            delay = max(delay, self._started + PAUSE - self._reactor.seconds())
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if delay > 0:
            self._waiting = self._reactor.callLater(delay, self._start)
        else:
            self._start()

    def stop(self) -> None:
        """Cancel the running broadcast and the one that waits."""
        for call in (self._waiting, self._next_slice):
            if call is not None:
                call.cancel()
        self._waiting = self._next_slice = self._broadcast = None
        self._pause.end()

    def _start(self) -> None:
        self._waiting = None
        self._started = self._reactor.seconds()
        if self._broadcast is None and self._pending_since is not None:
            self._running_since = self._pending_since  # else some still lack the work of the running broadcast
        self._pending_since = None
        self._pause.begin()
        self._broadcast = self._serve_all()
        if self._next_slice is None:
            self._advance()

    def _serve_all(self) -> Iterator[None]:
        sessions = list(self._sessions)
        earning = [session for session in sessions if session.earning]
        idle = [session for session in sessions if not session.earning]
        now, is_first_sent = self._clock(), False
        for count, session in enumerate([*earning, *idle], 1):
            self._serve(session, session.send_work, now)
            if not is_first_sent and session.working and self._previous_block is not None:
                is_first_sent = True
                self.first_sent.fire(self._previous_block)
            if count % SLICE == 0:
                yield
                now = self._clock()
        if sessions:
            self.all_served.fire(self._reactor.seconds() - self._running_since)

    def _advance(self) -> None:
        self._next_slice = None
        if self._broadcast is None:
            return
        try:
            next(self._broadcast)
        except StopIteration:
            self._broadcast = None
            self._pause.end()
            if self._waiting is None:
                self._registry.sent_to_all()
            return
        self._pause.check()
        self._next_slice = self._reactor.callLater(0, self._advance)
