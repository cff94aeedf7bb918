"""The pages' files: from memory with their ETag, once they were read; nothing outside their directory."""

from __future__ import annotations

from twisted.web import resource, static
from twisted.web.http import NOT_FOUND
from twisted.web.server import Request

from p2pool.base.bounded import BoundedDict
from p2pool.web.rendering import Rendering, RunInThread
from p2pool.web.resources import GetResource, error, serve

MAX_KEPT_FILE = 512 * 1024
"""Bytes of a file that is kept in memory; larger ones are sent from the disk, piece by piece."""
MAX_KEPT_FILES = 64
CUSTOM_PAGES_POLICY = (
    b"default-src 'self' https: data: blob:; script-src 'self' https: 'unsafe-inline'; "
    b"style-src 'self' https: 'unsafe-inline'; object-src 'none'; frame-ancestors 'none'; base-uri 'self'; "
    b"form-action 'self' https:"
)
"""The Content-Security-Policy of an operator's own pages: scripts, event handlers and styles inside a page work,
and so do libraries from other sites over HTTPS. `eval`, plug-ins and frames around the page stay forbidden. A page
that puts names of miners into its HTML has to escape them: this policy does not stop what gets in that way."""

_Version = tuple[int, float]
"""(bytes, modified): another one is read anew."""


class NotFound(GetResource):
    """What there is not, whatever is to be done with it."""

    methods: tuple[bytes, ...] | None = None

    def render(self, request: Request) -> bytes | int:
        """Twisted's, for any method."""
        return self.render_HEAD(request) if request.method == b"HEAD" else self.render_GET(request)

    def answer(self, request: Request) -> tuple[int, bytes]:
        """A JSON error."""
        return error(NOT_FOUND, "not_found", "there is nothing at this address")


class StaticFiles(static.File):
    """A directory's files without listings. Bound: MAX_KEPT_FILES of MAX_KEPT_FILE bytes, each compressed
    besides."""

    kept: BoundedDict[str, tuple[_Version, Rendering]]
    run_in_thread: RunInThread | None
    policy: bytes | None

    @classmethod
    def below(cls, directory: str, run_in_thread: RunInThread | None, policy: bytes | None = None) -> StaticFiles:
        """The files of a directory. `run_in_thread` is for compressing large ones; `policy` is their
        Content-Security-Policy if it is not that of all other answers."""
        files = cls(directory)
        files.kept = BoundedDict(MAX_KEPT_FILES)
        files.run_in_thread = run_in_thread
        files.policy = policy
        return files

    def createSimilarFile(self, path: str) -> StaticFiles:
        """Twisted's, for each file below: they share what is kept."""
        found: StaticFiles = super().createSimilarFile(path)  # type: ignore[no-untyped-call]
        found.kept = self.kept
        found.run_in_thread = self.run_in_thread
        found.policy = self.policy
        return found

    def getChild(self, path: bytes | str, request: Request) -> resource.Resource:
        """Twisted's: what no file can be called is not there, rather than a traceback."""
        name = path if isinstance(path, bytes) else path.encode()
        try:
            name.decode("utf-8")
        except UnicodeDecodeError:
            return self.childNotFound
        return self.childNotFound if b"\x00" in name else super().getChild(path, request)  # type: ignore[no-untyped-call]

    def render_GET(self, request: Request) -> bytes | int:
        """Twisted's."""
        if self.isfile():
            if self.policy is not None:
                request.setHeader(b"Content-Security-Policy", self.policy)
            kind, encoding = static.getTypeAndEncoding(
                self.basename(), self.contentTypes, self.contentEncodings, self.defaultType
            )
            version = (self.getsize(), self.getModificationTime())
            if encoding is None and version[0] <= MAX_KEPT_FILE:
                try:
                    rendering = self._rendering(version)
                except OSError:
                    return self.childNotFound.render_GET(request)
                return serve(request, rendering, kind.encode(), self.run_in_thread)
        return super().render_GET(request)  # type: ignore[no-untyped-call, no-any-return]

    def render_HEAD(self, request: Request) -> bytes | int:
        """Twisted's."""
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

    def directoryListing(self) -> resource.Resource:
        """Twisted's."""
        return NotFound()

    childNotFound = NotFound()  # type: ignore[assignment]
