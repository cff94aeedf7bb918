"""The lean reactor handles events as Twisted's does: fewer in a turn, and without a logging context."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from p2pool.net import lean_reactor
from p2pool.net.lean_reactor import MAX_EVENTS, LeanReactor, after_events, install
from tests.logged import logged
from tests.support import ROOT

DONE = Failure(CONNECTION_DONE)


class Recorder(Protocol):
    """Remembers what it received and why it ended; fails if it receives `bad`."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.lost: list[object] = []

    def dataReceived(self, data: bytes) -> None:
        self.received.append(data)
        if data == b"bad":
            raise ValueError("a bug")

    def connectionLost(self, reason=None) -> None:
        self.lost.append(reason.type)


@pytest.fixture
def reactor() -> Iterator[LeanReactor]:
    """A reactor that nothing else uses."""
    made = LeanReactor()
    yield made
    made.removeAll()
    made._poller.close()
    made.waker.connectionLost(None)


@pytest.fixture
def connect(reactor: LeanReactor) -> Iterator:
    """A function that returns (the socket of a client, the protocol of its connection)."""
    clients = []

    def make() -> tuple[socket.socket, Recorder]:
        client, server = socket.socketpair()
        client.setblocking(False)
        clients.append(client)
        protocol = Recorder()
        reactor.adoptStreamConnection(server.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: protocol))
        server.close()
        return client, protocol

    yield make
    for client in clients:
        client.close()


def test_input_output_and_the_end_of_a_connection(reactor, connect):
    client, protocol = connect()
    client.send(b"hello")
    reactor.doPoll(0)
    assert protocol.received == [b"hello"]
    protocol.transport.write(b"answer")
    reactor.doPoll(0)
    assert client.recv(100) == b"answer"
    client.close()
    reactor.doPoll(0)
    reactor.doPoll(0)
    assert [each.__name__ for each in protocol.lost] == ["ConnectionDone"]
    assert protocol.transport not in reactor.getReaders()


def test_a_bug_ends_one_connection_and_is_logged(reactor, connect):
    (bad, broken), (good, working) = connect(), connect()
    bad.send(b"bad")
    good.send(b"good")
    with logged() as log:
        reactor.doPoll(0)
    assert broken.lost == [ValueError]
    assert working.received == [b"good"]
    assert "internal error while reading" in log.lines[0]


def test_a_bug_at_the_end_of_a_connection_does_not_stop_the_turn(reactor, connect):
    (first, broken), (second, working) = connect(), connect()
    broken.connectionLost = lambda reason: 1 / 0
    first.close()
    second.send(b"here")
    with logged() as log:
        reactor.doPoll(0)
        reactor.doPoll(0)
    assert working.received == [b"here"]
    assert "internal error" in log.lines[0]


def test_an_event_of_a_connection_that_ended_in_the_same_turn_is_ignored(reactor, connect):
    connections = [connect() for _ in range(2)]
    for client, protocol in connections:
        client.send(b"x")
        others = [other for _, other in connections if other is not protocol]
        protocol.dataReceived = lambda data, others=others: [o.transport.connectionLost(DONE) for o in others]
    reactor.doPoll(0)
    assert sorted(len(protocol.lost) for _, protocol in connections) == [0, 1]


def test_the_events_of_a_turn_are_bounded_and_none_is_lost(reactor, connect, monkeypatch):
    monkeypatch.setattr(lean_reactor, "MAX_EVENTS", 3)
    connections = [connect() for _ in range(7)]
    for client, _ in connections:
        client.send(b"x")
    served = []
    for _ in range(3):
        reactor.doPoll(0)
        served.append(sum(len(protocol.received) for _, protocol in connections))
    assert served == [3, 6, 7]
    assert MAX_EVENTS >= 100  # a turn costs two system calls of its own


def test_functions_are_called_after_the_events_of_the_turn(reactor, connect):
    order: list[str] = []
    connections = [connect() for _ in range(3)]
    for number, (client, protocol) in enumerate(connections):

        def received(data: bytes, number: int = number) -> None:
            order.append("event")
            if number == 0:
                after_events(reactor)(lambda: order.append("after"))

        protocol.dataReceived = received
        client.send(b"x")
    reactor.doPoll(0)
    assert order == ["event"] * 3 + ["after"]
    reactor.doPoll(0)
    assert order == ["event"] * 3 + ["after"]


def test_functions_that_are_called_from_timers_do_not_wait_for_events(reactor):
    called: list[int] = []
    reactor.call_after_events(lambda: 1 / 0)
    reactor.call_after_events(lambda: called.append(1))
    assert reactor.timeout() == 0
    with logged() as log:
        reactor.doPoll(reactor.timeout())
    assert called == [1]
    assert "internal error after the events" in log.lines[0]
    assert reactor.timeout() != 0


def test_other_reactors_have_no_such_method():
    assert after_events(object()) is None


PROGRAM = """
import sys
from p2pool.net.lean_reactor import LeanReactor, install
if sys.argv[1] == "late":
    from twisted.internet import reactor
install()
from twisted.internet import reactor
print(isinstance(reactor, LeanReactor))
reactor.callWhenRunning(reactor.callLater, 0, reactor.stop)
reactor.run()
"""


@pytest.mark.parametrize(("when", "expected"), [("early", "True"), ("late", "False")])
def test_it_is_installed_unless_there_is_a_reactor(when, expected):
    command = [sys.executable, "-c", PROGRAM, when]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == expected


def test_nothing_is_installed_without_epoll(monkeypatch):
    monkeypatch.setattr(lean_reactor, "AVAILABLE", False)
    monkeypatch.setattr(lean_reactor, "installReactor", None)
    install()
    assert after_events(object()) is None
