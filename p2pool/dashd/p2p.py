"""The p2p link to dashd: fast notice of new blocks, and a second road for found ones. A help, never a
condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, IDelayedCall, ITCPTransport
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.errors import ParseError
from p2pool.dashd.p2p_session import Heard, P2pSession, pack_block

HANDSHAKE_TIME = 10.0
SILENCE_TIME = 600.0
"""dashd pings every two minutes: after so many seconds without a byte the connection is dead."""
MAX_UNSENT = 64 * 1024 * 1024
"""Bytes of blocks that a node may leave unread before it is given up: more than thirty of the largest."""
_log = Logger(namespace="p2pool.dashd")


class P2pOwner(Protocol):
    """Whoever made a connection hears of it."""

    def p2p_ready(self, connection: P2pConnection) -> None:
        """The handshake is done."""

    def p2p_heard(self, connection: P2pConnection, heard: Heard) -> None:
        """News, after the handshake."""

    def p2p_lost(self, connection: P2pConnection, why: str) -> None:
        """It is over; `why` is empty where nobody did anything wrong."""


class P2pConnection(TwistedProtocol):
    """Moves bytes between a transport and a session, and knows when to hang up."""

    def __init__(self, reactor: Any, session: P2pSession, owner: P2pOwner) -> None:
        self.session = session
        self._reactor = reactor
        self._owner = owner
        self._deadline: IDelayedCall | None = None
        self._closing = False
        self._why = ""
        self._unsent = 0
        self._was_ready = False

    @property
    def over(self) -> bool:
        """Whether it has ended, or is about to."""
        return self._closing

    def connectionMade(self) -> None:
        """Twisted's."""
        self._allow(HANDSHAKE_TIME)
        self.write(self.session.hello())

    def write(self, data: bytes) -> None:
        """Send."""
        if data and self.transport is not None and not self._closing:
            self.transport.write(data)

    def _allow(self, seconds: float) -> None:
        """Hang up when so much time has passed."""
        self._stop_waiting()
        self._deadline = self._reactor.callLater(seconds, self.hang_up, "silent for too long")

    def _stop_waiting(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()

    def hang_up(self, why: str = "") -> None:
        """End it, for this reason."""
        self._closing, self._why = True, self._why or why
        self._stop_waiting()
        if self.transport is not None:
            # Not loseConnection: it waits for the other side to take what is still to be written.
            cast(ITCPTransport, self.transport).abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Twisted's."""
        if self._closing:
            return
        try:
            heard = self.session.receive(data)
        except ParseError as error:
            self.hang_up(str(error))
            return
        self._unsent = 0  # it reads and answers
        self.write(heard.output)
        if not self.session.ready:
            return
        self._allow(SILENCE_TIME)
        if not self._was_ready:
            self._was_ready = True
            self._owner.p2p_ready(self)
        if heard.blocks or heard.headers or heard.addresses:
            self._owner.p2p_heard(self, heard)

    def send_block(self, message: bytes) -> bool:
        """Send a block's message; False where that is not possible."""
        if not self.session.ready or self._closing:
            return False
        self._unsent += len(message)
        if self._unsent > MAX_UNSENT:
            self.hang_up("it does not read what it is sent")
            return False
        self.write(message)
        return True

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted's."""
        self._stop_waiting()
        self._closing = True
        self._owner.p2p_lost(self, self._why)


class _LinkFactory(Factory):
    noisy = False

    def __init__(self, link: DashdLink) -> None:
        self._link = link

    def buildProtocol(self, addr: IAddress | None) -> P2pConnection:
        """Twisted's."""
        return self._link.new_connection()


class DashdLink(ClientService):
    """Keeps one connection to a dashd's p2p port and calls `announced(hash)` at each new block."""

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        magic: bytes,
        sub_version: bytes,
        clock: Callable[[], float],
        random_number: Callable[[], int],
        announced: Callable[[int], None],
    ) -> None:
        self.up: P2pConnection | None = None
        """The connection whose handshake is done."""
        self._reactor = reactor
        self._announced = announced
        self._magic = magic
        self._sub_version = sub_version
        self._clock_now = clock
        self._random_number = random_number
        super().__init__(
            HostnameEndpoint(reactor, host, port),
            _LinkFactory(self),
            retryPolicy=backoffPolicy(initialDelay=1.0, maxDelay=60.0),
            clock=reactor,
        )

    def new_connection(self) -> P2pConnection:
        """A protocol for a new connection."""
        session = P2pSession(self._magic, self._sub_version, self._random_number(), self._clock_now())
        return P2pConnection(self._reactor, session, self)

    def p2p_ready(self, connection: P2pConnection) -> None:
        """See P2pOwner."""
        _log.debug("dashd's p2p link is up")
        self.up = connection

    def p2p_heard(self, connection: P2pConnection, heard: Heard) -> None:
        """See P2pOwner."""
        if heard.blocks:
            self._announced(heard.blocks[-1])
        if heard.headers:
            self._announced(heard.headers[-1].hash())

    def p2p_lost(self, connection: P2pConnection, why: str) -> None:
        """See P2pOwner."""
        if self.up is connection:
            self.up = None
        if why:
            _log.warn("dashd's p2p link closed: {why}", why=why)

    def send_block(self, data: bytes) -> int:
        """Give dashd a packed block that we found; how many connections took it."""
        return int(self.up is not None and self.up.send_block(pack_block(self._magic, data)))
