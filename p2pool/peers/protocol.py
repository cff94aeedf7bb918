"""Moves bytes between a socket and a `PeerSession`."""

from __future__ import annotations

from typing import cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IPullProducer, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from p2pool.base.observable import Event
from p2pool.base.ordered_set import OrderedSet
from p2pool.peers.errors import Drop
from p2pool.peers.hub import PeerHub
from p2pool.peers.session import PeerSession

MAX_UNSENT = 8 * 1024 * 1024
"""Bytes that may wait for a slow peer: two of the largest messages and a little more."""


def _plain(host: str) -> str:
    """Return an IPv4 address that came in over IPv6 in its own form, and no scope."""
    return host.removeprefix("::ffff:").partition("%")[0]


@implementer(IPushProducer)
class PeerProtocol(Protocol):
    """One connection. It is its transport's producer, to hear when the other side does not keep up."""

    def __init__(self, factory: PeerFactory) -> None:
        self._factory = factory
        self._ended = False
        self._slow = False
        self._unsent = 0
        self._closed_because: str | None = None
        """Why this node closes the connection though nothing is wrong."""
        self.session: PeerSession | None = None

    @property
    def _socket(self) -> ITCPTransport:
        return cast(ITCPTransport, self.transport)

    @override
    def connectionMade(self) -> None:
        socket = self._socket
        peer, ours = socket.getPeer(), socket.getHost()
        socket.setTcpNoDelay(True)
        socket.setTcpKeepAlive(True)
        socket.registerProducer(self, True)  # type: ignore[attr-defined]
        self.session = self._factory.hub.open(
            host=_plain(peer.host),
            port=int(peer.port),
            incoming=self._factory.incoming,
            ours=(_plain(ours.host), int(ours.port)),
            write=self._write,
            fail=self.fail,
            flow=self._flow,
        )
        self._factory.opened(self)

    def _write(self, data: bytes) -> None:
        if self._ended:
            return
        if self._slow:
            self._unsent += len(data)
            if self._unsent > MAX_UNSENT:
                self._ended = True
                if self.session is not None:
                    self.session.close()  # nothing more of it is read or answered
                self._factory.hub.call_soon(lambda: self.fail(Drop("it does not read what it is sent")))
                return
        self._factory.hub.bytes_sent += len(data)
        self._socket.write(data)

    def pauseProducing(self) -> None:
        """Note that the other side does not keep up: what is sent from now on is counted."""
        self._slow = True

    def resumeProducing(self) -> None:
        """Note that the other side has taken everything."""
        self._slow, self._unsent = False, 0

    def stopProducing(self) -> None:
        """Note that the connection has ended."""
        self._ended = True

    def _flow(self, paused: bool) -> None:
        """Let the peer wait while what it sent is worked through."""
        if self._ended:
            return
        transport = cast(IPullProducer, self.transport)
        if paused:
            transport.pauseProducing()  # type: ignore[attr-defined]
        else:
            transport.resumeProducing()

    @override
    def dataReceived(self, data: bytes) -> None:
        if self._ended or self.session is None:
            return
        self._factory.hub.bytes_received += len(data)
        try:
            self.session.receive(data, self._factory.hub.monotonic())
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End the connection because of an error, which the hub judges."""
        self._ended = True
        if self.session is not None:
            self._factory.hub.close(self.session, error)
        self._socket.abortConnection()

    def close(self, why: str) -> None:
        """End the connection; nothing is wrong."""
        self._ended = True
        self._closed_because = why
        self._socket.abortConnection()

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._ended = True
        if self.session is not None:
            lost = "the peer closed it" if reason.check(ConnectionDone) else "the connection broke"
            self._factory.hub.close(self.session, None, self._closed_because or lost)
        self._factory.lost(self)


class PeerFactory(ServerFactory):
    """Makes connections of one direction; `protocols` are those that are open."""

    noisy = False

    def __init__(self, hub: PeerHub, incoming: bool) -> None:
        self.hub = hub
        self.incoming = incoming
        self.protocols: OrderedSet[PeerProtocol] = OrderedSet()
        self.began: Event[PeerSession] = Event()
        self.ended: Event[PeerSession] = Event()

    @override
    def buildProtocol(self, addr: IAddress | None) -> PeerProtocol | None:
        """Return a protocol for a connection; None to refuse it."""
        if self.incoming and not self.hub.may_accept(_plain(str(getattr(addr, "host", "")))):
            return None
        return PeerProtocol(self)

    def opened(self, protocol: PeerProtocol) -> None:
        """Take note of a connection that was made."""
        self.protocols.add(protocol)
        if protocol.session is not None:
            self.began.fire(protocol.session)

    def lost(self, protocol: PeerProtocol) -> None:
        """Take note of a connection that has ended."""
        self.protocols.discard(protocol)
        if protocol.session is not None:
            self.ended.fire(protocol.session)
