"""One port for miners and browsers: the first byte says who is there."""

from __future__ import annotations

from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

FIRST_BYTE_TIME = 30.0
"""Seconds within which a connection has to say something."""
_WHITE_SPACE = b" \t\r\n"


class _FirstByte(Protocol):
    """Waits for a byte, then lets a stratum or a web protocol have the transport."""

    def __init__(self, port: WorkerPort, address: IAddress) -> None:
        self._port = port
        self._address = address
        self._inner: Protocol | None = None
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
        if not data:
            return
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        factory = self._port.stratum if data[:1] == b"{" else self._port.web
        inner = factory.buildProtocol(self._address)
        if inner is None or self.transport is None:
            self._silent()
            return
        self._inner = inner  # type: ignore[assignment]
        self.dataReceived = inner.dataReceived  # type: ignore[method-assign]
        inner.makeConnection(self.transport)
        inner.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted's."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if self._inner is not None:
            self._inner.connectionLost(reason)
            self._inner = None


class WorkerPort(Factory):
    """The factory that listens on the worker port."""

    noisy = False

    def __init__(self, stratum: IProtocolFactory, web: IProtocolFactory, reactor: IReactorTime) -> None:
        self.stratum = stratum
        self.web = web
        self.reactor = reactor

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
