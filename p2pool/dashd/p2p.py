"""Connections of Dash's p2p protocol, and the link to a dashd: fast notification of new blocks, and a second
delivery channel for found ones. The node also works without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IConsumer, IDelayedCall, IPushProducer, ITCPTransport
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from p2pool.base.backoff import reconnect_policy
from p2pool.base.bounded import BoundedSet
from p2pool.base.endpoints import host_and_port
from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.hosts import host_key
from p2pool.base.outgoing import endpoint_to
from p2pool.base.turns import Turns
from p2pool.dashd.p2p_session import Heard, P2pSession, pack_block

HANDSHAKE_TIME = 10.0
SILENCE_TIME = 600.0
"""dashd pings every two minutes: after so many seconds without a byte the connection is dead."""
MAX_UNSENT = 16 * 1024 * 1024
"""Bytes that a node may leave unread before it is disconnected: eight of the largest blocks."""
MAX_RECEIVED, RECEIVE_RATE = 8 * 1024 * 1024, 64 * 1024
"""Bytes that a node may send at once, and bytes a second that it may go on with. What this node requests is a few
kilobytes per block; the most that can come unrequested is one message of 3 MiB."""
MAX_SENT = 100
"""Blocks that a connection remembers to have been sent."""
_FRAME_SIZE, _HEADER_SIZE = 24, 80
_log = Logger(namespace="p2pool.dashd")


class P2pOwner(Protocol):
    """What a connection calls: the object that made it."""

    def p2p_ready(self, connection: P2pConnection) -> None:
        """Handle the end of the handshake."""

    def p2p_heard(self, connection: P2pConnection, heard: Heard) -> None:
        """Handle what the node sent after the handshake."""

    def p2p_lost(self, connection: P2pConnection, why: str) -> None:
        """Handle the end of the connection; `why` is empty if nobody did anything wrong."""


@implementer(IPushProducer)
class P2pConnection(TwistedProtocol):
    """Moves bytes between a transport and a session, and disconnects when it must.

    Messages are handled in `turns`, which it shares with others; without these, at once.

    It is its own transport's producer, as this is how a transport signals that it holds unsent bytes, and that it
    has none any more.
    """

    def __init__(
        self,
        environment: Environment,
        session: P2pSession,
        owner: P2pOwner,
        *,
        turns: Turns | None = None,
        host: str = "",
    ) -> None:
        self.session = session
        self.host_key = host_key(host)
        self._turns = turns
        self._reactor = environment.reactor
        self._owner = owner
        self._deadline: IDelayedCall | None = None
        self._closing = False
        self._why = ""
        self._unsent = 0
        self._clogged = False
        """Whether the transport still holds bytes that the other side has not taken."""
        self._may_receive, self._received_at = float(MAX_RECEIVED), self._reactor.seconds()
        self._sent: BoundedSet[bytes] = BoundedSet(MAX_SENT)
        """Headers of blocks that were sent. A node has them, or would refuse them again and may ban this node for
        it."""
        self._was_ready = False

    @property
    def over(self) -> bool:
        """Return whether it has ended, or is about to."""
        return self._closing

    @override
    def connectionMade(self) -> None:
        cast(IConsumer, self.transport).registerProducer(self, True)
        self._deadline = self._reactor.callLater(
            HANDSHAKE_TIME, self.disconnect, "it has sent nothing for too long"
        )
        self.write(self.session.hello())

    def write(self, data: bytes) -> None:
        """Send bytes, or disconnect if the other side has left too many unread."""
        if not data or self.transport is None or self._closing:
            return
        self._unsent += len(data)
        if self._unsent > MAX_UNSENT:
            self.disconnect("it does not read what it is sent")
            return
        self.transport.write(data)
        if not self._clogged:
            self._unsent = 0

    def pauseProducing(self) -> None:
        """Note that the transport holds too many unsent bytes."""
        self._clogged = True

    def resumeProducing(self) -> None:
        """Note that the transport has sent all bytes."""
        self._clogged, self._unsent = False, 0

    def stopProducing(self) -> None:
        """Do nothing: the connection is lost, and `connectionLost` is called as well."""

    def _stop_waiting(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()

    def disconnect(self, why: str = "") -> None:
        """End the connection, for this reason."""
        if self._closing:
            return
        self._closing, self._why = True, why
        self._stop_waiting()
        if self.transport is not None:
            # Not loseConnection: it waits for the other side to take what is still to be written.
            cast(ITCPTransport, self.transport).abortConnection()

    @override
    def dataReceived(self, data: bytes) -> None:
        if self._closing:
            return
        now = self._reactor.seconds()
        refilled = self._may_receive + (now - self._received_at) * RECEIVE_RATE
        self._may_receive, self._received_at = min(MAX_RECEIVED, refilled) - len(data), now
        if self._may_receive < 0:
            self.disconnect("it sends too much")
            return
        self.session.add(data)
        if self._turns is not None:
            self._turns.submit(self)
            return
        try:
            self._handle(self.session.receive(b""))
        except ParseError as error:
            self.disconnect(str(error))

    def step(self) -> bool:
        """Handle one message, for `turns`. Return whether there may be another one."""
        if self._closing:
            return False
        try:
            heard = self.session.next_heard()
        except ParseError as error:
            self.disconnect(str(error))
            return False
        if heard is None:
            return False
        self._handle(heard)
        return not self._closing

    def hold(self, held: bool) -> None:
        """Pause or resume reading, for `turns`."""
        transport = cast(Any, self.transport)
        if transport is not None and not self._closing:
            transport.pauseProducing() if held else transport.resumeProducing()

    def failed(self, error: Exception) -> None:
        """Log a bug in the handling of a message, and disconnect."""
        _log.failure("internal error while handling a message from {host}", Failure(error), host=self.host_key)
        self.disconnect()

    def _handle(self, heard: Heard) -> None:
        self.write(heard.output)
        if not self.session.ready or self._deadline is None:
            return
        self._deadline.reset(SILENCE_TIME)
        if not self._was_ready:
            self._was_ready = True
            self._owner.p2p_ready(self)
        if heard.blocks or heard.headers or heard.addresses:
            self._owner.p2p_heard(self, heard)

    def needs(self, data: bytes) -> bool:
        """Return whether it may take a block that it was not sent yet."""
        return self.session.ready and not self._closing and data[:_HEADER_SIZE] not in self._sent

    def send_block(self, message: bytes) -> bool:
        """Send a block's message. Return False if that is not possible."""
        if not self.session.ready or self._closing:
            return False
        self._sent.add(message[_FRAME_SIZE : _FRAME_SIZE + _HEADER_SIZE])
        self.write(message)
        return not self._closing

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_waiting()
        self._closing = True
        if self._turns is not None:
            self._turns.forget(self)
        self._owner.p2p_lost(self, self._why)


