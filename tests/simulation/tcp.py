"""Simulated TCP: connections, listening ports and connectors as Twisted's reactor has them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import (
    CannotListenError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    TCPTimedOutError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import IConnector, IListeningPort, IProtocolFactory, ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.simulation.events import WORLD, SimulatedCall
from tests.simulation.network import LOOPBACK_NAMES, Host, Internet, retransmission

if TYPE_CHECKING:
    from tests.simulation.reactor import SimulatedReactor

_log = Logger(namespace="simulation")

WINDOW = 256 * 1024
"""Bytes that the receiver's system takes of a program that does not read."""
HIGH_WATER = 64 * 1024
"""Bytes waiting to be sent from which on a producer is paused, as in Twisted."""
GIVEN_UP = 900.0
"""Seconds after which unanswered bytes end a connection, as in Linux (tcp_retries2)."""
SYN_GIVEN_UP = 127.0


class _Direction:
    """Bytes on their way from one end to the other, in order."""

    def __init__(self, internet: Internet, source: VirtualConnection, target: VirtualConnection) -> None:
        self._internet = internet
        self._source = source
        self._target = target
        self._segments: deque[tuple[float, bytes, type[Exception] | None]] = deque()
        """(time of arrival, bytes, what ends the connection after them)."""
        self._arrives = 0.0
        self._call: SimulatedCall | None = None
        self._tries = 0
        self._blocked_since: float | None = None
        self.size = 0

    def send(self, data: bytes, end: type[Exception] | None = None) -> None:
        """Send bytes, and the end of the connection."""
        events = self._internet.events
        delay = self._internet.delay(self._source.host, self._target.host, len(data) + 60)
        self._arrives = max(self._arrives, events.now + delay)
        self._segments.append((self._arrives, data, end))
        self.size += len(data)
        if self._call is None:
            self._wait(self._arrives)

    def _wait(self, time: float) -> None:
        self._call = self._internet.events.at(time, WORLD, self._deliver)

    def _deliver(self) -> None:
        self._call = None
        events = self._internet.events
        source, target = self._source.host, self._target.host
        if not self._internet.is_open(source, target):
            self._blocked_since = events.now if self._blocked_since is None else self._blocked_since
            if events.now - self._blocked_since > GIVEN_UP:
                self._segments.clear()
                self._source.end(TCPTimedOutError)
                return
            self._tries += 1
            self._wait(events.now + retransmission(self._tries))
            return
        self._tries, self._blocked_since = 0, None
        while self._segments and self._segments[0][0] <= events.now:
            _, data, end = self._segments.popleft()
            self.size -= len(data)
            self._target.arrived(data, end)
        if self._segments and self._call is None:
            self._wait(max(events.now, self._segments[0][0]))

    def forget(self) -> None:
        """Let nothing arrive that is still under way: the sender has lost its power."""
        self._segments.clear()
        self.size = 0


class _Handle:
    """What a connection has for a socket."""

    def setsockopt(self, *_: object) -> None:
        """Ignore an option."""


_HANDLE = _Handle()


