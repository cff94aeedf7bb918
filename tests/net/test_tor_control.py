"""Tor's control port: replies, ways to log in, and what is not Tor. The dialogue was recorded from Tor 0.4.9."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from p2pool.net.tor_control import MAX_REPLY, TorControl, TorError, add_onion, log_in, read_cookie

COOKIE, NONCE, THEIRS = bytes(range(32)), b"\x01" * 32, b"\x02" * 32
PROTOCOL = (
    '250-PROTOCOLINFO 1\r\n250-AUTH METHODS={} COOKIEFILE="/var/run/tor/a \\"b"\r\n'
    '250-VERSION Tor="0.4.9.11"\r\n250 OK\r\n'
)
HOST = "t3hofjzwcv7xndyfrmzdqf2v6yloa3p2b7jcvqkykzukzoxqvjpqbfid"
KEY = "ED25519-V3:" + "oFYN4BmA9y0PpsSvNdoEg1uzuScaW+QcyEo8TSpP0l" * 2 + "=="


def server_hash(cookie: bytes) -> str:
    key = b"Tor safe cookie authentication server-to-controller hash"
    return hmac.digest(key, cookie + NONCE + THEIRS, hashlib.sha256).hex().upper()


class Line:
    """A connection whose other end the test plays: what it is to answer to each command, in turn."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.sent: list[str] = []
        self.control = TorControl()
        self.transport = StringTransport()
        self.transport.write = self.write
        self.control.makeConnection(self.transport)

    def write(self, data: bytes) -> None:
        self.sent.append(data.decode().removesuffix("\r\n"))
        if self.answers:
            self.control.dataReceived(self.answers.pop(0).encode())


def result(coroutine: Any) -> Any:
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    (found,) = results
    if isinstance(found, Failure):
        found.raiseException()
    return found


def logged_in(line: Line, password: str | None = None) -> Any:
    return result(log_in(line.control, password=password, nonce=NONCE, cookie_of=lambda path: succeed(COOKIE)))


def test_the_cookie_is_proven_and_not_sent():
    challenge = f"250 AUTHCHALLENGE SERVERHASH={server_hash(COOKIE)} SERVERNONCE={THEIRS.hex().upper()}\r\n"
    line = Line(PROTOCOL.format("COOKIE,SAFECOOKIE"), challenge, "250 OK\r\n")
    paths: list[str] = []
    result(
        log_in(
            line.control, password=None, nonce=NONCE, cookie_of=lambda path: paths.append(path) or succeed(COOKIE)
        )
    )
    proof = hmac.digest(
        b"Tor safe cookie authentication controller-to-server hash", COOKIE + NONCE + THEIRS, hashlib.sha256
    )
    assert line.sent == [
        *("PROTOCOLINFO 1", f"AUTHCHALLENGE SAFECOOKIE {NONCE.hex()}", f"AUTHENTICATE {proof.hex()}")
    ]
    assert paths == ['/var/run/tor/a "b']


def test_other_ways_to_log_in():
    line = Line(PROTOCOL.format("HASHEDPASSWORD"), "250 OK\r\n")
    logged_in(line, 'a "\\b')
    assert line.sent[1] == 'AUTHENTICATE "a \\"\\\\b"'
    line = Line(PROTOCOL.format("NULL"), "250 OK\r\n")
    logged_in(line)
    assert line.sent[1] == "AUTHENTICATE"


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((PROTOCOL.format("HASHEDPASSWORD"),), "give --tor-control-password"),
        ((PROTOCOL.format("NULL"), "515 Authentication failed: wrong\r\n"), "515 Authentication failed: wrong"),
        ((PROTOCOL.format("SAFECOOKIE"), "250 AUTHCHALLENGE\r\n"), "malformed challenge"),
        (
            (
                PROTOCOL.format("SAFECOOKIE"),
                f"250 AUTHCHALLENGE SERVERHASH={server_hash(bytes(32))} SERVERNONCE={THEIRS.hex()}\r\n",
            ),
            "does not know Tor's cookie",
        ),
        (("HTTP/1.1 400 Bad Request\r\n",), "is not Tor's control port: it says HTTP/1.1 400"),
        (("250-" + "x" * MAX_REPLY,), "more than"),
    ],
)
def test_who_is_not_let_in(answers, why):
    line = Line(*answers)
    with pytest.raises(TorError, match=why):
        logged_in(line)


def test_the_end_of_the_connection_ends_what_waits():
    line = Line()
    results: list[Any] = []
    Deferred.fromCoroutine(line.control.command("GETINFO version")).addBoth(results.append)
    line.control.connectionLost(Failure(ConnectionDone()))
    assert results[0].check(TorError)
    assert line.control.ended.called
    with pytest.raises(TorError):
        result(line.control.command("GETINFO version"))


def test_services():
    line = Line(
        f"250-ServiceID={HOST}\r\n250-PrivateKey={KEY}\r\n250 OK\r\n",
        f"650 EVENT\r\n250-ServiceID={HOST}\r\n250 OK\r\n",
    )
    assert result(add_onion(line.control, None, [(8999, "127.0.0.1:8999"), (80, "[::1]:7903")])) == (
        f"{HOST}.onion",
        KEY,
    )
    assert line.sent == ["ADD_ONION NEW:ED25519-V3 Port=8999,127.0.0.1:8999 Port=80,[::1]:7903"]
    assert result(add_onion(line.control, KEY, [(1, "127.0.0.1:2")])) == (f"{HOST}.onion", KEY)
    assert line.sent[1] == f"ADD_ONION {KEY} Port=1,127.0.0.1:2"
    for answer in ("250 OK\r\n", f"250-ServiceID={HOST}\r\n250 OK\r\n", "550 Onion address collision\r\n"):
        with pytest.raises(TorError):
            result(add_onion(Line(answer).control, None, [(1, "127.0.0.1:2")]))


def test_cookies(tmp_path):
    path = tmp_path / "cookie"
    with pytest.raises(TorError, match="CookieAuthFileGroupReadable"):
        read_cookie(str(path))
    for content in (b"", bytes(33)):
        path.write_bytes(content)
        with pytest.raises(TorError, match="is not a cookie"):
            read_cookie(str(path))
    path.write_bytes(COOKIE)
    assert read_cookie(str(path)) == COOKIE
