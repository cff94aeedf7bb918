"""What all answers of the site have in common: which methods a resource knows, errors as JSON of one shape, and
how rendered bytes are served: with an ETag, compressed, or not at all where the client has them."""

from __future__ import annotations

import json
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import resource
from twisted.web.http import BAD_REQUEST, INTERNAL_SERVER_ERROR, NOT_MODIFIED, SERVICE_UNAVAILABLE
from twisted.web.server import NOT_DONE_YET, Request

from p2pool.web.rendering import MIN_COMPRESSED, Rendering, RunInThread, is_compressible, is_known, takes_gzip

JSON_TYPE = b"application/json; charset=utf-8"
READING = (b"GET", b"HEAD")
"""The methods of a resource that does not say otherwise with its own `methods`, None for all; OPTIONS is answered
for every resource that names its methods."""
_log = Logger(namespace="p2pool.web")


class GetResource(resource.Resource):
    """A resource that knows GET and HEAD only. `content_type` is that of an answer; an error is always JSON."""

    isLeaf = True
    content_type = JSON_TYPE

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def render_GET(self, request: Request) -> bytes | int:
        """Twisted's."""
        return answer_now(request, self.content_type, *self.answer(request))

    def render_HEAD(self, request: Request) -> bytes | int:
        """Twisted's: without the body, which it would leave out with a log line each time."""
        body = self.render_GET(request)
        if not isinstance(body, bytes):
            return body
        request.setHeader(b"Content-Length", b"%d" % len(body))
        return b""

    def answer(self, request: Request) -> tuple[int, bytes]:
        """(HTTP status, body)."""
        raise NotImplementedError


class RenderedResource(GetResource):
    """What somebody else renders from time to time: `rendered` gives the newest bytes, None or b"" before the
    first ones. As long as it gives the same object, tag and compressed form are not made again.

    `run_in_thread` is for compressing large ones; without it the calling thread does that.
    """

    def __init__(
        self,
        rendered: Callable[[], bytes | None],
        content_type: bytes = JSON_TYPE,
        run_in_thread: RunInThread | None = None,
    ) -> None:
        super().__init__()
        self.content_type = content_type
        self._rendered = rendered
        self._run_in_thread = run_in_thread
        self._last = Rendering(b"")

    def render_GET(self, request: Request) -> bytes | int:
        """Twisted's."""
        body = self._rendered()
        if not body:
            return answer_now(request, JSON_TYPE, *starting())
        if body is not self._last.body:
            self._last = Rendering(body)
        return serve(request, self._last, self.content_type, self._run_in_thread)


def serve(
    request: Request, rendering: Rendering, content_type: bytes, run_in_thread: RunInThread | None = None
) -> bytes | int:
    """The answer to a GET or HEAD: what Twisted's render methods return."""
    request.setHeader(b"Content-Type", content_type)
    let_keep(request)
    compressed = False
    if len(rendering.body) >= MIN_COMPRESSED and is_compressible(content_type):
        request.setHeader(b"Vary", b"Accept-Encoding")
        compressed = takes_gzip(_header(request, b"accept-encoding"))
    tag = rendering.tag(compressed)
    request.setHeader(b"ETag", tag)
    if is_known(_header(request, b"if-none-match"), tag):
        request.setResponseCode(NOT_MODIFIED)
        return b""
    if not compressed:
        return rendering.body
    request.setHeader(b"Content-Encoding", b"gzip")
    body = rendering.compressed(run_in_thread)
    if isinstance(body, bytes):
        return body
    waiting = _PendingResponse(request)
    body.addCallbacks(waiting.finish, lambda failure: waiting.fail(failure, "compressing"))
    return NOT_DONE_YET


def let_keep(request: Request) -> None:
    """Let browsers keep the answer, but ask for it again each time: that is what tags and times are for."""
    request.setHeader(b"Cache-Control", b"no-cache" if getattr(request, "is_open", True) else b"private, no-cache")


class _PendingResponse:
    """A request that is answered when somebody else is done."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._is_gone = False
        request.notifyFinish().addErrback(self._gone)

    def _gone(self, _: Failure) -> None:
        self._is_gone = True

    def finish(self, body: bytes) -> None:
        """The answer, where somebody still waits."""
        if self._is_gone:
            return
        self._request.setHeader(b"Content-Length", b"%d" % len(body))
        self._request.write(body)  # of a HEAD, Twisted leaves it out
        self._request.finish()

    def fail(self, failure: Failure, what: str) -> None:
        """A defect of ours: the log has it, the client a line."""
        _log.failure("{what} failed", failure, what=what)
        if self._is_gone:
            return
        for name in (b"ETag", b"Content-Encoding"):
            self._request.responseHeaders.removeHeader(name)
        status, body = error(INTERNAL_SERVER_ERROR, "internal", "the node failed to answer; its log says why")
        self.finish(answer_now(self._request, JSON_TYPE, status, body))


def answer_later(request: Request, content_type: bytes, answer: Deferred[tuple[int, bytes]]) -> int:
    """An answer (status, body) that somebody is making. What Twisted's render methods return."""
    waiting = _PendingResponse(request)

    def made(answer: tuple[int, bytes]) -> None:
        waiting.finish(answer_now(request, content_type, *answer))

    answer.addCallbacks(made, lambda failure: waiting.fail(failure, "answering"))
    return NOT_DONE_YET


def answer_now(request: Request, content_type: bytes, status: int, body: bytes) -> bytes:
    """An answer of this moment, which nobody keeps."""
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", content_type if status < BAD_REQUEST else JSON_TYPE)
    request.setHeader(b"Cache-Control", b"no-store")
    return body


def error(status: int, code: str, message: str) -> tuple[int, bytes]:
    """(status, JSON body). `code` is for programs and stays, `message` for people."""
    return status, json.dumps({"error": {"code": code, "message": message}}).encode()


def starting() -> tuple[int, bytes]:
    """The error of what is not known yet."""
    return error(SERVICE_UNAVAILABLE, "starting", "the node is starting; try again in a second")


def _header(request: Request, name: bytes) -> str | None:
    """A header's last value; bytes of any kind."""
    values = request.requestHeaders.getRawHeaders(name)
    return values[-1].decode("latin-1") if values else None
