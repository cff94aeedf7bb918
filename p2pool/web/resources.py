"""What all answers of the site share: the methods of a resource, errors as JSON of one shape, and how rendered
bytes are served: with an ETag, compressed, or not at all if the client has them."""

from __future__ import annotations

import json
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import resource
from twisted.web.http import BAD_REQUEST, INTERNAL_SERVER_ERROR, NOT_MODIFIED, SERVICE_UNAVAILABLE
from twisted.web.server import NOT_DONE_YET, Request

from p2pool.web.rendering import (
    MIN_COMPRESSED,
    THREAD_SIZE,
    Rendering,
    RunInThread,
    compress_once,
    is_compressible,
    is_known,
    takes_gzip,
)

StatusAndBody = tuple[int, bytes]
"""An answer: HTTP status, body."""
JSON_TYPE = b"application/json; charset=utf-8"
READING = (b"GET", b"HEAD")
"""The methods of a resource without a `methods` of its own (None there for all); OPTIONS is answered for every
resource that names its methods."""
_log = Logger(namespace="p2pool.web")


class GetResource(resource.Resource):
    """A resource with GET and HEAD only. `content_type` is that of an answer; an error is always JSON."""

    isLeaf = True
    content_type = JSON_TYPE

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def render_GET(self, request: Request) -> bytes | int:
        """Answer a GET request."""
        return answer_now(request, self.content_type, self.answer(request))

    def render_HEAD(self, request: Request) -> bytes | int:
        """Answer a HEAD request without the body, which Twisted would drop with a log line each time."""
        body = self.render_GET(request)
        if not isinstance(body, bytes):
            return body
        request.setHeader(b"Content-Length", b"%d" % len(body))
        return b""

    def answer(self, request: Request) -> StatusAndBody:
        """Return the answer to a GET."""
        raise NotImplementedError


class RenderedResource(GetResource):
    """Serves bytes that are rendered elsewhere from time to time: `rendered` returns the newest ones, None or b""
    before the first. As long as it returns the same object, tag and compressed form are not made again.

    `run_in_thread` compresses large ones; without it the calling thread does that.
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
        """Answer a GET request."""
        body = self._rendered()
        if not body:
            return answer_now(request, JSON_TYPE, starting())
        if body is not self._last.body:
            self._last = Rendering(body)
        return serve(request, self._last, self.content_type, run_in_thread=self._run_in_thread)


def serve(
    request: Request, rendering: Rendering, content_type: bytes, *, run_in_thread: RunInThread | None = None
) -> bytes | int:
    """Answer a GET or HEAD with rendered bytes; return what Twisted's render methods return."""
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
    """Let browsers cache the answer, but revalidate it each time: tags and times are for that."""
    request.setHeader(b"Cache-Control", b"no-cache" if getattr(request, "is_open", True) else b"private, no-cache")


class _PendingResponse:
    """A request that is answered later, if its client still waits then."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._is_gone = False
        request.notifyFinish().addErrback(self._gone)

    def _gone(self, _: Failure) -> None:
        self._is_gone = True

    def finish(self, body: bytes) -> None:
        """Send the answer unless the client is gone."""
        if self._is_gone:
            return
        self._request.setHeader(b"Content-Length", b"%d" % len(body))
        self._request.write(body)  # of a HEAD, Twisted leaves it out
        self._request.finish()

    def fail(self, failure: Failure, what: str) -> None:
        """Log an internal error, and answer that there was one."""
        _log.failure("internal error: {what} an answer failed", failure, what=what)
        if self._is_gone:
            return
        for name in (b"ETag", b"Content-Encoding"):
            self._request.responseHeaders.removeHeader(name)
        answer = error(INTERNAL_SERVER_ERROR, "internal", "internal error of the node; its log says why")
        self.finish(answer_now(self._request, JSON_TYPE, answer))


def answer_later(request: Request, content_type: bytes, answer: Deferred[StatusAndBody]) -> int:
    """Answer when `answer` fires; return what Twisted's render methods return."""
    waiting = _PendingResponse(request)

    def made(answer: StatusAndBody) -> None:
        waiting.finish(answer_now(request, content_type, answer))

    answer.addCallbacks(made, lambda failure: waiting.fail(failure, "answering"))
    return NOT_DONE_YET


def answer_now(request: Request, content_type: bytes, answer: StatusAndBody) -> bytes:
    """Set the status and headers of an answer that must not be cached, and return its body: compressed if that
    takes a few milliseconds, as for a list of workers or a history."""
    status, body = answer
    kind = content_type if status < BAD_REQUEST else JSON_TYPE
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", kind)
    request.setHeader(b"Cache-Control", b"no-store")
    if not MIN_COMPRESSED <= len(body) < THREAD_SIZE or not is_compressible(kind):
        return body
    request.setHeader(b"Vary", b"Accept-Encoding")
    if not takes_gzip(_header(request, b"accept-encoding")):
        return body
    request.setHeader(b"Content-Encoding", b"gzip")
    return compress_once(body)


def error(status: int, code: str, message: str) -> StatusAndBody:
    """Return an error with its JSON body. `code` is for programs and never changes, `message` is for people."""
    return status, json.dumps({"error": {"code": code, "message": message}}).encode()


def starting() -> StatusAndBody:
    """Return the error for what is not known before the first refresh."""
    return error(SERVICE_UNAVAILABLE, "starting", "the node is starting; try again in a second")


def _header(request: Request, name: bytes) -> str | None:
    """Return the last value of a header; None without one."""
    values = request.requestHeaders.getRawHeaders(name)
    return values[-1].decode("latin-1") if values else None
