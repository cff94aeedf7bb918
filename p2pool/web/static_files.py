"""The pages' files: from memory with their ETag, once they were read; nothing outside their directory."""

from __future__ import annotations

import os
from typing import IO

from twisted.web import resource, static
from twisted.web.http import (
    OK,
    PARTIAL_CONTENT,
    REQUESTED_RANGE_NOT_SATISFIABLE,
    SERVICE_UNAVAILABLE,
    datetimeToString,
)
from twisted.web.server import Request
from typing_extensions import override

from p2pool.base.bounded import BoundedDict
from p2pool.web.byte_range import UNSATISFIABLE, parse_byte_range
from p2pool.web.host_shares import HostShares
from p2pool.web.not_found import NotFound
from p2pool.web.redirects import redirect
from p2pool.web.rendering import Rendering, RunInThread
from p2pool.web.request import WebRequest, client_host
from p2pool.web.resources import JSON_TYPE, answer_now, error, let_keep, serve

MAX_KEPT_FILE = 512 * 1024
"""Bytes of a file that is kept in memory; larger ones are sent from the disk, piece by piece."""
MAX_KEPT_FILES = 64
MAX_SENT = 64
"""Large files that are sent at a time: each holds a file descriptor besides its connection's, and those are the
miners', too."""
MAX_SENT_PER_HOST = 8
CUSTOM_PAGES_POLICY = (
    b"default-src 'self' https: data: blob:; script-src 'self' https: 'unsafe-inline'; "
    b"style-src 'self' https: 'unsafe-inline'; object-src 'none'; frame-ancestors 'none'; base-uri 'self'; "
    b"form-action 'self' https:"
)
"""The Content-Security-Policy of an operator's own pages: scripts, event handlers and styles inside a page work,
and so do libraries from other sites over HTTPS. `eval`, plug-ins and frames around the page stay forbidden. A page
that puts names of miners into its HTML has to escape them: this policy does not stop what gets in that way."""

_TOO_MANY = "too many large files are being sent; try again in a moment"
_Version = tuple[int, float]
"""(bytes, time of modification): a file whose version differs is read again."""


