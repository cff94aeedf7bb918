"""Connections that are closed by the server, but still read for a moment (a lingering close).

A solved block may be under way when the server decides to close a connection, so what the miner has already sent
is still read.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final, Generic, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime

from p2pool.base.fair import FairQueue

LINGER_TIME: Final = 2.0
"""Seconds for which a closed connection is still read."""
MAX_LINGERING: Final = 2000
"""Connections that linger at a time. Beyond it the oldest one of the site with most of them is aborted."""


class Abortable(Hashable, Protocol):
    """A connection that can be ended at once."""

    def abort(self) -> None:
        """End the connection without waiting for anything."""


Connection = TypeVar("Connection", bound=Abortable)


class LingeringConnections(Generic[Connection]):
    """The lingering connections of a server, in the order in which their time ends. Bound: MAX_LINGERING."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._until: dict[Connection, float] = {}
        self._by_site: FairQueue[Connection, str] = FairQueue()

    def __len__(self) -> int:
        return len(self._until)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._until)

    def add(self, connection: Connection, site: str) -> None:
        """Let a connection linger; if there are too many, abort another one."""
        if len(self._until) >= MAX_LINGERING:
            evicted = self._by_site.candidate(site)
            if evicted is not None:
                self.discard(evicted)  # the reactor reports its end later
                evicted.abort()
        self._until[connection] = self._reactor.seconds() + LINGER_TIME
        self._by_site.add(connection, site)

    def discard(self, connection: Connection) -> None:
        """Forget a connection that ended, if it is among them."""
        self._until.pop(connection, None)
        self._by_site.discard(connection)

    def expire(self) -> None:
        """Abort the connections whose time is over; call it every second or so."""
        now = self._reactor.seconds()
        while self._until:
            connection, until = next(iter(self._until.items()))
            if now < until:
                break
            self.discard(connection)
            connection.abort()
