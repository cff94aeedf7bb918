"""Tor's control port (control-spec.txt): what a controller needs to log in and to publish an onion service.

Five commands, so no library: PROTOCOLINFO, AUTHCHALLENGE, AUTHENTICATE, ADD_ONION, DEL_ONION.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from typing_extensions import override

from p2pool.base.text import printable

MAX_REPLY: Final = 64 * 1024
"""Bytes of a reply; those to these commands have some hundred."""
COOKIE_SIZE: Final = 32
_SERVER_KEY: Final = b"Tor safe cookie authentication server-to-controller hash"
_CLIENT_KEY: Final = b"Tor safe cookie authentication controller-to-server hash"


class TorError(Exception):
    """Tor refuses, or what listens there is not Tor's control port."""


class ReplyReader:
    """Makes replies of bytes: each is its status and the texts of its lines. Raises TorError."""

    def __init__(self) -> None:
        self._data = b""
        self._lines: list[str] = []
        self._size = 0

    def receive(self, data: bytes) -> list[tuple[int, list[str]]]:
        """Take bytes; return the replies that they complete. Events, which nobody asked for, are left out."""
        self._data += data
        self._size += len(data)
        if self._size > MAX_REPLY:
            raise TorError(f"a reply of more than {MAX_REPLY} bytes")
        replies = []
        *lines, self._data = self._data.split(b"\r\n")
        for line in lines:
            text = line.decode("utf-8", "replace")
            match = re.fullmatch("([0-9]{3})([ -])(.*)", text)
            if match is None:
                raise TorError(f"what listens there is not Tor's control port: it says {printable(text, 60)}")
            self._lines.append(match[3])
            if match[2] == " ":
                if match[1] != "650":
                    replies.append((int(match[1]), self._lines))
                self._lines, self._size = [], len(self._data)
        return replies


class TorControl(Protocol):
    """One connection with the control port. `ended` fires when it has ended."""

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()
        self._reader = ReplyReader()
        self._waiting: deque[Deferred[list[str]]] = deque()
        """Bound: the commands that were sent; one at a time."""

    async def command(self, line: str) -> list[str]:
        """Send a command; return the texts of its reply's lines. Raises TorError."""
        if self.ended.called or self.transport is None:
            raise TorError("the connection has ended")
        reply: Deferred[list[str]] = Deferred()
        self._waiting.append(reply)
        self.transport.write(line.encode() + b"\r\n")
        return await reply

    @override
    def dataReceived(self, data: bytes) -> None:
        try:
            replies = self._reader.receive(data)
        except TorError as error:
            self._fail(error)
            self.close()
            return
        for status, lines in replies:
            if not self._waiting:
                continue
            reply = self._waiting.popleft()
            if reply.called:
                continue
            if status == 250:
                reply.callback(lines)
            else:
                reply.errback(TorError(f"{status} {printable(lines[-1], 200)}"))

    def _fail(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, deque()
        for reply in waiting:
            if not reply.called:
                reply.errback(error)

    def close(self) -> None:
        """End the connection: Tor then withdraws what was published on it."""
        abort: Any = getattr(self.transport, "abortConnection", None)
        if abort is not None:
            abort()

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._fail(TorError("Tor closed the connection"))
        if not self.ended.called:
            self.ended.callback(None)


def read_cookie(path: str) -> bytes:
    """Return the content of a cookie file. Blocks. Raises TorError."""
    try:
        with Path(path).open("rb") as file:
            cookie = file.read(COOKIE_SIZE + 1)
    except OSError as error:
        raise TorError(
            f"cannot read Tor's cookie {printable(path, 200)} ({error.strerror}): let this user read it "
            "(CookieAuthFileGroupReadable 1, and the group of Tor's user), or give --tor-control-password"
        ) from None
    if len(cookie) != COOKIE_SIZE:
        raise TorError(f"{printable(path, 200)} is not a cookie of Tor")
    return cookie


async def log_in(
    control: TorControl, *, password: str | None, nonce: bytes, cookie_of: Callable[[str], Any]
) -> None:
    """Log in: with the password if one is given, else with the cookie that `cookie_of` a path returns, which is
    proven and not sent. `nonce` is 32 random bytes. Raises TorError."""
    information = " ".join(await control.command("PROTOCOLINFO 1"))
    methods = (re.findall("METHODS=([A-Z,]+)", information) or [""])[0].split(",")
    if password is not None:
        await control.command(f"AUTHENTICATE {_quoted(password)}")
    elif "SAFECOOKIE" in methods:
        path = re.findall(r'COOKIEFILE="((?:[^"\\]|\\.)*)"', information)
        cookie = await cookie_of(re.sub(r"\\(.)", r"\1", path[0] if path else ""))
        await control.command(f"AUTHENTICATE {await _proof(control, cookie, nonce)}")
    elif "NULL" in methods:
        await control.command("AUTHENTICATE")
    else:
        raise TorError("Tor asks for a password: give --tor-control-password, or set CookieAuthentication 1")


async def _proof(control: TorControl, cookie: bytes, nonce: bytes) -> str:
    """Return the proof that this side knows the cookie, once Tor has proven the same."""
    challenge = " ".join(await control.command(f"AUTHCHALLENGE SAFECOOKIE {nonce.hex()}"))
    match = re.search("SERVERHASH=([0-9A-Fa-f]{64}) SERVERNONCE=([0-9A-Fa-f]{64})", challenge)
    if match is None:
        raise TorError("malformed challenge")
    said = cookie + nonce + bytes.fromhex(match[2])
    if not hmac.compare_digest(hmac.digest(_SERVER_KEY, said, hashlib.sha256), bytes.fromhex(match[1])):
        raise TorError("what listens there does not know Tor's cookie")
    return hmac.digest(_CLIENT_KEY, said, hashlib.sha256).hex()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


KEY_FORM: Final = r"ED25519-V3:[0-9A-Za-z+/=]{80,100}"
"""Matches a key as Tor gives it."""


async def add_onion(control: TorControl, key: str | None, ports: Sequence[tuple[int, str]]) -> tuple[str, str]:
    """Publish an onion service, with a new key if there is none; `ports` are those of the service, each with the
    HOST:PORT that it leads to. Return its host and its key. Tor withdraws it when the connection ends. Raises
    TorError."""
    forwarded = " ".join(f"Port={port},{target}" for port, target in ports)
    lines = await control.command(f"ADD_ONION {key or 'NEW:ED25519-V3'} {forwarded}")
    text = " ".join(lines)
    name = re.search("ServiceID=([a-z2-7]{56})", text)
    made = re.search(f"PrivateKey=({KEY_FORM})", text)
    if name is None or (key is None and made is None):
        raise TorError("malformed reply to ADD_ONION")
    return f"{name[1]}.onion", key or ("" if made is None else made[1])
