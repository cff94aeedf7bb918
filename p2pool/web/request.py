"""HTTP's rules for all requests: how long and how large they may be, who may make them, which methods there are,
and the headers that every answer carries. Thin over Twisted's classes."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING

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

from p2pool.base.hosts import host_key
from p2pool.web.access import Access, AccessDenied, AccessRequest, Admitted
from p2pool.web.redirects import parse_prefix
from p2pool.web.resources import JSON_TYPE, READING, answer_now, error

if TYPE_CHECKING:
    from p2pool.web.site import WebSite

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
    400: (b"Bad Request", "bad_request", "this is no request that the node understands"),
    408: (b"Request Timeout", "too_slow", f"a request has to be complete within {REQUEST_TIME} s"),
    413: (b"Content Too Large", "too_large", f"a body may have at most {MAX_BODY} bytes"),
    414: (b"URI Too Long", "uri_too_long", "the address is too long"),
    431: (b"Request Header Fields Too Large", "headers_too_large", "there are too many headers, or too long ones"),
}
_log = Logger(namespace="p2pool.web")


class WebChannel(HTTPChannel):
    """A connection. Its time limits count from the last answer or the first byte of a request, not from the last
    byte: who sends a request byte by byte is not waited for without end."""

    site: WebSite
    peer_host = ""
    """The other end's address, as the factory was told it: behind a PROXY header not the transport's."""
    _has_begun = False
    """Whether a part of the next request is here."""

    def resetTimeout(self) -> None:
        """Twisted's, called for each piece of data."""

    def dataReceived(self, data: bytes) -> None:
        """Twisted's."""
        if data and not self._has_begun:
            self._has_begun = True
            self.setTimeout(REQUEST_TIME)  # type: ignore[no-untyped-call]
        super().dataReceived(data)  # type: ignore[no-untyped-call]

    def allContentReceived(self) -> None:
        """Twisted's: a request is complete, and is answered within the call, but for what goes out piece by piece,
        a thread's work, and what makes another protocol of the connection."""
        super().allContentReceived()  # type: ignore[no-untyped-call]
        if self._requestProducer is not None:
            self.setTimeout(ANSWER_TIME)  # type: ignore[no-untyped-call]

    def requestDone(self, request: Request) -> None:
        """Twisted's."""
        self._has_begun = False
        self._savedTimeOut = IDLE_TIME
        super().requestDone(request)  # type: ignore[no-untyped-call]

    def timeoutConnection(self) -> None:
        """Twisted's: nothing came, or not all of it, or nothing was taken."""
        if self._has_begun and not self._handlingRequest:
            self._write_refusal(408)
        super().timeoutConnection()  # type: ignore[no-untyped-call]

    def lineLengthExceeded(self, line: bytes) -> None:
        """Twisted's."""
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
    """What a request's client is counted by, everywhere: an IPv4 address or an IPv6 /64, behind a trusted proxy
    that of the proxy's client."""
    admitted = request.admitted if isinstance(request, WebRequest) else None
    return "" if admitted is None else host_key(admitted.client)


