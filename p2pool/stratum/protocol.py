"""The Twisted side of a miner's connection: bytes to lines, lines to the session, output to the transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IAddress, ISSLTransport, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.direct_write import WriteSome, direct_writer, unsent, write_at_once
from p2pool.stratum.session import Session

if TYPE_CHECKING:
    from p2pool.stratum.server import StratumServer

_log = Logger(namespace="p2pool.stratum")

MAX_DRAINED = 1 << 20
"""Bytes still read from a connection that is over: what its miner had sent by then."""
_SUBMIT = b"mining.submit"


class StratumProtocol(Protocol):
    """One connection. Bound: one line of input, the server's `max_unsent` bytes of output.

    A connection that is to be closed is drained: nothing more is written, but what the miner has already sent is
    read for a moment, because a solved block may be in it. The server ends it after that.
    """

    def __init__(self, server: StratumServer, address: IAddress) -> None:
        self._server = server
        self._buffer = b""
        self._drained = 0
        self._write_some: WriteSome | None = None
        self.host = str(getattr(address, "host", "?"))
        self.session: Session | None = None
        """None before the connection is made, and where it was not let in or is over."""
        self._judging: Session | None = None
        """The session of a connection that is drained."""

    def connectionMade(self) -> None:
        """Twisted's: a miner is there."""
        self._write_some = direct_writer(self.transport)
        self.session = self._server.register(self)
        if self.session is None and self.transport is not None:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Twisted's: bytes from the miner."""
        session = self.session
        if session is None:
            if self._judging is not None:
                self._drain(self._judging, data)
            return
        server = self._server
        now, max_line = server.clock(), server.limits.max_line
        lines = (self._buffer + data).split(b"\n") if self._buffer else data.split(b"\n")
        self._buffer = lines.pop()
        for index, line in enumerate(lines):
            if not line or line == b"\r":
                continue
            if len(line) > max_line:
                session.end_for_malformed(f"a line of more than {max_line} bytes", now)
            else:
                session.receive_line(line, now)
            if session.closing is not None:
                self._finish(session, now)
                self._judge_rest(session, lines[index + 1 :], now)
                return
        if len(self._buffer) > max_line:
            session.end_for_malformed(f"a line of more than {max_line} bytes", now)
        self._finish(session, now)

    def _finish(self, session: Session, now: float) -> None:
        """All lines that came together are handled: send the answers, and one job if any of them led to one."""
        session.finish_input(now)
        self.flush()
        if session.submissions:
            self._server.record_submissions(session.submissions, self._server.clock() - now)
            session.submissions = 0

    def _judge_rest(self, session: Session, lines: list[bytes], now: float) -> None:
        """Of a connection that is over only submissions count, and nobody is told."""
        for line in lines:
            if _SUBMIT in line and len(line) <= self._server.limits.max_line:
                session.judge_line(line, now)

    def _drain(self, session: Session, data: bytes) -> None:
        self._drained += len(data)
        if self._drained > MAX_DRAINED:
            self.abort()
            return
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()[-self._server.limits.max_line :]
        self._judge_rest(session, lines, self._server.clock())

    def flush(self) -> None:
        """Write what the session has to say, and close where it is to be closed."""
        session, transport = self.session, self.transport
        if session is None or transport is None:
            return
        output = session.take_output()
        all_sent = write_at_once(transport, self._write_some, output) if output else False
        if session.closing is not None:
            self._close(session, session.closing)
        elif not all_sent and unsent(transport) > self._server.limits.max_unsent:
            self._close(session, "it does not read")

    def _close(self, session: Session, why: str) -> None:
        """Nothing more is written; what is under way to us is still read."""
        if not self._server.suspended and self._server.guard.may_log(self.host, why, self._server.clock()):
            _log.info("closing {host} ({name}): {why}", host=self.host, name=session.name, why=why)
        transport = self.transport
        self._end()
        self._judging = session
        if ITCPTransport.providedBy(transport) and not ISSLTransport.providedBy(transport):
            transport.loseWriteConnection()
        elif transport is not None:
            transport.loseConnection()
        self._server.drain(self)

    def abort(self) -> None:
        """End the connection at once, whatever is unsent and unread."""
        self._judging = None
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]
        self._end()

    def _end(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            self._server.unregister(session)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted's: the connection is gone."""
        self._judging, self._buffer = None, b""
        self._server.drained(self)
        self._end()
