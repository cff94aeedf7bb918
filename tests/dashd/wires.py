"""Connections without sockets: what a MemoryReactorClock was asked to connect to, answered by the test."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure


class Wire(StringTransport):
    """One connection that our side opened, seen from the other end."""

    def __init__(self, reactor: MemoryReactorClock, number: int) -> None:
        super().__init__()
        self.host, self.port, factory, *_ = reactor.tcpClients[number]
        self.lost = False
        self._reactor = reactor
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self)

    def loseConnection(self) -> None:
        """Our side hangs up: it hears of the end afterwards, as from a real transport."""
        self.disconnecting = True
        self._reactor.callLater(0, self.hang_up)

    def abortConnection(self) -> None:
        """The same."""
        self.loseConnection()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """TLS over this passes it on."""

    def hang_up(self) -> None:
        """The connection ends."""
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def send(self, data: bytes) -> None:
        """The other end says something."""
        self.protocol.dataReceived(data)

    def take(self) -> bytes:
        """What our side said since the last time."""
        said = self.value()
        self.clear()
        return said


def refuse(reactor: MemoryReactorClock, number: int) -> None:
    """Nobody listens where our side wants to connect to."""
    _, _, factory, *_ = reactor.tcpClients[number]
    factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