class WebRequest(Request):
    """A request: bounded, judged, and answered with the headers that all answers carry."""

    channel: WebChannel
    is_refused = False
    admitted: Admitted | None = None
    """What the judge said, where it goes on."""
    at_end: Callable[[], None] | None = None
    """Called once when the answer is out or the client gone: what the answer holds is free again."""

    @property
    def is_open(self) -> bool:
        """Whether anybody may read what is answered, also the scripts of other sites."""
        return self.admitted is not None and self.admitted.is_open

    # --- what comes in -----------------------------------------------------------------------------------

    def gotLength(self, length: int | None) -> None:
        """Twisted's: the headers are read; a chunked body has no length yet."""
        self.content = BytesIO()
        self._bound_body(length or 0)

    def handleContentChunk(self, data: bytes) -> None:
        """Twisted's: a piece of the body."""
        if self.content is not None:
            self._bound_body(self.content.tell() + len(data))
        if not self.is_refused:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]

    def _bound_body(self, size: int) -> None:
        if size > MAX_BODY and not self.is_refused:
            self.is_refused = True
            self.channel.refuse(413)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Twisted's: all of it is here."""
        if not self.is_refused:
            super().requestReceived(command, path, version)  # type: ignore[no-untyped-call]

    # --- whether and how it is answered ------------------------------------------------------------------

    def process(self) -> None:
        """Twisted's."""
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
            self._send(*error(verdict.status, verdict.code, verdict.message))
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
        """The path under which a trusted reverse proxy serves the site, like /pool; "" without one."""
        if not self.channel.site.access.trusts(self.channel.peer_host):
            return ""
        values = self._values("x-forwarded-prefix")
        return parse_prefix(values[-1] if values else None)

    @property
    def hosts(self) -> list[str]:
        """The names, each perhaps with a port, under which the client may have asked for this: the Host header,
        and what a trusted reverse proxy was asked for."""
        hosts = self._values("host")
        if self.channel.site.access.trusts(self.channel.peer_host):
            hosts += [value.rpartition(",")[2].strip(" \t") for value in self._values("x-forwarded-host")[-1:]]
        return hosts

    def finish(self) -> None:
        """Twisted's: all of the answer is handed on."""
        super().finish()  # type: ignore[no-untyped-call]
        self._end()

    def connectionLost(self, reason: Failure) -> None:
        """Twisted's: nobody waits any more."""
        self._end()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def _end(self) -> None:
        at_end, self.at_end = self.at_end, None
        if at_end is not None:
            at_end()

    def render(self, resrc: resource.Resource) -> None:
        """Twisted's: let the resource answer, if it knows the method."""
        methods = getattr(resrc, "methods", READING)
        if methods is None or self.method in methods:
            super().render(resrc)  # type: ignore[no-untyped-call]
            return
        allowed = b", ".join((*methods, b"OPTIONS"))
        self._set(b"Allow", allowed)
        if self.method == b"OPTIONS":
            self._answer_options(methods)
        else:
            message = f"only {allowed.decode()} are answered here"
            self._send(*error(NOT_ALLOWED, "method_not_allowed", message))

    def _answer_options(self, methods: tuple[bytes, ...]) -> None:
        """Also what a browser asks before it lets another site's script read. Only reading is ever allowed."""
        if self.is_open and b"GET" in methods and self.requestHeaders.hasHeader(b"access-control-request-method"):
            self._set(b"Access-Control-Allow-Origin", b"*")
            self._set(b"Access-Control-Allow-Methods", b", ".join(READING))
            self._set(b"Access-Control-Allow-Headers", b"If-None-Match")
            self._set(b"Access-Control-Max-Age", b"%d" % PREFLIGHT_TIME)
        self.setResponseCode(NO_CONTENT)
        self.finish()

    def _set(self, name: bytes, value: bytes) -> None:
        self.responseHeaders.setRawHeaders(name, [value])

    def _send(self, status: int, body: bytes) -> None:
        body = answer_now(self, JSON_TYPE, status, body)
        self._set(b"Content-Length", b"%d" % len(body))
        self.write(body)  # of a HEAD, Twisted leaves it out
        self.finish()

    def processingFailed(self, reason: Failure) -> Failure:
        """Twisted's: a defect of ours."""
        _log.failure("no answer to {method} {path}", reason, method=self.method, path=self.path[:200])
        if self.startedWriting:
            self.channel.loseConnection()  # type: ignore[no-untyped-call]
        elif not self.finished and not self._disconnected:
            self._send(*error(INTERNAL_SERVER_ERROR, "internal", "the node failed to answer; its log says why"))
        return reason

    def write(self, data: bytes) -> None:
        """Twisted's: the headers go out with the first write, and need not name the software."""
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
