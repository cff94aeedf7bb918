"""The Twisted side of a miner's connection: bytes to lines, lines to the session, output to the transport."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IAddress, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.stratum.session import Session

if TYPE_CHECKING:
    from p2pool.stratum.server import StratumServer

_log = Logger(namespace="p2pool.stratum")

MAX_LINE = 8192
"""A longer line closes the connection."""
MAX_UNSENT = 256 * 1024
"""Bytes that a slow reader may leave unsent before it is cut off."""


_KEEPALIVE = tuple(
    (getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
)
"""A machine that vanished is noticed after 90 s; the system's own default is two hours."""


class StratumProtocol(Protocol):
    """One connection. Bound: one line of input, MAX_UNSENT of output."""

    def __init__(self, server: StratumServer, address: IAddress) -> None:
        self._server = server
        self._buffer = b""
        self.host = getattr(address, "host", "?")
        self.session: Session | None = None

    def connectionMade(self) -> None:
        """Twisted's: a miner is there."""
        transport = self.transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
            for option, value in _KEEPALIVE:
                transport.getHandle().setsockopt(  # type: ignore[attr-defined]
                    socket.IPPROTO_TCP, option, value
                )
        self.session = self._server.register(self)
        if self.session is None and transport is not None:
            transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Twisted's: bytes from the miner."""
        session = self.session
        if session is None:
            return
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()
        now = self._server.clock()
        for line in lines:
            if len(line) > MAX_LINE:
                break
            session.receive_line(line, now)
            if session.closing is not None:
                break
        if len(self._buffer) > MAX_LINE or any(len(line) > MAX_LINE for line in lines):
            session.closing = f"a line of more than {MAX_LINE} bytes"
        self.flush()

    def flush(self) -> None:
        """Write what the session has to say, and close where it is to be closed."""
        session, transport = self.session, self.transport
        if session is None or transport is None:
            return
        output = session.take_output()
        if output:
            transport.write(output)
        if session.closing is not None:
            _log.info("closing {host} ({name}): {why}", host=self.host, name=session.name, why=session.closing)
            transport.loseConnection()
            self._end()
        elif _unsent(transport) > MAX_UNSENT:
            _log.info("cutting off {host} ({name}): it does not read", host=self.host, name=session.name)
            self.abort()

    def abort(self) -> None:
        """End the connection at once, whatever is unsent."""
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]
        self._end()

    def _end(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            self._buffer = b""
            session.connection_lost()
            self._server.unregister(session)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted's: the connection is gone."""
        self._end()


def _unsent(transport: object) -> int:
    """Bytes that the transport still holds (Twisted keeps them in two places; other transports in none)."""
    buffered = len(getattr(transport, "dataBuffer", b"")) - int(getattr(transport, "offset", 0))
    return buffered + int(getattr(transport, "_tempDataLen", 0))
