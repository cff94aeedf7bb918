"""The node as an onion service, against a dialogue recorded from Tor 0.4.9 (e2e/test_onion.py has a real one)."""

from __future__ import annotations

import stat
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from p2pool.app.onion import ANSWER_TIME, KEY_NAME, OnionService, OnionSettings
from tests.environment import make_environment
from tests.logged import logged

PROTOCOL = '250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250-VERSION Tor="0.4.9.11"\r\n250 OK\r\n'
HOST = "2ja4ln5xsqysz4neluuc4gpnnrhoi6tzcmsbzzheudcfnoe2qz6m42qd"
KEY = "ED25519-V3:mGzCu2gt5tt+l1BGVrhWwnZYrIL7zQur/2/jK2PjBkPmpFnQX1jj1baqlAw/Oh/ig+j9Ce22pyCOEOrEA8bUQw=="
MADE = f"250-ServiceID={HOST}\r\n250-PrivateKey={KEY}\r\n250 OK\r\n"
AGAIN = f"250-ServiceID={HOST}\r\n250 OK\r\n"


class Tor:
    """A service, and the control port that the test plays."""

    def __init__(self, directory, *answers: str) -> None:
        self.reactor = MemoryReactorClock()
        settings = OnionSettings(("127.0.0.1", 9051), None, [(8999, ("127.0.0.1", 18999)), (80, ("::1", 7903))])
        self.service = OnionService(make_environment(self.reactor), lambda: settings, directory)
        self.answers = list(answers)
        self.sent: list[str] = []
        self.service.start()

    def write(self, data: bytes) -> None:
        self.sent.append(data.decode().strip())
        if self.answers:
            self.control.dataReceived(self.answers.pop(0).encode())

    def accept(self) -> Tor:
        self.control: Any = self.reactor.tcpClients[-1][2].buildProtocol(None)
        self.transport = StringTransport()
        self.transport.write = self.write
        self.control.makeConnection(self.transport)
        return self


def test_it_is_published_with_a_key_that_is_kept_and_withdrawn_at_the_end(tmp_path):
    tor = Tor(tmp_path, PROTOCOL, "250 OK\r\n", MADE, "250 OK\r\n")
    with logged() as log:
        tor.accept()
    assert [f"onion service published: {HOST}.onion, ports 8999, 80" in line for line in log.lines] == [True]
    assert tor.service.host == f"{HOST}.onion"
    path = tmp_path / KEY_NAME
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == (KEY + "\n", 0o600)
    assert ensureDeferred(tor.service.stop()).called
    assert tor.sent[2:] == [
        "ADD_ONION NEW:ED25519-V3 Port=8999,127.0.0.1:18999 Port=80,[::1]:7903",
        f"DEL_ONION {HOST}",
    ]
    assert tor.transport.disconnected
    assert tor.reactor.getDelayedCalls() == []
    again = Tor(tmp_path, PROTOCOL, "250 OK\r\n", AGAIN).accept()
    assert again.sent[2].startswith(f"ADD_ONION {KEY} Port=8999,")
    stopping = ensureDeferred(again.service.stop())
    assert not stopping.called, "Tor does not answer"
    again.reactor.advance(2)
    assert stopping.called
    assert again.transport.disconnected


def test_it_is_published_again_once_tor_is_back(tmp_path):
    tor = Tor(tmp_path, PROTOCOL, "250 OK\r\n", MADE).accept()
    with logged() as log:
        tor.control.connectionLost(Failure(ConnectionDone()))
        assert tor.service.host is None
        for _ in range(3):
            tor.reactor.advance(10)
            tor.reactor.tcpClients[-1][2].clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    assert [line for line in log.lines if "not published" in line] == log.lines
    assert len(log.lines) == 2, "that Tor is gone, and once that it cannot be reached"
    assert "127.0.0.1:9051" in log.lines[1]
    tor.answers = [PROTOCOL, "250 OK\r\n", AGAIN]
    tor.reactor.advance(60)
    tor.accept()
    assert (tor.service.host, tor.service.problem) == (f"{HOST}.onion", None)
    tor.answers = ["250 OK\r\n"]
    assert ensureDeferred(tor.service.stop()).called
    assert tor.reactor.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((PROTOCOL, "250 OK\r\n", "550 Onion address collision\r\n"), "550 Onion address collision"),
        ((PROTOCOL, "250 OK\r\n"), f"no answer within {ANSWER_TIME:g} s"),
        (("SSH-2.0-OpenSSH\r\n",), "not Tor's control port"),
    ],
)
def test_what_goes_wrong_is_reported_once_and_tried_again(tmp_path, answers, why):
    tor = Tor(tmp_path, *answers)
    with logged() as log:
        tor.accept()
        tor.reactor.advance(ANSWER_TIME)
        tor.reactor.advance(1)
        tor.answers = list(answers)
        if len(tor.reactor.tcpClients) > 1:
            tor.accept()
            tor.reactor.advance(ANSWER_TIME)
    assert [why in line for line in log.lines] == [True]
    assert why in (tor.service.problem or "")
    assert tor.transport.disconnected
    assert not (tmp_path / KEY_NAME).exists()
    ensureDeferred(tor.service.stop())
    assert tor.reactor.getDelayedCalls() == []


def test_a_key_that_cannot_be_read_is_not_replaced(tmp_path):
    (tmp_path / KEY_NAME).write_bytes(b"\xff half a key")
    tor = Tor(tmp_path)
    assert "holds no key" in (tor.service.problem or "")
    assert tor.reactor.tcpClients == []
    assert (tmp_path / KEY_NAME).read_bytes() == b"\xff half a key"
    ensureDeferred(tor.service.stop())
    assert tor.reactor.getDelayedCalls() == []
