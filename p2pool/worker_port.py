"""One port for miners and browsers: the first byte says who is there."""

from __future__ import annotations

from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

FIRST_BYTE_TIME = 30.0
"""Seconds within which a connection has to say something."""
MAX_WEB_CONNECTIONS = 1000
"""Browsers and programs that look, at a time: they must never take the miners' file descriptors."""
_WHITE_SPACE = b" \t\r\n"
_log = Logger(namespace="p2pool.worker_port")


class _FirstByte(Protocol):
    """Waits for a byte, then lets a stratum or a web protocol have the transport."""

    def __init__(self, port: WorkerPort, address: IAddress) -> None:
        self._port = port
        self._address = address
        self._inner: Protocol | None = None
        self._refused = False
        self._is_web = False
        self._waiting: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Twisted's."""
        self._waiting = self._port.reactor.callLater(FIRST_BYTE_TIME, self._silent)

    def _silent(self) -> None:
        self._waiting = None
        if self.transport is not None:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Twisted's: replaced by the chosen protocol's after the first byte."""
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        data = data.lstrip(_WHITE_SPACE)
        if not data or self._refused:
            return
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        inner = self._choose(data)
        if inner is None or self.transport is None:
            self._refused = True
            self._silent()
            return
        self._inner = inner  # type: ignore[assignment]
        self.dataReceived = inner.dataReceived  # type: ignore[method-assign]
        inner.makeConnection(self.transport)
        inner.dataReceived(data)

    def _choose(self, data: bytes) -> IProtocol | None:
        port = self._port
        if data[:1] == b"{":
            return port.stratum.buildProtocol(self._address)
        if port.web_connections >= MAX_WEB_CONNECTIONS:
            host = getattr(self._address, "host", "?")
            _log.warn("refusing {host}: {count} web connections", host=host, count=port.web_connections)
            return None
        self._is_web = True
        port.web_connections += 1
        return port.web.buildProtocol(self._address)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted's."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if self._is_web:
            self._is_web = False
            self._port.web_connections -= 1
        if self._inner is not None:
            self._inner.connectionLost(reason)
            self._inner = None


class WorkerPort(Factory):
    """The factory that listens on the worker port. Bound: MAX_WEB_CONNECTIONS, and what stratum allows."""

    noisy = False

    def __init__(self, stratum: IProtocolFactory, web: IProtocolFactory, reactor: IReactorTime) -> None:
        self.stratum = stratum
        self.web = web
        self.reactor = reactor
        self.web_connections = 0

    def doStart(self) -> None:
        """Twisted's."""
        self.stratum.doStart()
        self.web.doStart()

    def doStop(self) -> None:
        """Twisted's."""
        self.stratum.doStop()
        self.web.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Twisted's."""
        return None if addr is None else _FirstByte(self, addr)
