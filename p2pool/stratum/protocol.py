"""The Twisted side of a miner's connection: bytes to lines, lines to the dispatcher, output to the transport."""

from __future__ import annotations

import typing
from collections.abc import Callable
from enum import Enum
from typing import Any

from twisted.internet.interfaces import IAddress, ISSLTransport, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from p2pool.base.direct_write import (
    WriteSome,
    direct_writer,
    read_directly,
    unsent,
    write_at_once,
)
from p2pool.stratum.dispatch import Dispatcher
from p2pool.stratum.errors import AnswerLater
from p2pool.stratum.limits import ServerLimits
from p2pool.stratum.session import Session

_log = Logger(namespace="p2pool.stratum")

MAX_LINGERING_BYTES = 1 << 20
"""Bytes that are still read from a lingering connection: what its miner had sent before it was closed."""
_SUBMIT = b"mining.submit"


class ConnectionOwner(typing.Protocol):
    """What a connection needs of the server that it belongs to."""

    clock: Callable[[], float]
    limits: ServerLimits
    dispatcher: Dispatcher
    record_submissions: Callable[[int, float], None]

    @property
    def max_unsent(self) -> int:
        """Return the bytes that a connection may leave unread."""

    def register(self, protocol: StratumProtocol) -> Session | None:
        """Return a session for a new connection; None if it is rejected."""

    def unregister(self, session: Session) -> None:
        """Account for the end of a session."""

    def linger(self, protocol: StratumProtocol) -> None:
        """Abort a closed connection after a moment, unless it ends before."""

    def linger_ended(self, protocol: StratumProtocol) -> None:
        """Forget a connection that ended, if it was lingering."""

    def may_log_close(self, host: str, reason: str) -> bool:
        """Return whether the close of a connection of `host` is to be logged."""


class ConnectionState(Enum):
    """The life of a connection; StratumProtocol has the drawing."""

    CONNECTING = "not made yet"
    OPEN = "let in, with a session"
    WAITING = "as OPEN, but its next line waits for a session of another server, and the input after it as well"
    LINGERING = "closed by the server: nothing more is written, submissions under way are still judged"
    CLOSED = "rejected or over"


_OPEN, _WAITING, _LINGERING = ConnectionState.OPEN, ConnectionState.WAITING, ConnectionState.LINGERING