class _LinkFactory(Factory):
    noisy = False

    def __init__(self, link: DashdLink) -> None:
        self._link = link

    @override
    def buildProtocol(self, addr: IAddress | None) -> P2pConnection:
        return self._link.new_connection()


class DashdLink(ClientService, P2pOwner):
    """Keeps one connection to a dashd's p2p port and calls `announced(hash)` at each new block."""

    def __init__(
        self,
        environment: Environment,
        *,
        host: str,
        port: int,
        magic: bytes,
        sub_version: bytes,
        announced: Callable[[int], None],
    ) -> None:
        self.up: P2pConnection | None = None
        """The connection whose handshake is done."""
        self._environment = environment
        self._announced = announced
        self._name = host_and_port(host, port)
        self._magic = magic
        self._sub_version = sub_version
        self._newest: P2pConnection | None = None
        self._attempts = 0
        """Attempts in a row without a handshake."""
        self._wait_after = reconnect_policy(environment.chance)
        self._complaint = ""
        """The reason that was logged last for the end of a connection."""
        super().__init__(
            endpoint_to(environment, host, port, named=True),
            _LinkFactory(self),
            retryPolicy=self._pause,
            clock=environment.reactor,
        )

    def _pause(self, attempt: int) -> float:
        """Return the seconds until the next attempt. Twisted's own count begins anew with each connection, even to
        something that is not dashd."""
        self._attempts += 1
        return self._wait_after(self._attempts)

    def stopService(self) -> Deferred[None]:
        """End the connection. What dashd has not read is given up: waiting for it could delay the end of the
        process."""
        stopping = super().stopService()
        if self._newest is not None:
            self._newest.disconnect()
        return stopping

    def new_connection(self) -> P2pConnection:
        """Return a protocol for a new connection."""
        session = P2pSession(
            self._magic,
            sub_version=self._sub_version,
            nonce=self._environment.nonce(),
            now=self._environment.clock(),
        )
        self._newest = P2pConnection(self._environment, session, self)
        return self._newest

    @override
    def p2p_ready(self, connection: P2pConnection) -> None:
        _log.debug("connected to dashd at {name} over p2p", name=self._name)
        self.up = connection
        self._attempts = 0

    @override
    def p2p_heard(self, connection: P2pConnection, heard: Heard) -> None:
        self._complaint = ""  # it is of use: a problem from now on is a new one
        if heard.blocks:
            self._announced(heard.blocks[-1])
        if heard.headers:
            self._announced(heard.headers[-1].hash())

    @override
    def p2p_lost(self, connection: P2pConnection, why: str) -> None:
        if self.up is connection:
            self.up = None
        if why and why != self._complaint:
            self._complaint = why
            _log.warn("p2p connection to dashd at {name} closed: {why}; reconnecting", name=self._name, why=why)

    def send_block(self, data: bytes) -> int:
        """Send dashd a packed block that the pool found, once per connection. Return how many connections took
        it."""
        up = self.up
        return int(up is not None and up.needs(data) and up.send_block(pack_block(self._magic, data)))
