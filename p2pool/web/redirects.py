"""Redirects: relative to the requested address, or below the path under which a trusted reverse proxy serves
the site. Either way a redirect stays on the same site."""

from __future__ import annotations

import re
from typing import Final

from twisted.web.http import FOUND
from twisted.web.server import Request

MAX_PREFIX: Final = 200
"""Characters of a path under which a proxy serves the site."""
_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+")


def parse_prefix(text: str | None) -> str:
    """Return the path that X-Forwarded-Prefix names, without a slash at its end; "" for none and for anything that
    is not a plain absolute path: a prefix that begins with two slashes would be another host."""
    if text is None or len(text) > MAX_PREFIX:
        return ""
    path = text.strip(" \t").removesuffix("/")
    return path if _PREFIX.fullmatch(path) else ""


def redirect(request: Request, target: bytes) -> bytes:
    """Answer `request` with a redirect to `target`, a relative path, keep its query, and return the empty body."""
    path, mark, query = request.uri.partition(b"?")
    prefix = getattr(request, "prefix", "").encode()
    # Where a proxy serves the site as /pool, that address itself has no slash at its end to be relative to.
    location = prefix + path.rpartition(b"/")[0] + b"/" + target if prefix else target
    if b":" in location.partition(b"/")[0]:
        location = b"./" + location  # else the part before the colon would be taken for a scheme
    request.setResponseCode(FOUND)
    request.setHeader(b"Location", location + mark + query)
    request.setHeader(b"Cache-Control", b"no-store")
    return b""