@implementer(ITCPTransport)
class VirtualConnection:
    """One end of a connection, the transport of a protocol."""

    disconnecting = False

    def __init__(self, reactor: SimulatedReactor, local: IPv4Address, remote: IPv4Address) -> None:
        self.reactor = reactor
        self.host: Host = reactor.host
        self.connected = False
        self.protocol: Any = None
        self.ended: Callable[[Failure], None] | None = None
        """Called after the protocol's connectionLost: the connector's."""
        self._local = local
        self._remote = remote
        self._out: _Direction | None = None
        self._buffer: list[bytes] = []
        self._size = 0
        self._flushing = False
        self._inbox: list[bytes] = []
        self._inbox_size = 0
        self._inbox_end: type[Exception] | None = None
        self._reading = True
        self._producer: Any = None
        self._streaming = False
        self._producer_paused = False
        self._peer: VirtualConnection | None = None

    def join(self, peer: VirtualConnection) -> None:
        """Connect this end with the other one."""
        internet = self.reactor.internet
        self._peer, peer._peer = peer, self
        self._out, peer._out = _Direction(internet, self, peer), _Direction(internet, peer, self)

    def begin(self, protocol: Any) -> None:
        """Give the connection to its protocol."""
        self.connected = True
        self.protocol = protocol
        self.reactor.connections[self] = None
        protocol.makeConnection(self)

    # --- writing -----------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes, at the end of the event."""
        if not data or not self.connected or self._out is None:
            return
        self._buffer.append(data)
        self._size += len(data)
        self._pause_producer()
        self._flush_soon()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send several pieces."""
        self.write(b"".join(data))

    def _pause_producer(self) -> None:
        if self._producer is not None and not self._producer_paused and self._size > HIGH_WATER:
            self._producer_paused = True
            self._producer.pauseProducing()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self.reactor.internet.events.at_end_of_event(self._flush)

    def _flush(self) -> None:
        """Hand what was written to the network, as far as the receiver takes it."""
        self._flushing = False
        if not self.connected or self._out is None or self._peer is None or not self.reactor.alive:
            return
        room = WINDOW - self._out.size - self._peer._inbox_size
        if self._buffer and room > 0:
            data = b"".join(self._buffer)
            data, rest = data[:room], data[room:]
            self._buffer = [rest] if rest else []
            self._size = len(rest)
            self._out.send(data)
        if not self._buffer:
            if self._producer is not None and (self._producer_paused or not self._streaming):
                self._producer_paused = False
                self._producer.resumeProducing()
            elif self.disconnecting and self._producer is None:
                self._out.send(b"", ConnectionDone)
                self.end(ConnectionDone)

    # --- reading -----------------------------------------------------------------------------------------

    def arrived(self, data: bytes, end: type[Exception] | None) -> None:
        """Take what the network delivers."""
        if not self.connected:
            if self._peer is not None and self._peer.connected and data and self._out is not None:
                self._out.send(b"", ConnectionLost)  # nobody is there any more: a reset
            return
        peer = self._peer
        if peer is not None and data:
            self.reactor.internet.delivered(peer.host, self.host, data)
        if self._reading and not self._inbox and not self.reactor.frozen:
            self._receive(data, end)
        else:
            if data:
                self._inbox.append(data)
                self._inbox_size += len(data)
            self._inbox_end = self._inbox_end or end
        if peer is not None and peer._buffer:
            peer._flush_soon()

    def _receive(self, data: bytes, end: type[Exception] | None) -> None:
        events, before = self.reactor.internet.events, self.reactor.internet.events.owner
        events.owner = self.reactor
        try:
            if data:
                self.protocol.dataReceived(data)
        except Exception:
            _log.failure("Unhandled error in a protocol")
            self.abortConnection()
        if end is not None and self.connected:
            self.end(end)
        events.owner = before

    def pauseProducing(self) -> None:
        """Read no more."""
        self._reading = False

    def resumeProducing(self) -> None:
        """Read again, first what has come meanwhile."""
        if self.connected and not self.disconnecting and not self._reading:
            self._reading = True
            self.read_soon()

    def read_soon(self) -> None:
        """Read what has come, in the next turn."""
        self.reactor.callLater(0, self._read_inbox)

    def _read_inbox(self) -> None:
        while self._reading and self.connected and (self._inbox or self._inbox_end is not None):
            data = self._inbox.pop(0) if self._inbox else b""
            self._inbox_size -= len(data)
            end = None if self._inbox else self._inbox_end
            self._inbox_end = None if end is not None else self._inbox_end
            self._receive(data, end)
        if self._peer is not None and self._peer._buffer:
            self._peer._flush_soon()

    def stopProducing(self) -> None:
        """Close the connection, as Twisted does for a consumer that wants no more."""
        self.loseConnection()

    # --- end ---------------------------------------------------------------------------------------------

    def loseConnection(self, reason: object = None) -> None:
        """Close the connection when all is sent."""
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            self._flush_soon()

    def loseWriteConnection(self) -> None:
        """Close one direction: simplified to the whole connection."""
        self.loseConnection()

    def abortConnection(self) -> None:
        """Close the connection at once, without what was not sent yet."""
        if self.connected and self._out is not None:
            self.disconnecting = True
            self._buffer, self._size = [], 0
            self._out.send(b"", ConnectionLost)
            self.reactor.callLater(0, self.end, ConnectionAborted)

    def end(self, why: type[Exception]) -> None:
        """Tell the protocol that the connection has ended."""
        if not self.connected:
            return
        self.connected = False
        self.disconnecting = False
        self._buffer, self._inbox, self._inbox_size, self._size = [], [], 0, 0
        self.reactor.connections.pop(self, None)
        if not self.reactor.alive:
            return
        failure = Failure(why())
        producer, self._producer = self._producer, None
        events, before = self.reactor.internet.events, self.reactor.internet.events.owner
        events.owner = self.reactor
        try:
            if producer is not None:
                producer.stopProducing()
            if self.protocol is not None:  # a factory may have refused to make one
                self.protocol.connectionLost(failure)
            if self.ended is not None:
                self.ended(failure)
        except Exception:
            _log.failure("Unhandled error at the end of a connection")
        events.owner = before

    def cut_off(self, *, reset: bool) -> None:
        """The process has ended. Its system resets the connection, unless it has lost its power as well."""
        self.connected = False
        self._buffer, self._inbox, self._inbox_size = [], [], 0
        if self._out is not None:
            if reset:
                self._out.send(b"", ConnectionLost)
            else:
                self._out.forget()

    # --- what else a transport has -----------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let a producer know when to go on. RuntimeError if there is one."""
        if self._producer is not None:
            raise RuntimeError("there is a producer already")
        if not self.connected:
            producer.stopProducing()
            return
        self._producer, self._streaming, self._producer_paused = producer, streaming, False
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        self._producer = None
        if self.connected and self.disconnecting:
            self._flush_soon()

    def getPeer(self) -> IPv4Address:
        """Return the other end's address."""
        return self._remote

    def getHost(self) -> IPv4Address:
        """Return this end's address."""
        return self._local

    def getHandle(self) -> _Handle:
        """Return a socket that has no options."""
        return _HANDLE

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Everything is sent at once here."""

    def getTcpNoDelay(self) -> bool:
        """Return what setTcpNoDelay does anyway."""
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Keep-alive packets are not simulated: GIVEN_UP ends what is written to a dead host."""

    def getTcpKeepAlive(self) -> bool:
        """Return False."""
        return False


