"""The web site: resources over the rendered views, one share's details, and the static pages."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.web import resource, server, static
from twisted.web.http import NOT_FOUND
from twisted.web.server import Request

from p2pool.web.api.shares import share_details
from p2pool.web.views import VIEWS, Views

_REQUEST_TIME = 60
_SECURITY_HEADERS = (
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    (
        b"Content-Security-Policy",
        b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
)


class _Get(resource.Resource):
    """A resource that knows GET and HEAD only."""

    isLeaf = True
    content_type = b"application/json; charset=utf-8"

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def render_GET(self, request: Request) -> bytes:
        """Twisted's."""
        status, body = self.answer(request)
        request.setResponseCode(status)
        request.setHeader(b"Content-Type", self.content_type)
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"Access-Control-Allow-Origin", b"*")
        return body

    def answer(self, request: Request) -> tuple[int, bytes]:
        """(HTTP status, body)."""
        raise NotImplementedError


def _error(status: int, code: str, message: str) -> tuple[int, bytes]:
    return status, json.dumps({"error": {"code": code, "message": message}}).encode()


class _View(_Get):
    def __init__(self, views: Views, path: str) -> None:
        super().__init__()
        self._views = views
        self._path = path

    def answer(self, request: Request) -> tuple[int, bytes]:
        body = self._views.rendered.get(self._path)
        if body is None:
            return _error(503, "starting", "the node is starting; try again in a second")
        return 200, body


class _Metrics(_Get):
    content_type = b"text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, views: Views) -> None:
        super().__init__()
        self._views = views

    def answer(self, request: Request) -> tuple[int, bytes]:
        return 200, self._views.metrics


class _Share(_Get):
    """/web/share/<hash>."""

    def __init__(self, views: Views) -> None:
        super().__init__()
        self._node = views.sources.node

    def answer(self, request: Request) -> tuple[int, bytes]:
        text = b"/".join(request.postpath or []).decode("latin-1")
        if len(text) != 64 or any(c not in "0123456789abcdefABCDEF" for c in text):
            return _error(NOT_FOUND, "not_a_hash", "a share hash has 64 hex digits")
        details = share_details(self._node, int(text, 16))
        if details is None:
            return _error(NOT_FOUND, "unknown_share", "no share of this hash is held")
        return 200, json.dumps(details).encode()


class _NotFound(_Get):
    def answer(self, request: Request) -> tuple[int, bytes]:
        return _error(NOT_FOUND, "not_found", "there is nothing at this address")


class _Root(resource.Resource):
    """The tree; an unknown path is a JSON error."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def getChild(self, path: bytes, request: Request) -> resource.Resource:
        """Twisted's: a path without a child of its own."""
        if path == b"":
            return self
        return _NotFound()

    def render_GET(self, request: Request) -> bytes:
        """Twisted's: the bare address leads to the first page."""
        request.redirect(b"/static/index.html")
        return b""


class _Static(static.File):
    """Files without directory listings."""

    def directoryListing(self) -> resource.Resource:
        """Twisted's."""
        return _NotFound()

    childNotFound = _NotFound()  # type: ignore[assignment]


class WebSite(server.Site):
    """The factory of web connections. Bound: request bodies are refused beyond 64 KiB by length."""

    noisy = False

    def __init__(self, views: Views, web_static: Path, reactor: object) -> None:
        root = _Root()
        for path in VIEWS:
            root.putChild(path.encode(), _View(views, path))
        root.putChild(b"metrics", _Metrics(views))
        web = _Root()
        web.putChild(b"share", _Share(views))
        root.putChild(b"web", web)
        root.putChild(b"static", _Static(str(web_static)))
        super().__init__(  # type: ignore[no-untyped-call]
            root, requestFactory=_Request, timeout=_REQUEST_TIME, reactor=reactor
        )

    def log(self, request: object) -> None:
        """Twisted's access log: none, polling pages would fill it."""


class _Request(Request):
    """Adds the headers that every answer carries."""

    def process(self) -> None:
        """Twisted's."""
        for name, value in _SECURITY_HEADERS:
            self.responseHeaders.setRawHeaders(name, [value])
        self.responseHeaders.removeHeader(b"server")
        super().process()  # type: ignore[no-untyped-call]
