"""What the HTTP clients of this node share: request bodies that are sent in one piece, and connections on which
the server may send only so much for each request.

Twisted's HTTP client keeps every header of an answer, however many there are, and waits for the end of the headers
forever: a server, or whatever listens on its port, must not fill the memory with them. The caller limits the time
that a response may take.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IConsumer, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from typing_extensions import override
from zope.interface import implementer

from p2pool.base.environment import Environment
from p2pool.base.outgoing import endpoint_to

MAX_HEAD: Final = 64 * 1024
"""Bytes of a response before its body: status line and headers, those of interim (1xx) responses included."""
MAX_HEADERS: Final = 200
"""Header lines of a response. Dash Core sends some five, services on the web some forty."""
MAX_INTERIM: Final = 5
"""Interim responses to one request: Twisted logs each."""


class ResponseTooLarge(ConnectionClosed):
    """The server sent more than a response may have, and was disconnected."""


class ResponseMeter:
    """Measures the response to one request as its bytes arrive, and reports when it is too large: `max_body` bytes
    of body, as they are on the wire, and MAX_HEAD before it. Of HTTP it parses only the end of the headers."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self.begin()

    def begin(self) -> None:
        """Note that a request is sent: the next byte begins its response."""
        self._is_body = False
        self._size = self._lines = self._interim = 0
        self._line = bytearray()
        """The part of the current line of the head that has arrived. Bound: MAX_HEAD."""
        self._status: bytes | None = None

    def take(self, data: bytes) -> str | None:
        """Count received bytes; return what there is too much of, or None."""
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
                return f"more than {MAX_INTERIM} interim responses"
        return None


def _is_interim(status_line: bytes) -> bool:
    """Return whether a head with this status line is followed by another one, as Twisted parses it."""
    try:
        return 100 <= int(status_line.split(b" ", 2)[1]) < 200
    except (IndexError, ValueError):
        return False  # Twisted disconnects from what is not HTTP


class _Metered(ProtocolWrapper):
    """Measures what arrives; each write to the server begins a new measurement."""

    _problem: str | None = None

    def __init__(self, factory: _MeteringFactory, wrapped: Any) -> None:
        super().__init__(factory, wrapped)  # type: ignore[arg-type]
        self._meter = ResponseMeter(factory.limit)

    @override
    def dataReceived(self, data: bytes) -> None:
        if self._problem is not None:
            return
        self._problem = self._meter.take(data)
        if self._problem is None:
            super().dataReceived(data)  # type: ignore[no-untyped-call]
        else:
            self.abortConnection()

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._problem is not None:
            reason = Failure(ResponseTooLarge(self._problem))
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    @override
    def write(self, data: bytes) -> None:
        self._meter.begin()
        super().write(data)  # type: ignore[no-untyped-call]

    @override
    def writeSequence(self, data: Any) -> None:
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
    """Wraps `endpoint` so as to disconnect from a server that responds to a request with more than a body of
    `limit` bytes and a head of MAX_HEAD."""

    def __init__(self, endpoint: Any, limit: int) -> None:
        self._endpoint = endpoint
        self._limit = limit

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Connect; the Deferred fires with the protocol that `protocolFactory` built."""
        connecting: Deferred[Any] = self._endpoint.connect(_MeteringFactory(protocolFactory, self._limit))
        return connecting.addCallback(lambda metered: metered.wrappedProtocol)


@implementer(IAgentEndpointFactory)
class LimitedEndpoints:
    """For Agent.usingEndpointFactory: `limit` is bytes of a response's body, `connect_timeout` seconds.

    Twisted asks for an endpoint for each request, also if it has a connection. The last one is kept, because
    making one takes a quarter of a request's time.
    """

    def __init__(self, environment: Environment, connect_timeout: float, limit: int) -> None:
        self._environment = environment
        self._connect_timeout = connect_timeout
        self._limit = limit
        self._last_key: tuple[bytes, bytes, int] | None = None
        self._last: MeteredEndpoint | None = None

    def endpointForURI(self, uri: Any) -> Any:
        """Return the endpoint that requests for `uri` connect to."""
        key = (uri.scheme, uri.host, uri.port)
        if key != self._last_key:
            self._last_key, self._last = key, self._make(uri)
        return self._last

    def _make(self, uri: Any) -> MeteredEndpoint:
        host = uri.host.decode("ascii")
        endpoint: Any = endpoint_to(
            self._environment, host.strip("[]"), uri.port, timeout=self._connect_timeout, named=True
        )
        if uri.scheme == b"https":
            endpoint = wrapClientTLS(optionsForClientTLS(host), endpoint)
        return MeteredEndpoint(endpoint, self._limit)


@implementer(IBodyProducer)
class RequestBody:
    """A body that is sent in one piece: a found block is sent at once, not in slices."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write the whole body at once."""
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Do nothing: the whole body is written already."""

    def resumeProducing(self) -> None:
        """Do nothing: the whole body is written already."""

    def stopProducing(self) -> None:
        """Do nothing: the whole body is written already."""
