"""What our HTTP clients have in common: bodies that leave in one piece, and connections on which the other side
may say only so much between two requests of ours.

Twisted's HTTP client keeps every header of an answer, however many there are, and waits for the end of the headers
for ever: a server, or whoever sits on its port, must not fill our memory with them. The time that an answer may
take is the caller's to limit.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IConsumer, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

MAX_HEAD: Final = 64 * 1024
"""Bytes of an answer before its body: status line and headers, those of interim (1xx) answers included."""
MAX_HEADERS: Final = 200
"""Lines of the same. Dash Core sends some five, services on the web some forty."""
MAX_INTERIM: Final = 5
"""Interim answers to one request: Twisted logs each."""


class AnswerTooLarge(ConnectionClosed):
    """We hung up because the other side sent more than an answer may have."""


class ResponseMeter:
    """Measures the answer to one request as its bytes come, and says when it is too large: `max_body` bytes of
    body, as they are on the wire, and MAX_HEAD before it. It reads no more of HTTP than where the headers end."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self.begin()

    def begin(self) -> None:
        """A request leaves: the next byte begins its answer."""
        self._is_body = False
        self._size = self._lines = self._interim = 0
        self._line = bytearray()
        """The part of a line of the head that is here. Bound: MAX_HEAD."""
        self._status: bytes | None = None

    def take(self, data: bytes) -> str | None:
        """Count what came; return what there is too much of, or None."""
        start = 0
        while not self._is_body:
            end = data.find(b"\n", start)
            piece = data[start : end + 1] if end >= 0 else data[start:]
            self._size += len(piece)
            if self._size > MAX_HEAD:
                return f"more than {MAX_HEAD} bytes of headers"
            self._line += piece
            if end < 0:
                return None
            start = end + 1
            problem = self._end_of_line()
            if problem is not None:
                return problem
        self._size += len(data) - start
        return f"more than {self._max_body} bytes" if self._size > self._max_body else None

    def _end_of_line(self) -> str | None:
        line, self._line = bytes(self._line), bytearray()
        self._lines += 1
        if self._lines > MAX_HEADERS:
            return f"more than {MAX_HEADERS} headers"
        if self._status is None:
            self._status = line
        elif line in (b"\n", b"\r\n"):
            if not _is_interim(self._status):
                self._is_body, self._size = True, 0
                return None
            self._interim += 1
            self._status = None
            if self._interim > MAX_INTERIM:
                return f"more than {MAX_INTERIM} interim answers"
        return None


def _is_interim(status_line: bytes) -> bool:
    """Whether a head with this status line is followed by another one, as Twisted sees it."""
    try:
        return 100 <= int(status_line.split(b" ", 2)[1]) < 200
    except (IndexError, ValueError):
        return False  # what is no HTTP, Twisted hangs up on


class _Metered(ProtocolWrapper):
    """Measures what arrives; each time that our side writes, the measuring begins anew."""

    _problem: str | None = None

    def __init__(self, factory: _MeteringFactory, wrapped: Any) -> None:
        super().__init__(factory, wrapped)  # type: ignore[arg-type]
        self._meter = ResponseMeter(factory.limit)

    def dataReceived(self, data: bytes) -> None:
        """Pass on what may come; hang up on the rest."""
        if self._problem is not None:
            return
        self._problem = self._meter.take(data)
        if self._problem is None:
            super().dataReceived(data)  # type: ignore[no-untyped-call]
        else:
            self.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass on the end of the connection, with its true reason."""
        if self._problem is not None:
            reason = Failure(AnswerTooLarge(self._problem))
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def write(self, data: bytes) -> None:
        """Pass on what is to leave."""
        self._meter.begin()
        super().write(data)  # type: ignore[no-untyped-call]

    def writeSequence(self, data: Any) -> None:
        """Pass on what is to leave."""
        self._meter.begin()
        super().writeSequence(data)  # type: ignore[no-untyped-call]


class _MeteringFactory(WrappingFactory):
    noisy = False
    protocol = _Metered

    def __init__(self, wrapped: Any, limit: int) -> None:
        super().__init__(wrapped)  # type: ignore[no-untyped-call]
        self.limit = limit


@implementer(IStreamClientEndpoint)
class MeteredEndpoint:
    """`endpoint`, whose other side may answer each request with a body of `limit` bytes and a head of MAX_HEAD;
    then we hang up."""

    def __init__(self, endpoint: Any, limit: int) -> None:
        self._endpoint = endpoint
        self._limit = limit

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Twisted's. Fires with the protocol that `protocolFactory` built."""
        connecting: Deferred[Any] = self._endpoint.connect(_MeteringFactory(protocolFactory, self._limit))
        return connecting.addCallback(lambda metered: metered.wrappedProtocol)


@implementer(IAgentEndpointFactory)
class LimitedEndpoints:
    """For Agent.usingEndpointFactory: `limit` bytes of body an answer; `connect_timeout` seconds."""

    def __init__(self, reactor: Any, connect_timeout: float, limit: int) -> None:
        self._reactor = reactor
        self._connect_timeout = connect_timeout
        self._limit = limit

    def endpointForURI(self, uri: Any) -> Any:
        """Twisted's."""
        endpoint: Any = HostnameEndpoint(self._reactor, uri.host, uri.port, timeout=self._connect_timeout)
        if uri.scheme == b"https":
            endpoint = wrapClientTLS(optionsForClientTLS(uri.host.decode("ascii")), endpoint)
        return MeteredEndpoint(endpoint, self._limit)


@implementer(IBodyProducer)
class RequestBody:
    """Bytes that are sent in one piece: a found block leaves at once, not in slices."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Twisted's."""
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Twisted's: all is written."""

    def resumeProducing(self) -> None:
        """Twisted's: all is written."""

    def stopProducing(self) -> None:
        """Twisted's: all is written."""
