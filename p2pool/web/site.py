"""The web site: resources over the rendered views, the share chain's inspection, and the static pages."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from twisted.web import resource, server, static
from twisted.web.http import NOT_ALLOWED, SERVICE_UNAVAILABLE, HTTPChannel
from twisted.web.server import Request

from p2pool.web.resources import GetResource, error
from p2pool.web.routing import Branch, NotFound, api_resources
from p2pool.web.views import Views

_REQUEST_TIME = 60
"""Seconds within which a request has to be complete, and for which a connection may idle before the next."""
_MAX_BODY = 64 * 1024
"""Nothing here reads a body; what a client sends all the same is held in memory up to here."""
_SECURITY_HEADERS = (
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    (
        b"Content-Security-Policy",
        b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
)


def _starting() -> tuple[int, bytes]:
    return error(SERVICE_UNAVAILABLE, "starting", "the node is starting; try again in a second")


class _Metrics(GetResource):
    content_type = b"text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, views: Views) -> None:
        super().__init__()
        self._views = views

    def answer(self, request: Request) -> tuple[int, bytes]:
        return (200, self._views.metrics) if self._views.metrics else _starting()


class _NotAllowed(GetResource):
    """What every method but GET and HEAD meets, wherever it goes."""

    def render(self, request: Request) -> bytes:
        """Twisted's, for any method."""
        request.setHeader(b"Allow", b"GET, HEAD")
        return self.render_GET(request)

    def answer(self, request: Request) -> tuple[int, bytes]:
        return error(NOT_ALLOWED, "method_not_allowed", "only GET and HEAD are answered here")


class _Root(Branch):
    """The tree. The bare address leads to the first page."""

    def getChild(self, path: bytes, request: Request) -> resource.Resource:
        """Twisted's: a path without a child of its own."""
        return self if path == b"" and not request.postpath else NotFound()

    def render_GET(self, request: Request) -> bytes:
        """Twisted's."""
        request.redirect(b"/static/index.html")
        return b""


class _Static(static.File):
    """Files without directory listings."""

    def getChild(self, path: bytes | str, request: Request) -> resource.Resource:
        """Twisted's: what no file can be called is not there, rather than a traceback."""
        name = path if isinstance(path, bytes) else path.encode()
        try:
            name.decode("utf-8")
        except UnicodeDecodeError:
            return self.childNotFound
        return self.childNotFound if b"\x00" in name else super().getChild(path, request)  # type: ignore[no-untyped-call]

    def directoryListing(self) -> resource.Resource:
        """Twisted's."""
        return NotFound()

    childNotFound = NotFound()  # type: ignore[assignment]


class _Channel(HTTPChannel):
    """A connection whose time limit counts from the last answer, not from the last byte: who sends a request byte
    by byte is not waited for without end."""

    def resetTimeout(self) -> None:
        """Twisted's, called for each piece of data."""


class _Request(Request):
    """Adds the headers that every answer carries, and bounds what a client may send."""

    _refused = False

    def gotLength(self, length: int | None) -> None:
        """Twisted's: the headers are read; a chunked body has no length yet."""
        self.content = BytesIO()
        self._bound_body(length or 0)

    def handleContentChunk(self, data: bytes) -> None:
        """Twisted's: a piece of the body."""
        if self.content is not None:
            self._bound_body(self.content.tell() + len(data))
        if not self._refused:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]

    def _bound_body(self, size: int) -> None:
        if size > _MAX_BODY and not self._refused:
            self._refused = True
            channel = self.channel
            if channel.transport is not None:
                channel.transport.write(
                    b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                )
            channel.loseConnection()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Twisted's: all of it is here."""
        if not self._refused:
            super().requestReceived(command, path, version)  # type: ignore[no-untyped-call]

    def render(self, resrc: resource.Resource) -> None:
        """Twisted's: let the resource answer."""
        super().render(  # type: ignore[no-untyped-call]
            resrc if self.method in (b"GET", b"HEAD") else _NotAllowed()
        )

    def write(self, data: bytes) -> None:
        """Twisted's: the headers go out with the first write, and need not name the software."""
        if not self.startedWriting:
            self.responseHeaders.removeHeader(b"server")
        super().write(data)  # type: ignore[no-untyped-call]

    def process(self) -> None:
        """Twisted's."""
        for name, value in _SECURITY_HEADERS:
            self.responseHeaders.setRawHeaders(name, [value])
        super().process()  # type: ignore[no-untyped-call]


class WebSite(server.Site):
    """The factory of web connections. Bound: a request's time, headers (Twisted's) and body; how many connections
    there are is the worker port's business."""

    noisy = False
    protocol = _Channel  # type: ignore[assignment]

    def __init__(self, views: Views, web_static: Path, reactor: object) -> None:
        root = _Root()
        for name, child in api_resources(views).items():
            root.putChild(name, child)
        root.putChild(b"metrics", _Metrics(views))
        root.putChild(b"static", _Static(str(web_static)))
        super().__init__(  # type: ignore[no-untyped-call]
            root, requestFactory=_Request, timeout=_REQUEST_TIME, reactor=reactor
        )

    def log(self, request: object) -> None:
        """Twisted's access log: none, polling pages would fill it."""