class StratumProtocol(Protocol):
    """One miner's connection. Bound: one line of input, the server's `max_unsent` bytes of output.

    ::

        CONNECTING --let in--> OPEN --close--> LINGERING --time is over, or too many bytes--> CLOSED
            |                 |  ^ |               |                                            ^
            |     asks elsewhere | |               |                                            |
            |                 v  | |               |                                            |
            |                WAITING               |                                            |
            +----rejected-------+--abort, lost-----+--abort, lost-------------------------------+

    A connection that the server closes lingers: nothing more is written, but what the miner has already sent is
    read for a moment, because a solved block may be in it. The server aborts it after that.
    """

    def __init__(self, server: ConnectionOwner, address: IAddress) -> None:
        self._server = server
        self._buffer = b""
        self._lingering_bytes = 0
        self._write_some: WriteSome | None = None
        self.host = str(getattr(address, "host", "?"))
        self.state = ConnectionState.CONNECTING
        self.session: Session | None = None
        """The session while the connection is open or lingers."""

    def restore(self, session: Session, unread: bytes) -> None:
        """Continue a session of an earlier process; `unread` begins its next line. Called before the connection
        is made."""
        self.session, self._buffer = session, unread

    @property
    def can_be_handed_over(self) -> bool:
        """Return whether another process can continue this connection: TLS cannot be passed on."""
        transport: Any = self.transport
        return (
            self.state in (_OPEN, _WAITING)
            and self.session is not None
            and self.session.closing is None
            and not getattr(transport, "disconnecting", True)
            and bool(ITCPTransport.providedBy(transport))
            and not ISSLTransport.providedBy(transport)
        )

    def detach(self) -> Any:
        """Stop using the connection without closing it. Return its transport, which is for another process."""
        transport: Any = self.transport
        transport.stopReading()
        transport.stopWriting()
        self.state, self.session = ConnectionState.CLOSED, None
        return transport

    @property
    def unread(self) -> bytes:
        """Return the beginning of a line whose end has not come yet."""
        return self._buffer

    @override
    def connectionMade(self) -> None:
        self._write_some = direct_writer(self.transport)
        if self.session is None:
            self.session = self._server.register(self)
        if self.session is not None:
            self.state = _OPEN
            read_directly(self.transport)
            return
        self.state = ConnectionState.CLOSED
        if self.transport is not None:
            self.transport.loseConnection()

    @override
    def dataReceived(self, data: bytes) -> None:
        session = self.session
        if session is None:
            return
        if self.state is not _OPEN:
            self._read_closed(session, data)
            return
        server = self._server
        now, max_line, dispatcher = server.clock(), server.limits.max_line, server.dispatcher
        lines = (self._buffer + data).split(b"\n") if self._buffer else data.split(b"\n")
        self._buffer = lines.pop()
        for index, line in enumerate(lines):
            if not line or line == b"\r":
                continue
            if len(line) > max_line:
                session.close_for_malformed(f"a line of more than {max_line} bytes", now)
            else:
                try:
                    dispatcher.receive_line(session, line, now)
                except AnswerLater as later:
                    self._wait(session, later, lines=lines[index:], now=now)
                    return
            if session.closing is not None:
                dispatcher.judge_waiting(session)
                self.finish(session, now)
                self._judge_rest(session, lines[index + 1 :], now)
                return
        if len(self._buffer) > max_line:
            session.close_for_malformed(f"a line of more than {max_line} bytes", now)
            dispatcher.judge_waiting(session)
        if session.waiting:
            dispatcher.finish_later(self, session, now)
        else:
            self.finish(session, now)

    def finish(self, session: Session, now: float) -> None:
        """Send the answers to the lines that came together, and at most one job that follows from them."""
        session.finish_input(now)
        self.flush()
        if session.submissions:
            self._server.record_submissions(session.submissions, self._server.clock() - now)
            session.submissions = 0

    def _judge_rest(self, session: Session, lines: list[bytes], now: float) -> None:
        """Judge the submissions among the lines of a closed connection, without an answer."""
        for line in lines:
            if _SUBMIT in line and len(line) <= self._server.limits.max_line:
                self._server.dispatcher.judge_line(session, line, now)

    def _wait(self, session: Session, later: AnswerLater, *, lines: list[bytes], now: float) -> None:
        """Keep these lines, the first of which cannot be answered yet, and read nothing more until then."""
        self.finish(session, now)
        if self.state is not _OPEN or self.transport is None:
            return
        self._buffer = b"\n".join([*lines, self._buffer])
        self.state = _WAITING
        self.transport.pauseProducing()  # type: ignore[attr-defined]
        later.until.addCallback(self._go_on)

    def _go_on(self, _: None) -> None:
        """Handle the lines that were kept."""
        if self.state is not _WAITING or self.transport is None:
            return
        self.state = _OPEN
        self.transport.resumeProducing()  # type: ignore[attr-defined]
        data, self._buffer = self._buffer, b""
        self.dataReceived(data)

    def _read_closed(self, session: Session, data: bytes) -> None:
        """Read what came although the connection is not open: it lingers, or (through TLS) it waits."""
        if self.state is _WAITING:
            self._buffer += data
            if len(self._buffer) > MAX_LINGERING_BYTES:
                self.abort()
            return
        self._lingering_bytes += len(data)
        if self._lingering_bytes > MAX_LINGERING_BYTES:
            self.abort()
            return
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()[-self._server.limits.max_line :]
        self._judge_rest(session, lines, self._server.clock())

    def flush(self) -> None:
        """Write the output of the session, and close the connection if the session says so."""
        session, transport = self.session, self.transport
        if session is None or transport is None or self.state is not _OPEN:
            return
        output = session.take_output()
        all_sent = write_at_once(transport, self._write_some, output) if output else False
        if session.closing is not None:
            self._close(session, session.closing)
        elif not all_sent and unsent(transport) > self._server.max_unsent:
            self._close(session, "it does not read what is sent to it")

    def _close(self, session: Session, reason: str) -> None:
        """Write nothing more, and let the connection linger."""
        if self._server.may_log_close(self.host, reason):
            _log.info(
                "closing the connection of {host} ({name}): {reason}",
                host=self.host,
                name=session.name,
                reason=reason,
            )
        transport = self.transport
        self.state = _LINGERING
        self._server.unregister(session)
        if ITCPTransport.providedBy(transport) and not ISSLTransport.providedBy(transport):
            transport.loseWriteConnection()
        elif transport is not None:
            transport.loseConnection()
        self._server.linger(self)

    def abort(self) -> None:
        """End the connection at once, whatever is unsent or unread."""
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]
        self._end()

    def _end(self) -> None:
        state, session = self.state, self.session
        self.state, self.session = ConnectionState.CLOSED, None
        if state in (_OPEN, _WAITING) and session is not None:
            self._server.unregister(session)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._buffer = b""
        self._server.linger_ended(self)
        self._end()
