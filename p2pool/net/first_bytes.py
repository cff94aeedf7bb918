"""Recognises foreign protocols by a connection's first bytes, and answers getwork miners and lost browsers.

`worker_port` asks before it hands a connection over. A client that comes to the wrong port, or with the wrong
protocol, is disconnected at once: a parser that waits for the rest would keep the connection for half a minute.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import orjson
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from typing_extensions import override

TLS_HANDSHAKE: Final = 0x16
"""The first byte of every TLS connection (RFC 8446, section 5.1)."""
_PROXY: Final = "a PROXY header from an address that is not named with --stratum-proxy-protocol"
GETWORK: Final = b"POST / HTTP/1."
"""How a getwork miner begins. No page posts anything to this path."""
MAX_REQUEST: Final = 16 * 1024
"""Bytes of a getwork request that are read. After that it is answered, complete or not."""
REQUEST_TIME: Final = 10.0
"""Seconds after which it is answered, complete or not."""
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,6})[ \t]*\r\n", re.IGNORECASE)
_HOST: Final = re.compile(rb"\r\nhost:[ \t]*([A-Za-z0-9.:_\[\]-]{1,255})[ \t]*\r\n", re.IGNORECASE)
_SWITCHES: Final = re.compile(rb"\r\nuser-agent:[ \t]*(?:cpuminer|cgminer|bfgminer)/", re.IGNORECASE)
"""Miners that switch to the URL in X-Stratum. Others are not sent it: it makes cpuminer-opt wait forever."""


class Foreign(NamedTuple):
    """A protocol that is not spoken here. `is_mistake` if a setting of the client is wrong, False for scanners."""

    what: str
    is_mistake: bool


_OPENINGS: Final = (
    (bytes([TLS_HANDSHAKE]), Foreign("TLS, which this port does not speak: use stratum+tcp:// or http://", True)),
    (b"PROXY ", Foreign(_PROXY, True)),
    (b"\x00\r\nQUIT\n", Foreign(_PROXY, True)),  # version 2, after its leading white space
    (b"PRI * HTTP/2", Foreign("HTTP/2, which is not spoken here: use HTTP/1.1", True)),
    (b"SSH-", Foreign("SSH", False)),
)
_BINARY: Final = Foreign("binary data, such as Stratum V2: use stratum+tcp:// (Stratum V1)", False)


def foreign_protocol(data: bytes) -> Foreign | None:
    """Return the foreign protocol of a connection that begins with `data` (at least one byte, no leading white
    space).

    None if it is stratum or HTTP, or may become either.
    """
    for opening, foreign in _OPENINGS:
        if data.startswith(opening):
            return foreign
    first = data[:1]
    return None if first.isalpha() or first in (b"{", b"[") else _BINARY


def getwork_answer(request: bytes) -> bytes:
    """Return the answer to a getwork request: a JSON-RPC error with HTTP status 200, since miners show its text,
    but only the number of any other status. Some miners switch to stratum by themselves."""
    host = _HOST.search(request)
    url = b"" if host is None else b"stratum+tcp://" + host[1]
    replacement = url.decode() or "stratum+tcp:// with this host and port"
    message = f"this node does not serve getwork over HTTP; use {replacement}"
    body = orjson.dumps(
        {"id": _request_id(request), "result": None, "error": {"code": -32601, "message": message}}
    )
    head = [
        b"HTTP/1.1 200 OK",
        b"Connection: close",
        b"Content-Type: application/json; charset=utf-8",
        b"X-Content-Type-Options: nosniff",
        b"Content-Length: %d" % len(body),
        *([b"X-Stratum: " + url] if url and _SWITCHES.search(request) else []),
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def _request_id(request: bytes) -> Any:
    try:
        message = orjson.loads(request.partition(b"\r\n\r\n")[2])
    except orjson.JSONDecodeError:
        return None
    request_id = message.get("id") if isinstance(message, dict) else None
    return request_id if isinstance(request_id, int | str) else None


class GetworkAnswer(Protocol):
    """A connection of a getwork miner, which is answered once, when its request is complete. Bound: MAX_REQUEST
    bytes and REQUEST_TIME seconds."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._request = b""
        self._waiting: IDelayedCall | None = None
        self._is_over = False

    @override
    def connectionMade(self) -> None:
        self._waiting = self._reactor.callLater(REQUEST_TIME, self._answer)

    @override
    def dataReceived(self, data: bytes) -> None:
        if self._is_over:
            return
        self._request += data
        head, end, body = self._request.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if len(self._request) > MAX_REQUEST or (end and len(body) >= (int(length[1]) if length else 0)):
            self._answer()

    def _answer(self) -> None:
        self._stop_waiting()
        self._is_over = True
        if self.transport is not None:
            self.transport.write(getwork_answer(self._request[:MAX_REQUEST]))
            self.transport.loseConnection()

    def _stop_waiting(self) -> None:
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        self._waiting = None

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_waiting()
        self._is_over = True


class _Hint(Protocol):
    """Answers any request with the address of the pages, and closes the connection."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    @override
    def connectionMade(self) -> None:
        # It is known by its first byte that this is not a miner.
        if self.transport is not None:
            self.transport.write(
                b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
                b"X-Content-Type-Options: nosniff\r\nContent-Length: %d\r\n\r\n%b" % (len(self._text), self._text)
            )
            self.transport.loseConnection()


class HintFactory(Factory):
    """Takes the web's place on a worker port that is for miners only."""

    noisy = False

    def __init__(self, text: str) -> None:
        self._text = text.encode()

    @override
    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return _Hint(self._text)
