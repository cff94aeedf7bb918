"""Live messages as bytes, both ways, and what a client may send. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import orjson

from p2pool.base.errors import ParseError
from p2pool.base.text import excerpt

Frames = tuple[bytes, ...]
"""A message as it goes over the wire: WebSocket frames, in order."""

MAX_FRAME: Final = 32 * 1024
"""Bytes of a frame's payload: longer messages are fragmented, and pings and closes go between the fragments."""
MAX_SUBSCRIBED: Final = 64
"""Names in a subscription."""
_TEXT, _CONTINUATION, _FINAL = 0x1, 0x0, 0x80
_DEFAULT_PORTS = {"http": 80, "https": 443}


class TokenAllowance:
    """A token bucket: `most` at once, `rate` a second in the long run."""

    __slots__ = ("_left", "_most", "_rate", "_time")

    def __init__(self, most: float, rate: float, now: float) -> None:
        self._most = self._left = most
        self._rate = rate
        self._time = now

    def take(self, count: float, now: float) -> bool:
        """Return whether so much is allowed now, and spend it then."""
        self._left = min(self._most, self._left + max(0.0, now - self._time) * self._rate)
        self._time = now
        if count > self._left:
            return False
        self._left -= count
        return True


def message_frames(payload: bytes) -> Frames:
    """Return a text message of a server (RFC 6455, 5.2: unmasked) in frames of up to MAX_FRAME bytes."""
    starts = range(0, len(payload), MAX_FRAME) or range(1)
    return tuple(
        _frame(
            (_TEXT if start == 0 else _CONTINUATION) | (_FINAL if start + MAX_FRAME >= len(payload) else 0),
            payload[start : start + MAX_FRAME],
        )
        for start in starts
    )


def _frame(first_byte: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return struct.pack(">BB", first_byte, length) + payload
    return struct.pack(">BBH", first_byte, 126, length) + payload  # MAX_FRAME is less than 2^16


def join_views(kind: str, *, time: float, bodies: Mapping[str, bytes], views: Iterable[str]) -> bytes:
    """Return {"type": kind, "time": ..., "views": {name: body}} of bodies that are JSON already; views without
    a body are left out."""
    parts = b",".join(b'"%s":%s' % (view.encode(), bodies[view]) for view in sorted(views) if view in bodies)
    return b'{"type":"%s","time":%s,"views":{%s}}' % (kind.encode(), orjson.dumps(time), parts)


@dataclass(frozen=True, slots=True)
class ClientPing:
    """A client's question whether the node is there."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A client's request for other views than before."""

    views: frozenset[str]


def parse_client_message(payload: bytes, known: frozenset[str]) -> ClientPing | Subscribe:
    """Parse {"type": "ping"} or {"type": "subscribe", "views": [names of `known`]}. Raises ParseError."""
    try:
        message = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise ParseError(f"{excerpt(payload)} is not JSON") from None
    match message:
        case {"type": "ping"}:
            return ClientPing()
        case {"type": "subscribe", "views": [*names]}:
            return Subscribe(parse_views(names, known))
    raise ParseError(f"{excerpt(message)} is neither a ping nor a subscription")


def parse_views(names: list[object], known: frozenset[str]) -> frozenset[str]:
    """Return names of views as a set. Raises ParseError for none, for too many and for an unknown one."""
    if not 0 < len(names) <= MAX_SUBSCRIBED:
        raise ParseError(f"{len(names)} views requested; request between 1 and {MAX_SUBSCRIBED}")
    views = set()
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise ParseError(f"unknown view {excerpt(name)}")
        views.add(name)
    return frozenset(views)


def is_allowed_origin(origin: str | None, host: str | None, allowed: frozenset[str]) -> bool:
    """Return whether a page of `origin` (its header; None if the client is no browser) may connect at `host`
    (the Host header). Pages of the same host and port may, and those of `allowed` ("https://example.org:8443")."""
    if origin is None:
        return True
    parts = _origin_parts(origin)
    if parts is None:
        return False
    scheme, name, port = parts
    if any(_origin_parts(each) == parts for each in allowed):
        return True
    try:
        asked = urlsplit("//" + (host or ""))
        # Behind a proxy the page may be https although this node is not: the scheme only tells the omitted port.
        return asked.hostname == name and (asked.port or _DEFAULT_PORTS[scheme]) == port
    except ValueError:
        return False


def _origin_parts(text: str) -> tuple[str, str, int] | None:
    """Return (scheme, host, port) of an origin; None for "null" and for what is not an origin."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    extra = parts.path or parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or extra:
        return None
    return parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme]
