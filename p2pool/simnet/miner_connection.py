"""A miner's connection: its socket, and the place of the pool that it connects to."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet import protocol
from twisted.internet.abstract import isIPAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint
from twisted.internet.interfaces import IAddress, IProtocol, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from p2pool.base.endpoints import host_and_port
from p2pool.base.environment import IReactor
from p2pool.simnet.miner_events import Event
from p2pool.simnet.miner_session import MinerSession


class ConnectionOwner(Protocol):
    """What a connection calls: the miner that has it."""

    def now(self) -> float:
        """Return the reactor's time in seconds."""

    def new_session(self) -> MinerSession:
        """Return the session of a new connection."""

    def connection_made(self, connection: MinerProtocol) -> None:
        """Note a new connection."""

    def connection_lost(self, connection: MinerProtocol, reason: Failure) -> None:
        """Note the end of a connection."""

    def handle(self, connection: MinerProtocol, event: Event) -> None:
        """Handle one event of the session of `connection`."""


class MinerProtocol(protocol.Protocol):
    """Moves bytes between a socket and a session."""

    transport: Any

    def __init__(self, miner: ConnectionOwner, session: MinerSession) -> None:
        self.session = session
        self._miner = miner

    def connectionMade(self) -> None:
        self._miner.connection_made(self)
        self.send(self.session.connected())

    def dataReceived(self, data: bytes) -> None:
        output, events = self.session.receive(data, self._miner.now())
        self.send(output)
        for event in events:
            self._miner.handle(self, event)

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        self._miner.connection_lost(self, reason)

    def send(self, data: bytes) -> None:
        """Write to the server."""
        if data and self.transport is not None:
            self.transport.write(data)

    def close(self) -> None:
        """Close when everything is sent."""
        if self.transport is not None:
            self.transport.loseConnection()

    def abort(self) -> None:
        """Close at once, whatever is unsent."""
        if self.transport is not None:
            self.transport.abortConnection()


class MinerFactory(protocol.Factory):
    """Makes the connections of one miner."""

    noisy = False

    def __init__(self, miner: ConnectionOwner) -> None:
        self._miner = miner

    def buildProtocol(self, addr: IAddress | None) -> MinerProtocol:
        return MinerProtocol(self._miner, self._miner.new_session())


@implementer(IStreamClientEndpoint)
class PoolEndpoint:
    """Where the pool is now: a client.reconnect can move it to another port, until that fails once."""

    def __init__(self, reactor: IReactor, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._home_port = port
        self._reactor = reactor

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Connect to the pool; called by ClientService."""
        endpoint: TCP4ClientEndpoint | HostnameEndpoint
        if isIPAddress(self.host):
            endpoint = TCP4ClientEndpoint(self._reactor, self.host, self.port)
        else:
            endpoint = HostnameEndpoint(self._reactor, self.host, self.port)
        connecting: Deferred[IProtocol] = endpoint.connect(protocolFactory)
        return connecting.addErrback(self._failed)

    def _failed(self, failure: Failure) -> Failure:
        self.port = self._home_port
        return failure

    def __repr__(self) -> str:
        return host_and_port(self.host, self.port)