class StaticFiles(static.File):
    """A directory's files without listings. A file is served when it is a regular one, its real path lies in the
    real directory, and no part of its name begins with a dot. Bound: MAX_KEPT_FILES of MAX_KEPT_FILE bytes, each
    compressed besides."""

    root: str
    sent: HostShares
    kept: BoundedDict[str, tuple[_Version, Rendering]]
    run_in_thread: RunInThread | None
    policy: bytes | None

    @classmethod
    def below(cls, directory: str, run_in_thread: RunInThread | None, policy: bytes | None = None) -> StaticFiles:
        """Serve the files of a directory. `run_in_thread` compresses large ones; `policy` is their
        Content-Security-Policy if it differs from that of all other answers."""
        files = cls(directory)
        files.root = directory
        files.sent = HostShares(MAX_SENT_PER_HOST, MAX_SENT)
        files.kept = BoundedDict(MAX_KEPT_FILES)
        files.run_in_thread = run_in_thread
        files.policy = policy
        return files

    @override
    def createSimilarFile(self, path: str) -> StaticFiles:
        """Make the resource of a file below; it shares the cache and the limits."""
        found: StaticFiles = super().createSimilarFile(path)  # type: ignore[no-untyped-call]
        found.root, found.sent = self.root, self.sent
        found.kept = self.kept
        found.run_in_thread = self.run_in_thread
        found.policy = self.policy
        return found

    @override
    def getChild(self, path: bytes | str, request: Request) -> resource.Resource:
        """Return the file of a name. A name that no file can have, a hidden file and one outside the directory
        are not found, rather than a traceback or a foreign file."""
        name = path if isinstance(path, bytes) else path.encode()
        try:
            name.decode("utf-8")
        except UnicodeDecodeError:
            return self.childNotFound
        if b"\x00" in name or name.startswith(b"."):
            return self.childNotFound
        found: resource.Resource = super().getChild(path, request)  # type: ignore[no-untyped-call]
        return self.childNotFound if isinstance(found, StaticFiles) and not found.is_inside() else found

    def is_inside(self) -> bool:
        """Return whether the file, all symbolic links followed, is in the directory that is served."""
        root, real = os.path.realpath(self.root), os.path.realpath(self.path)
        return real == root or real.startswith(os.path.join(root, ""))

    @override
    def render_GET(self, request: Request) -> bytes | int:
        """Serve a file, or redirect to a directory."""
        if self.isdir():
            return redirect(request, request.path.rpartition(b"/")[2] + b"/")
        if not self.isfile():  # a pipe would be waited for
            return self.childNotFound.render_GET(request)
        if self.policy is not None:
            request.setHeader(b"Content-Security-Policy", self.policy)
        kind, encoding = static.getTypeAndEncoding(
            self.basename(), self.contentTypes, self.contentEncodings, self.defaultType
        )
        version = (self.getsize(), self.getModificationTime())
        try:
            if encoding is None and version[0] <= MAX_KEPT_FILE:
                return serve(request, self._rendering(version), kind.encode(), run_in_thread=self.run_in_thread)
            return self._send(request)
        except OSError:
            return self.childNotFound.render_GET(request)

    def _send(self, request: Request) -> bytes | int:
        """Send a large file piece by piece. Raises OSError."""
        host = client_host(request)
        if not self.sent.take(host):
            return answer_now(request, JSON_TYPE, error(SERVICE_UNAVAILABLE, "busy", _TOO_MANY))
        if isinstance(request, WebRequest):
            request.at_end = lambda: self.sent.give_back(host)
        let_keep(request)
        return super().render_GET(request)  # type: ignore[no-untyped-call, no-any-return]

    @override
    def makeProducer(self, request: Request, fileForReading: IO[bytes]) -> static.StaticProducer:
        """Return what sends a large file, or the one part of it that is requested."""
        size = self.getsize()
        found = self._range_asked_for(request, size)
        if found is None:
            self._setContentHeaders(request)  # type: ignore[no-untyped-call]
            request.setResponseCode(OK)
            return static.NoRangeStaticProducer(request, fileForReading)
        offset, length = found
        if found == UNSATISFIABLE:
            request.setResponseCode(REQUESTED_RANGE_NOT_SATISFIABLE)
            request.setHeader(b"Content-Range", b"bytes */%d" % size)
        else:
            request.setResponseCode(PARTIAL_CONTENT)
            request.setHeader(b"Content-Range", b"bytes %d-%d/%d" % (offset, offset + length - 1, size))
        self._setContentHeaders(request, length)  # type: ignore[no-untyped-call]
        return static.SingleRangeStaticProducer(request, fileForReading, offset, length)

    def _range_asked_for(self, request: Request, size: int) -> tuple[int, int] | None:
        headers = request.requestHeaders
        ranges = headers.getRawHeaders(b"range") or []
        # If the file has changed meanwhile, its rest does not belong to the beginning that the client has.
        unchanged = [datetimeToString(request.lastModified)]
        if len(ranges) != 1 or headers.getRawHeaders(b"if-range", unchanged) != unchanged:
            return None
        return parse_byte_range(ranges[0], size)

    @override
    def render_HEAD(self, request: Request) -> bytes | int:
        body = self.render_GET(request)
        if not isinstance(body, bytes) or request.responseHeaders.hasHeader(b"content-length"):
            return body
        request.setHeader(b"Content-Length", b"%d" % len(body))
        return b""

    def _rendering(self, version: _Version) -> Rendering:
        kept = self.kept.get(self.path)
        if kept is None or kept[0] != version:
            kept = version, Rendering(self.getContent())
            self.kept[self.path] = kept
        return kept[1]

    @override
    def directoryListing(self) -> resource.Resource:
        return NotFound()

    childNotFound = NotFound()  # type: ignore[assignment]
