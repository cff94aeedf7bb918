"""What our HTTP clients have in common: bodies that leave in one piece, and connections on which the other side
may say only so much between two requests of ours.

Twisted's HTTP client keeps every header of an answer, however many there are: a server that is not trusted as Dash
Core is must not fill our memory with them.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IConsumer, IProtocol, IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer


class _Metered(ProtocolWrapper):
    """Counts what arrives; each time that our side writes, the count begins anew."""

    _received = 0

    def dataReceived(self, data: bytes) -> None:
        """Twisted's."""
        self._received += len(data)
        if self._received > self.factory.limit:
            self.abortConnection()
        else:
            super().dataReceived(data)  # type: ignore[no-untyped-call]

    def write(self, data: bytes) -> None:
        """Twisted's."""
        self._received = 0
        super().write(data)  # type: ignore[no-untyped-call]

    def writeSequence(self, data: Any) -> None:
        """Twisted's."""
        self._received = 0
        super().writeSequence(data)  # type: ignore[no-untyped-call]


class _MeteringFactory(WrappingFactory):
    noisy = False
    protocol = _Metered

    def __init__(self, wrapped: Any, limit: int) -> None:
        super().__init__(wrapped)  # type: ignore[no-untyped-call]
        self.limit = limit


@implementer(IStreamClientEndpoint)
class MeteredEndpoint:
    """`endpoint`, whose other side may say `limit` bytes after each thing that we say; then we hang up."""

    def __init__(self, endpoint: Any, limit: int) -> None:
        self._endpoint = endpoint
        self._limit = limit

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Twisted's. Fires with the protocol that `protocolFactory` built."""
        connecting: Deferred[Any] = self._endpoint.connect(_MeteringFactory(protocolFactory, self._limit))
        return connecting.addCallback(lambda metered: metered.wrappedProtocol)


@implementer(IAgentEndpointFactory)
class LimitedEndpoints:
    """For Agent.usingEndpointFactory: `limit` bytes an answer, its headers included; `connect_timeout` seconds."""

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
