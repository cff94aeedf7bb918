"""The HTTP rules for all requests: how long and how large they may be, who may make them, which methods there
are, and the headers of every answer. Thin over Twisted's classes."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import resource
from twisted.web.http import (
    INTERNAL_SERVER_ERROR,
    NO_CONTENT,
    NOT_ALLOWED,
    NOT_MODIFIED,
    HTTPChannel,
    datetimeToString,
)
from twisted.web.server import Request
from typing_extensions import override

from p2pool.base.hosts import host_key
from p2pool.web.access import Access, AccessDenied, AccessRequest, Admitted
from p2pool.web.redirects import parse_prefix
from p2pool.web.resources import JSON_TYPE, READING, StatusAndBody, answer_now, error

IDLE_TIME = 60
"""Seconds for which a connection may idle before the next request begins."""
REQUEST_TIME = 20
"""Seconds within which a request that has begun has to be complete, however often a byte of it comes."""
ANSWER_TIME = 120
"""Seconds within which an answer that goes out piece by piece has to be taken."""
MAX_BODY = 64 * 1024
"""Bytes of a request's body, held in memory."""
PREFLIGHT_TIME = 86400
"""Seconds for which a browser may remember what other sites may ask for."""

_SECURITY_HEADERS = (
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    (
        b"Content-Security-Policy",
        b"default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (b"X-Frame-Options", b"DENY"),  # for browsers that do not know frame-ancestors
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (
        b"Permissions-Policy",
        b"accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), "
        b"microphone=(), midi=(), payment=(), publickey-credentials-get=(), usb=()",
    ),
)
_TLS_ONLY = (b"Strict-Transport-Security", b"max-age=2592000")
"""For a month, and for this name alone."""
_REFUSALS = {
    400: (b"Bad Request", "bad_request", "the request is malformed"),
    408: (b"Request Timeout", "too_slow", f"a request must be complete within {REQUEST_TIME} s"),
    413: (b"Content Too Large", "too_large", f"a body may have at most {MAX_BODY} bytes"),
    414: (b"URI Too Long", "uri_too_long", "the URL is too long"),
    431: (
        b"Request Header Fields Too Large",
        "headers_too_large",
        "there are too many headers, or they are too large",
    ),
}
_log = Logger(namespace="p2pool.web")


class GuardedSite(Protocol):
    """A site as its requests need it."""

    access: Access
    reactor: IReactorTime


class WebChannel(HTTPChannel):
    """A connection. Its time limits count from the last answer or the first byte of a request, not from the last
    byte: a client that sends a request byte by byte is cut off."""

    site: GuardedSite
    peer_host = ""
    """The client's address as the factory was given it: behind a PROXY header it is not the transport's."""
    _has_begun = False
    """Set while a part of the next request has been received."""

    @override
    def resetTimeout(self) -> None:
        """Do nothing: Twisted calls this for each piece of data, which would let a slow request go on forever."""

    @override
    def dataReceived(self, data: bytes) -> None:
        if data and not self._has_begun:
            self._has_begun = True
            self.setTimeout(REQUEST_TIME)  # type: ignore[no-untyped-call]
        super().dataReceived(data)  # type: ignore[no-untyped-call]

    @override
    def allContentReceived(self) -> None:
        """Limit the time of an answer. A request is answered within the call, except for answers that are sent
        piece by piece, a thread's work, and connections that switch to another protocol."""
        super().allContentReceived()  # type: ignore[no-untyped-call]
        if self._requestProducer is not None:
            self.setTimeout(ANSWER_TIME)  # type: ignore[no-untyped-call]

    @override
    def requestDone(self, request: Request) -> None:
        self._has_begun = False
        self._savedTimeOut = IDLE_TIME
        super().requestDone(request)  # type: ignore[no-untyped-call]

    @override
    def timeoutConnection(self) -> None:
        """Answer an incomplete request before the connection ends."""
        if self._has_begun and not self._handlingRequest:
            self._write_refusal(408)
        super().timeoutConnection()  # type: ignore[no-untyped-call]

    @override
    def lineLengthExceeded(self, line: bytes) -> None:
        self.refuse(431 if self.requests else 414)

    def _respondToBadRequestAndDisconnect(self) -> None:
        too_large = self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders
        self.refuse(431 if too_large else 400)

    def _send100Continue(self) -> None:
        if not self.requests[-1].is_refused:
            super()._send100Continue()  # type: ignore[no-untyped-call]

    def refuse(self, status: int) -> None:
        """End the connection with an error, whatever else is on its way."""
        self._write_refusal(status)
        self.loseConnection()  # type: ignore[no-untyped-call]

    def _write_refusal(self, status: int) -> None:
        if self.transport is None:
            return
        reason, code, message = _REFUSALS[status]
        _, body = error(status, code, message)
        self.transport.write(
            b"HTTP/1.1 %d %b\r\nConnection: close\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (status, reason, JSON_TYPE, len(body), body)
        )


def client_host(request: Request) -> str:
    """Return the host that a request's client is counted under everywhere: an IPv4 address or an IPv6 /64,
    behind a trusted proxy that of the proxy's client."""
    admitted = request.admitted if isinstance(request, WebRequest) else None
    return "" if admitted is None else host_key(admitted.client)


class WebRequest(Request):
    """A request: bounded, judged, and answered with the headers that all answers carry."""

    channel: WebChannel
    is_refused = False
    admitted: Admitted | None = None
    """The access decision, if the request may go on."""
    at_end: Callable[[], None] | None = None
    """Called once when the answer is out or the client gone: what the answer holds is free again."""

    @property
    def is_open(self) -> bool:
        """Return whether anybody may read the answer, scripts of other sites included."""
        return self.admitted is not None and self.admitted.is_open

    # --- what comes in -----------------------------------------------------------------------------------

    @override
    def gotLength(self, length: int | None) -> None:
        """Keep the body in memory, once the headers are read; a chunked body has no length yet."""
        self.content = BytesIO()
        self._bound_body(length or 0)

    @override
    def handleContentChunk(self, data: bytes) -> None:
        if self.content is not None:
            self._bound_body(self.content.tell() + len(data))
        if not self.is_refused:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]

    def _bound_body(self, size: int) -> None:
        if size > MAX_BODY and not self.is_refused:
            self.is_refused = True
            self.channel.refuse(413)

    @override
    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if not self.is_refused:
            super().requestReceived(command, path, version)  # type: ignore[no-untyped-call]

    # --- whether and how it is answered ------------------------------------------------------------------

    @override
    def process(self) -> None:
        """Set the headers of every answer, decide on access, and answer."""
        for name, value in _SECURITY_HEADERS:
            self._set(name, value)
        if self.isSecure():  # type: ignore[no-untyped-call]
            self._set(*_TLS_ONLY)
        site = self.channel.site
        verdict = self._judged_by(site.access, site.reactor.seconds())
        if isinstance(verdict, AccessDenied):
            self._set(b"Date", datetimeToString())
            for name, value in verdict.headers:
                self._set(name, value)
            self._send(error(verdict.status, verdict.code, verdict.message))
            return
        self.admitted = verdict
        super().process()  # type: ignore[no-untyped-call]

    def _judged_by(self, access: Access, now: float) -> Admitted | AccessDenied:
        return access.judge(AccessRequest(self.channel.peer_host, self.path, self._values), now)

    def _values(self, name: str) -> list[str]:
        values = self.requestHeaders.getRawHeaders(name.encode()) or []
        return [value.decode("latin-1") for value in values]

    @property
    def prefix(self) -> str:
        """Return the path under which a trusted reverse proxy serves the site, like /pool; "" without one."""
        if not self.channel.site.access.trusts(self.channel.peer_host):
            return ""
        values = self._values("x-forwarded-prefix")
        return parse_prefix(values[-1] if values else None)

    @property
    def hosts(self) -> list[str]:
        """Return the names, each perhaps with a port, under which the client may have asked: the Host header,
        and the one that a trusted reverse proxy received."""
        hosts = self._values("host")
        if self.channel.site.access.trusts(self.channel.peer_host):
            hosts += [value.rpartition(",")[2].strip(" \t") for value in self._values("x-forwarded-host")[-1:]]
        return hosts

    @override
    def finish(self) -> None:
        super().finish()  # type: ignore[no-untyped-call]
        self._end()

    @override
    def connectionLost(self, reason: Failure) -> None:
        self._end()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def _end(self) -> None:
        at_end, self.at_end = self.at_end, None
        if at_end is not None:
            at_end()

    @override
    def render(self, resrc: resource.Resource) -> None:
        """Let the resource answer if it has the method; else answer which methods it has."""
        methods = getattr(resrc, "methods", READING)
        if methods is None or self.method in methods:
            super().render(resrc)  # type: ignore[no-untyped-call]
            return
        allowed = b", ".join((*methods, b"OPTIONS"))
        self._set(b"Allow", allowed)
        if self.method == b"OPTIONS":
            self._answer_options(methods)
        else:
            message = f"only {allowed.decode()} are allowed here"
            self._send(error(NOT_ALLOWED, "method_not_allowed", message))

    def _answer_options(self, methods: tuple[bytes, ...]) -> None:
        """Answer OPTIONS, also for a browser that asks before another site's script may read. Only reading is
        ever allowed."""
        if self.is_open and b"GET" in methods and self.requestHeaders.hasHeader(b"access-control-request-method"):
            self._set(b"Access-Control-Allow-Origin", b"*")
            self._set(b"Access-Control-Allow-Methods", b", ".join(READING))
            self._set(b"Access-Control-Allow-Headers", b"If-None-Match")
            self._set(b"Access-Control-Max-Age", b"%d" % PREFLIGHT_TIME)
        self.setResponseCode(NO_CONTENT)
        self.finish()

    def _set(self, name: bytes, value: bytes) -> None:
        self.responseHeaders.setRawHeaders(name, [value])

    def _send(self, answer: StatusAndBody) -> None:
        body = answer_now(self, JSON_TYPE, answer)
        self._set(b"Content-Length", b"%d" % len(body))
        self.write(body)  # of a HEAD, Twisted leaves it out
        self.finish()

    @override
    def processingFailed(self, reason: Failure) -> Failure:
        """Log an internal error, and answer that there was one."""
        _log.failure(
            "internal error: answering {method} {path} failed", reason, method=self.method, path=self.path[:200]
        )
        if self.startedWriting:
            self.channel.loseConnection()  # type: ignore[no-untyped-call]
        elif not self.finished and not self._disconnected:
            self._send(error(INTERNAL_SERVER_ERROR, "internal", "internal error of the node; its log says why"))
        return reason

    @override
    def write(self, data: bytes) -> None:
        """Complete the headers, which are sent with the first write; they do not name the software."""
        if not self.startedWriting:
            headers = self.responseHeaders
            headers.removeHeader(b"server")
            if self.code == NOT_MODIFIED:
                headers.removeHeader(b"content-length")  # it would be that of what is not sent
            elif self.is_open and self.method in READING:
                kind = headers.getRawHeaders(b"content-type", [b""])[0]
                if kind.startswith(b"application/json"):
                    headers.setRawHeaders(b"Access-Control-Allow-Origin", [b"*"])
        super().write(data)  # type: ignore[no-untyped-call]
