"""The p2p link to dashd: the fastest notice of a new block. A help, never a condition.

`LinkSession` is pure: bytes in, (bytes out, whether a block was announced). `DashdLink` keeps it connected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, IDelayedCall, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.errors import ParseError
from p2pool.dash.messages import (
    INVENTORY_BLOCK,
    INVENTORY_COMPACT_BLOCK,
    MAX_PAYLOAD,
    NODE_NETWORK,
    PROTOCOL_VERSION,
    Headers,
    Inv,
    Message,
    NetworkAddress,
    Ping,
    Pong,
    Verack,
    Version,
    parse_message,
)
from p2pool.wire.framer import Framer, frame

HANDSHAKE_TIME = 10.0
SILENCE_TIME = 600.0
"""dashd pings every two minutes: after so many seconds without a byte the connection is dead."""
_UNSPECIFIED = "0.0.0.0"
_BLOCKS = frozenset({INVENTORY_BLOCK, INVENTORY_COMPACT_BLOCK})
_log = Logger(namespace="p2pool.dashd")


class LinkSession:
    """One connection to dashd. ParseError where it sends something malformed."""

    def __init__(self, magic: bytes, sub_version: bytes, nonce: int, now: float) -> None:
        self._framer = Framer(magic, MAX_PAYLOAD)
        self._magic = magic
        self.ready = False
        address = NetworkAddress(NODE_NETWORK, _UNSPECIFIED, 0)
        self._version = Version(
            version=PROTOCOL_VERSION,
            services=0,
            time=int(now),
            receiver=address,
            sender=address,
            nonce=nonce,
            sub_version=sub_version,
            start_height=0,
            relay=False,
        )

    def hello(self) -> bytes:
        """What we say first."""
        return self._pack(self._version)

    def _pack(self, message: Message) -> bytes:
        return frame(self._magic, message.command, message.pack())

    def block(self, data: bytes) -> bytes:
        """A packed block, as it is sent."""
        return frame(self._magic, "block", data)

    def receive(self, data: bytes) -> tuple[bytes, bool]:
        """(what to send, whether dashd told of a block)."""
        output: list[bytes] = []
        announced = False
        for command, payload in self._framer.feed(data):
            match parse_message(command, payload):
                case Version():
                    output.append(self._pack(Verack()))
                case Verack():
                    self.ready = True
                case Ping(nonce):
                    output.append(self._pack(Pong(nonce)))
                case Inv(items):
                    announced = announced or any(item.kind in _BLOCKS for item in items)
                case Headers(headers):
                    announced = announced or bool(headers)
        return b"".join(output), announced


class _LinkProtocol(Protocol):
    """Moves bytes."""

    def __init__(self, link: DashdLink) -> None:
        self._link = link
        self._session = link.new_session()
        self._deadline: IDelayedCall | None = None
        self._closing = False

    def connectionMade(self) -> None:
        """Twisted's."""
        self._allow(HANDSHAKE_TIME)
        self._write(self._session.hello())

    def _write(self, data: bytes) -> None:
        if data and self.transport is not None:
            self.transport.write(data)

    def _allow(self, seconds: float) -> None:
        """Hang up when so much time has passed."""
        self._stop_waiting()
        self._deadline = self._link.reactor.callLater(seconds, self._hang_up)

    def _stop_waiting(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()

    def _hang_up(self) -> None:
        self._closing = True
        self._stop_waiting()
        if self.transport is not None:
            # Not loseConnection: it waits for the other side to take what is still to be written.
            cast(ITCPTransport, self.transport).abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Twisted's."""
        if self._closing:
            return
        was_ready = self._session.ready
        try:
            output, announced = self._session.receive(data)
        except ParseError as error:
            _log.warn("dashd's p2p link closed: {error}", error=error)
            self._hang_up()
            return
        self._write(output)
        if self._session.ready:
            self._allow(SILENCE_TIME)
            if not was_ready:
                _log.debug("dashd's p2p link is up")
                self._link.up = self
        if announced:
            self._link.block_announced()

    def send_block(self, data: bytes) -> None:
        """Send a packed block."""
        self._write(self._session.block(data))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted's."""
        self._stop_waiting()
        if self._link.up is self:
            self._link.up = None


class _LinkFactory(Factory):
    noisy = False

    def __init__(self, link: DashdLink) -> None:
        self._link = link

    def buildProtocol(self, addr: IAddress | None) -> _LinkProtocol:
        """Twisted's."""
        return _LinkProtocol(self._link)


class DashdLink(ClientService):
    """Keeps one connection to dashd's p2p port and calls `block_announced` at each new block."""

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        magic: bytes,
        sub_version: bytes,
        clock: Callable[[], float],
        random_number: Callable[[], int],
        block_announced: Callable[[], None],
    ) -> None:
        self.reactor = reactor
        self.up: _LinkProtocol | None = None
        """The connection whose handshake is done."""
        self.block_announced = block_announced
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

    def new_session(self) -> LinkSession:
        """A session for a new connection."""
        return LinkSession(self._magic, self._sub_version, self._random_number(), self._clock_now())

    def send_block(self, data: bytes) -> bool:
        """Give dashd a packed block that we found; False where there is no connection."""
        if self.up is None:
            return False
        self.up.send_block(data)
        return True
