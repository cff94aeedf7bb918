"""Bytes that are rendered once and served to many: with their ETag, compressed if a client accepts that.

Compressing megabytes would delay miners for too long: it is done in a thread, which the caller provides.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

MIN_COMPRESSED = 860
"""Bytes below which compressing saves no packet."""
THREAD_SIZE = 256 * 1024
"""Bytes from which on compressing is left to a thread: JSON of this size takes some 5 ms."""
_LEVEL = 5
MAX_TAGS = 4096
"""Characters of If-None-Match that are parsed."""
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e]*")')
_QUALITY = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")

RunInThread = Callable[[Callable[[], Any]], "Deferred[Any]"]


class Rendering:
    """One body. The tag and the compressed form are made when they are first asked for, and once."""

    __slots__ = ("_compressed", "_tag", "_waiting", "body")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._tag: bytes | None = None
        self._compressed: bytes | None = None
        self._waiting: list[Deferred[bytes]] | None = None

    def tag(self, compressed: bool) -> bytes:
        """Return the strong ETag of the body, or of its compressed form, which has another one."""
        if self._tag is None:
            self._tag = hashlib.blake2b(self.body, digest_size=12).hexdigest().encode()
        return b'"%s-gzip"' % self._tag if compressed else b'"%s"' % self._tag

    def compressed(self, run_in_thread: RunInThread | None) -> bytes | Deferred[bytes]:
        """Return the body compressed with gzip, or a Deferred of it if a thread does that."""
        if self._compressed is not None:
            return self._compressed
        if run_in_thread is None or len(self.body) < THREAD_SIZE:
            self._compressed = _compress(self.body)
            return self._compressed
        result: Deferred[bytes] = Deferred()
        if self._waiting is not None:
            self._waiting.append(result)
            return result
        self._waiting = [result]
        run_in_thread(lambda: _compress(self.body)).addBoth(self._finished)
        return result

    def _finished(self, result: Any) -> None:
        waiting, self._waiting = self._waiting or [], None
        if isinstance(result, bytes):
            self._compressed = result
        for each in waiting:
            each.callback(result)  # a failure goes to those who wait


def _compress(body: bytes) -> bytes:
    return gzip.compress(body, _LEVEL, mtime=0)


def compress_once(body: bytes) -> bytes:
    """Return a body compressed for one client: in a fifth of the time that the last percents would take."""
    return gzip.compress(body, 1, mtime=0)


def is_compressible(content_type: bytes) -> bool:
    """Return whether compressing saves bytes for this type."""
    kind = content_type.partition(b";")[0].strip()
    return kind.startswith(b"text/") or kind in (
        b"application/json",
        b"application/javascript",
        b"application/manifest+json",
        b"image/svg+xml",
    )


def takes_gzip(accept_encoding: str | None) -> bool:
    """Return whether a client that sent this Accept-Encoding accepts gzip (RFC 9110, 12.5.3)."""
    quality: dict[str, float] = {}
    for item in (accept_encoding or "").lower().split(",", 32)[:32]:
        name, *parameters = (part.strip() for part in item.split(";", 4))
        value = 1.0
        for parameter in parameters:
            match = _QUALITY.fullmatch(parameter)
            value = float(match[1]) if match else 0.0
        quality[name] = value
    for name in ("gzip", "x-gzip", "*"):
        if name in quality:
            return quality[name] > 0
    return False


def is_known(if_none_match: str | None, *tags: bytes) -> bool:
    """Return whether a client that sent this If-None-Match has one of the tags (RFC 9110, 13.1.2: compared
    weakly)."""
    if if_none_match is None:
        return False
    text = if_none_match.strip()[:MAX_TAGS]
    known = {tag.decode("ascii") for tag in tags}
    return text == "*" or any(match in known for match in _TAG.findall(text))
