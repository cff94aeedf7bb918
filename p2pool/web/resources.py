"""What all answers of the site have in common: GET and HEAD only, and errors as JSON of one shape."""

from __future__ import annotations

import json

from twisted.web import resource
from twisted.web.http import BAD_REQUEST
from twisted.web.server import Request

JSON_TYPE = b"application/json; charset=utf-8"


class GetResource(resource.Resource):
    """A resource that knows GET and HEAD only. `content_type` is that of an answer; an error is always JSON."""

    isLeaf = True
    content_type = JSON_TYPE

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def render_GET(self, request: Request) -> bytes:
        """Twisted's."""
        status, body = self.answer(request)
        request.setResponseCode(status)
        request.setHeader(b"Content-Type", self.content_type if status < BAD_REQUEST else JSON_TYPE)
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"Access-Control-Allow-Origin", b"*")
        return body

    def render_HEAD(self, request: Request) -> bytes:
        """Twisted's: without the body, which it would leave out with a log line each time."""
        request.setHeader(b"Content-Length", b"%d" % len(self.render_GET(request)))
        return b""

    def answer(self, request: Request) -> tuple[int, bytes]:
        """(HTTP status, body)."""
        raise NotImplementedError


def error(status: int, code: str, message: str) -> tuple[int, bytes]:
    """(status, JSON body). `code` is for programs and stays, `message` for people."""
    return status, json.dumps({"error": {"code": code, "message": message}}).encode()
