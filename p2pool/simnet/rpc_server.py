"""HTTP in front of the JSON-RPC dispatcher: Basic authorization, status codes, bounded bodies and connections."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from typing_extensions import override

from p2pool.simnet.rpc import HttpReply, RpcDispatcher

_MAX_BODY = 16 * 1024 * 1024  # a block of 2 MB is 4 MB of hex
_MAX_CONNECTIONS = 64
_WRONG_PASSWORD_SECONDS = 0.25
"""What a wrong password costs, as in Dash Core."""


class BoundedRequest(Request):
    """A request whose body is cut off, with its connection, beyond the limit."""

    _received = 0

    @override
    def handleContentChunk(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > _MAX_BODY:
            self.loseConnection()  # type: ignore[no-untyped-call]
            return
        super().handleContentChunk(data)  # type: ignore[no-untyped-call]


class RpcResource(Resource):
    """The one resource, at every path."""

    _log = Logger(namespace="p2pool.simnet.rpc")

    def __init__(
        self,
        dispatcher: RpcDispatcher,
        *,
        user: str,
        password: str,
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.isLeaf = True
        self._dispatcher = dispatcher
        self._credentials = f"{user}:{password}".encode()
        self._sleep = sleep

    def render(self, request: Any) -> int:
        """Answer a request of any method, now or later."""
        answering = Deferred.fromCoroutine(self._answer(request))
        # Bound: one a connection, which are bounded. A client that goes away ends a long poll.
        request.notifyFinish().addErrback(lambda _: answering.cancel())
        answering.addErrback(self._failed, request)
        return NOT_DONE_YET

    async def _answer(self, request: Any) -> None:
        if request.method != b"POST":
            self._finish(request, 405, b"JSONRPC server handles only POST requests")
            return
        header = request.getHeader(b"authorization")
        if not self._authorized(header):
            if header is not None:
                await self._sleep(_WRONG_PASSWORD_SECONDS)
            request.setHeader(b"WWW-Authenticate", b'Basic realm="jsonrpc"')
            self._finish(request, 401, b"", kind=b"text/html; charset=ISO-8859-1")
            return
        request.content.seek(0)
        reply = await self._dispatcher.handle(request.content.read())
        if reply is not None:
            self._finish_reply(request, reply)

    def _authorized(self, header: bytes | str | None) -> bool:
        if not isinstance(header, bytes) or not header.startswith(b"Basic "):
            return False
        try:
            given = base64.b64decode(header[6:].strip(), validate=True)
        except binascii.Error:
            return False
        return hmac.compare_digest(given, self._credentials)

    def _finish_reply(self, request: Any, reply: HttpReply) -> None:
        self._finish(request, reply.status, reply.body, kind=b"application/json")

    def _finish(self, request: Any, status: int, body: bytes, *, kind: bytes = b"text/plain") -> None:
        request.setResponseCode(status)
        request.setHeader(b"Content-Type", kind)
        request.setHeader(b"Content-Length", b"%d" % len(body))
        request.write(body)
        request.finish()

    def _failed(self, failure: Failure, request: Any) -> None:
        if isinstance(failure.value, CancelledError):
            return
        self._log.failure("internal error while answering an RPC call", failure=failure)
        self._finish(request, 500, b"Internal error")


class _QuietSite(Site):
    """Keeps no access log."""

    def log(self, request: object) -> None:
        """Log nothing for a request."""


class RpcSite(WrappingFactory, ServerFactory):
    """The HTTP server: knows its connections, so that it can close them."""

    def __init__(self, resource: RpcResource, reactor: IReactorTime) -> None:
        site: Any = _QuietSite  # its constructor has no types
        wrapped = site(resource, requestFactory=BoundedRequest, reactor=reactor)
        wrapped.noisy = False
        super().__init__(wrapped)  # type: ignore[no-untyped-call]
        self.noisy = False
        self._closed: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Return a protocol for a new connection, unless there are too many."""
        return None if len(self.protocols) >= _MAX_CONNECTIONS else super().buildProtocol(addr)

    @override
    def unregisterProtocol(self, p: Any) -> None:
        super().unregisterProtocol(p)  # type: ignore[no-untyped-call]
        self._check_closed()

    def close(self) -> Deferred[None]:
        """Close every connection once what was written is sent; fires when all are gone."""
        closed: Deferred[None] = Deferred()
        self._closed = closed
        for transport in self._transports():
            transport.loseConnection()
        self._check_closed()
        return closed

    def abort(self) -> None:
        """Drop what `close` has not closed."""
        for transport in self._transports():
            transport.abortConnection()

    def _transports(self) -> list[Any]:
        return [protocol.transport for protocol in self.protocols]

    def _check_closed(self) -> None:
        if self._closed is not None and not self.protocols:
            closed, self._closed = self._closed, None
            closed.callback(None)
