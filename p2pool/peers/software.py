"""Which software a peer is, by what it calls itself in `version`: a short name that is safe to show and to count
by."""

from __future__ import annotations

import re

OURS, C2POOL, LEGACY, OTHER = "p2pool-dash", "c2pool", "legacy p2pool-dash", "other"
KNOWN = (OURS, C2POOL, LEGACY)
_LEGACY = re.compile(r"v?[0-9]+\.[0-9][\w.+-]*|[0-9a-f]{7,40}(-dirty)?|unknown [0-9a-f]*")
"""Legacy p2pool-dash says its version only: a tag (v1.0.6-12-g9a0a609), a commit, or that it knows neither."""
_NAME = re.compile(r"/?([a-z][a-z0-9]*(?:[_-][a-z][a-z0-9]*)*)")
_MAX_NAME = 24


def software_name(sub_version: bytes) -> str:
    """Return the name without a version, in lower case letters, digits, "-" and "_"; "other" for what has none.
    Whatever a peer says of itself, it is at most 24 characters long."""
    text = sub_version[:64].decode("latin-1").lower()
    if _LEGACY.fullmatch(text):
        return LEGACY
    name = _NAME.match(text)
    return OTHER if name is None or len(name[1]) > _MAX_NAME else name[1]