@implementer(IListeningPort)
class VirtualPort:
    """A port that a process listens on."""

    def __init__(self, reactor: SimulatedReactor, number: int, factory: IProtocolFactory) -> None:
        self.reactor = reactor
        self.number = number
        self.factory = factory

    def startListening(self) -> None:
        """Open the port. Raises CannotListenError."""
        ports = self.reactor.host.ports
        if self.number == 0:
            self.number = next(number for number in range(40_000, 65_536) if number not in ports)
        if self.number in ports:
            raise CannotListenError(None, self.number, OSError(98, "Address already in use"))
        ports[self.number] = self
        self.factory.doStart()

    def stopListening(self) -> None:
        """Close the port."""
        if self.reactor.host.ports.get(self.number) is self:
            del self.reactor.host.ports[self.number]
            self.factory.doStop()

    def getHost(self) -> IPv4Address:
        """Return the address that it listens on."""
        return IPv4Address("TCP", self.reactor.host.address, self.number)


@implementer(IConnector)
class VirtualConnector:
    """An attempt to connect, and the connection that comes of it."""

    def __init__(
        self, reactor: SimulatedReactor, address: tuple[str, int], factory: Any, timeout: float | None
    ) -> None:
        self._reactor = reactor
        self._address = address
        self._factory = factory
        self._timeout = SYN_GIVEN_UP if timeout is None else timeout
        self._deadline: SimulatedCall | None = None
        self._attempt = 0
        self.transport: VirtualConnection | None = None
        self.state = "disconnected"

    def connect(self) -> None:
        """Begin to connect."""
        self.state = "connecting"
        self._attempt += 1
        self._factory.doStart()
        self._factory.startedConnecting(self)
        self._deadline = self._reactor.callLater(self._timeout, self._failed, TimeoutError)
        self._send_syn(self._attempt, 0)

    def _send_syn(self, attempt: int, tries: int) -> None:
        reactor, internet = self._reactor, self._reactor.internet
        if self.state != "connecting" or attempt != self._attempt or not reactor.alive:
            return
        target = internet.find(reactor.host, self._address[0])
        now = internet.events.now
        if target is None:
            if not _is_number(self._address[0]):
                reactor.callLater(0, self._failed, DNSLookupError)
            return  # nobody answers
        if internet.is_open(reactor.host, target) and internet.is_open(target, reactor.host):
            there = internet.delay(reactor.host, target, 60)
            internet.events.at(now + there, WORLD, self._syn_arrived, attempt, target)
        else:
            internet.events.at(now + 2.0**tries, WORLD, self._send_syn, attempt, tries + 1)

    def _syn_arrived(self, attempt: int, target: Host) -> None:
        internet, source = self._reactor.internet, self._reactor.host
        port = target.ports.get(self._address[1])
        if not target.up or (port is not None and port.reactor.frozen):
            internet.events.at(internet.events.now + 1.0, WORLD, self._send_syn, attempt, 1)
            return
        back = internet.events.now + internet.delay(target, source, 60)
        if port is None:
            internet.events.at(back, WORLD, self._refused, attempt)
            return
        internet.events.at(back, WORLD, self._accepted, attempt, port)

    def _refused(self, attempt: int) -> None:
        if self._reactor.frozen:
            self._reactor.callLater(0, self._refused, attempt)
            return
        if attempt == self._attempt and self.state == "connecting" and self._reactor.alive:
            self._failed(ConnectionRefusedError)

    def _accepted(self, attempt: int, port: VirtualPort) -> None:
        """Make both ends. The server's protocol sees the connection when its answer has arrived, which is as good
        as half a round trip later."""
        reactor, target = self._reactor, port.reactor
        if reactor.frozen or target.frozen:
            (reactor if reactor.frozen else target).callLater(0, self._accepted, attempt, port)
            return
        if attempt != self._attempt or self.state != "connecting" or not reactor.alive:
            return
        if not target.alive or target.host.ports.get(port.number) is not port:
            self._failed(ConnectionRefusedError)
            return
        loopback = self._address[0] in LOOPBACK_NAMES
        local = IPv4Address("TCP", "127.0.0.1" if loopback else reactor.host.address, reactor.next_port())
        remote = IPv4Address("TCP", "127.0.0.1" if loopback else target.host.address, port.number)
        near, far = VirtualConnection(reactor, local, remote), VirtualConnection(target, remote, local)
        near.join(far)
        far_protocol = target.call(port.factory.buildProtocol, local)
        if far_protocol is not None:
            target.call(far.begin, far_protocol)
        self._cancel_deadline()
        protocol = reactor.call(self._factory.buildProtocol, remote)
        self.transport = near
        self.state = "connected"
        near.ended = self._lost
        if protocol is None:
            near.connected = True
            near.abortConnection()
            return
        reactor.call(near.begin, protocol)
        if far_protocol is None:
            far.connected = True
            far.abortConnection()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()

    def _failed(self, why: type[Exception]) -> None:
        if self.state != "connecting":
            return
        self.state = "disconnected"
        self._cancel_deadline()
        self._reactor.call(self._factory.clientConnectionFailed, self, Failure(why()))
        if self.state == "disconnected":
            self._factory.doStop()

    def _lost(self, failure: Failure) -> None:
        self.state = "disconnected"
        self._factory.clientConnectionLost(self, failure)
        if self.state == "disconnected":
            self._factory.doStop()

    def disconnect(self) -> None:
        """Give up: the attempt, or the connection."""
        if self.state == "connecting":
            self.stopConnecting()
        elif self.transport is not None:
            self.transport.loseConnection()

    def stopConnecting(self) -> None:
        """Give the attempt up."""
        self._failed(UserError)

    def getDestination(self) -> IPv4Address:
        """Return whom it connects to."""
        return IPv4Address("TCP", *self._address)


def _is_number(host: str) -> bool:
    return host.replace(".", "").isdigit()
