"""All miners' connections together: who is there, and getting new work to them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2pool.stratum.jobs import JobBook
from p2pool.stratum.ports import StatsPort, WorkPort
from p2pool.stratum.protocol import StratumProtocol
from p2pool.stratum.session import Session, SessionSettings

_log = Logger(namespace="p2pool.stratum")

_SLICE = 200
"""Connections served between two turns of the reactor, so that a round never blocks it for long."""


class StratumServer(Factory):
    """Factory of connections and fan-out of work. Bound: `max_connections`."""

    noisy = False

    def __init__(
        self,
        settings: SessionSettings,
        work: WorkPort,
        stats: StatsPort,
        reactor: IReactorTime,
        clock: Callable[[], float],
        max_connections: int = 10_000,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._work = work
        self._stats = stats
        self._reactor = reactor
        self._max_connections = max_connections
        self._book = JobBook(work)
        self._connections: dict[bytes, StratumProtocol] = {}
        self._round: Iterator[None] | None = None
        self._next_round: bool | None = None
        self.suspended = False
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = reactor

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch time limits."""
        self._ticker.start(1.0, now=False)

    def stop(self) -> None:
        """Close all connections; miners go to their backup pools."""
        if self._ticker.running:
            self._ticker.stop()
        self.suspend()

    def suspend(self) -> None:
        """The same for a time: new connections are closed at once until `resume`."""
        self.suspended = True
        for protocol in list(self._connections.values()):
            if protocol.transport is not None:
                protocol.transport.loseConnection()

    def resume(self) -> None:
        """Miners are welcome again."""
        self.suspended = False

    def __len__(self) -> int:
        return len(self._connections)

    def buildProtocol(self, address: IAddress | None) -> StratumProtocol:
        """Twisted's: a connection for `address`."""
        if address is None:
            raise ValueError("a connection without an address")
        return StratumProtocol(self, address)

    def register(self, protocol: StratumProtocol) -> Session | None:
        """A session with an extranonce1 of its own, or None where the house is full or closed."""
        if self.suspended:
            return None
        if len(self._connections) >= self._max_connections:
            _log.warn("refusing {host}: {count} connections", host=protocol.host, count=len(self._connections))
            return None
        extranonce1 = secrets.token_bytes(4)
        while extranonce1 in self._connections:
            extranonce1 = secrets.token_bytes(4)
        session = Session(self.settings, self._work, self._stats, self._book, extranonce1, self.clock())
        self._connections[extranonce1] = protocol
        self._stats.record_connected()
        return session

    def unregister(self, session: Session) -> None:
        """The connection is gone."""
        del self._connections[session.extranonce1]
        self._stats.record_disconnected()

    # --- fan-out -----------------------------------------------------------------------------------------

    def work_changed(self, parent_block: int, clean: bool) -> None:
        """There is new work: send it to all, those that earn first. A round under way starts over with it."""
        self._book.work_changed(parent_block, self.clock())
        clean = clean or bool(self._next_round)
        self._next_round = clean
        running, self._round = self._round is not None, self._serve_all(clean)
        if not running:
            self._advance()

    def _serve_all(self, clean: bool) -> Iterator[None]:
        order = sorted(self._connections.values(), key=lambda p: p.session is None or not p.session.earning)
        now = self.clock()
        for count, protocol in enumerate(order, 1):
            session = protocol.session
            if session is not None:
                self._guarded(protocol, session.send_work, now, clean)
            if count % _SLICE == 0:
                yield
                now = self.clock()

    def _advance(self) -> None:
        if self._round is None:
            return
        try:
            next(self._round)
        except StopIteration:
            self._round = self._next_round = None
            return
        self._reactor.callLater(0, self._advance)

    def _tick(self) -> None:
        now = self.clock()
        for protocol in list(self._connections.values()):
            if protocol.session is not None:
                self._guarded(protocol, protocol.session.tick, now)

    def _guarded(self, protocol: StratumProtocol, step: Callable[..., None], *arguments: object) -> None:
        """One connection's step of a round and what it has to say. A defect that only one connection meets ends
        that connection: the others still get their work."""
        try:
            step(*arguments)
            protocol.flush()
        except Exception:
            _log.failure("serving {host} failed", host=protocol.host)
            protocol.abort()
