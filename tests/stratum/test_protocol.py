"""From bytes to lines and back: pieces, garbage, lines without end, readers that do not read."""

from __future__ import annotations

import random
import socket
import weakref
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.tcp import Server
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from tests.logged import logged
from tests.stratum.miner import ADDRESS
from tests.stratum.wire import StratumHarness, line

MAX_LINE, MAX_UNSENT = 8192, 256 * 1024


def test_lines_come_in_any_pieces():
    harness = StratumHarness()
    data = line("mining.subscribe") + b"\r\n\n" + line("mining.ping").replace(b"\n", b"\r\n")
    rng = random.Random(1)
    for _ in range(20):
        protocol, transport = harness.connect()
        rest = data
        while rest:
            size = rng.randrange(1, 20)
            protocol.dataReceived(rest[:size])
            rest = rest[size:]
        subscribed, pong = transport.messages()
        assert subscribed["result"][2] == 4
        assert pong["result"] == "pong"


def test_an_unfinished_line_is_no_request():
    protocol, transport = StratumHarness().connect()
    protocol.dataReceived(line("mining.ping")[:-1])
    assert transport.messages() == []


def test_the_longest_line_is_answered():
    protocol, transport = StratumHarness().connect()
    protocol.dataReceived(b'{"id":1,"method":"mining.ping"}'.ljust(MAX_LINE) + b"\n")
    assert transport.messages()[0]["result"] == "pong"
    assert not transport.disconnecting


@pytest.mark.parametrize("end", [b"", b"\n", b"\n" + line("mining.ping")])
def test_a_longer_line_ends_the_connection_with_one_log_line(end):
    harness = StratumHarness()
    protocol, transport = harness.connect("10.9.8.7")
    with logged() as log:
        protocol.dataReceived(line("mining.ping") + b"{" * (MAX_LINE + 1) + end)
        protocol.dataReceived(b"{" * 1000 + line("mining.ping"))
    assert [m["result"] for m in transport.messages()] == ["pong"]
    assert transport.disconnecting
    assert len(harness.server) == 0
    assert len(log.lines) == 1
    assert "10.9.8.7" in log.lines[0]
    assert not log.tracebacks


def test_a_line_that_grows_slowly_ends_too():
    protocol, transport = StratumHarness().connect()
    for _ in range(MAX_LINE):
        protocol.dataReceived(b"{")
    assert not transport.disconnecting
    protocol.dataReceived(b"{")
    assert transport.disconnecting


def test_garbage_is_answered_once_and_what_follows_is_not_read():
    harness = StratumHarness()
    protocol, transport = harness.connect()
    with logged() as log:
        protocol.dataReceived(b"{nonsense\n" + line("mining.ping") * 3)
        protocol.dataReceived(line("mining.ping"))
    (answer,) = transport.messages()
    assert answer["error"][0] == 20
    assert transport.disconnecting
    assert len(log.lines) == 1
    assert len(harness.server) == 0
    assert len(harness.stats.of("record_disconnected")) == 1


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=80), max_size=8))
def test_no_bytes_cost_more_than_a_log_line(pieces):
    harness = StratumHarness()
    protocol, _ = harness.connect()
    with logged() as log:
        for piece in pieces:
            protocol.dataReceived(piece)
        protocol.connectionLost(Failure(ConnectionLost()))
    assert len(log.lines) <= 1
    assert not log.tracebacks
    assert len(harness.server) == 0


def test_a_reader_that_does_not_read_is_cut_off():
    harness = StratumHarness()
    protocol, transport = harness.miner()
    transport.dataBuffer = bytes(MAX_UNSENT)
    protocol.flush()
    assert not transport.aborted
    transport.dataBuffer = bytes(MAX_UNSENT + 1)
    with logged() as log:
        protocol.flush()
        protocol.flush()
    assert len(log.lines) == 1
    assert len(harness.server) == 0
    assert transport.disconnecting
    assert not transport.aborted  # what it has sent is still read
    harness.server.start()
    harness.reactor.pump([1] * 4)
    assert transport.aborted
    harness.server.stop()
    protocol.connectionLost()
    assert len(harness.stats.of("record_disconnected")) == len(harness.stats.of("record_worker_off")) == 1


def test_a_lost_connection_is_counted_off_once():
    harness = StratumHarness()
    protocol, _ = harness.miner()
    protocol.connectionLost()
    protocol.connectionLost()
    assert len(harness.server) == 0
    assert len(harness.stats.of("record_connected")) == len(harness.stats.of("record_disconnected")) == 1
    assert len(harness.stats.of("record_worker_on")) == len(harness.stats.of("record_worker_off")) == 1


def test_transports_that_are_not_tcp_serve_as_well():
    harness = StratumHarness()
    protocol = harness.server.buildProtocol(harness.reactor)
    transport = StringTransport()
    protocol.makeConnection(transport)
    protocol.dataReceived(line("mining.ping"))
    assert b"pong" in transport.value()


# --- how long answers take -------------------------------------------------------------------------------------


def slow_harness(seconds: float) -> StratumHarness:
    """One whose clock goes on by so much with each submission, accepted or refused, while it is counted."""
    harness = StratumHarness()
    for name in ("record_accepted", "record_refused"):
        setattr(harness.stats, name, partial(slowly, harness, seconds, getattr(harness.stats, name)))
    return harness


def slowly(harness: StratumHarness, seconds: float, count, *arguments, **named) -> None:
    """Let time pass, then count."""
    harness.reactor.advance(seconds)
    count(*arguments, **named)


def test_submissions_are_timed_from_their_arrival_to_their_answer():
    harness = slow_harness(0.25)
    protocol, transport = harness.miner()
    assert harness.stats.of("record_submissions") == []
    submit = line("mining.submit", ADDRESS, "1", "00000000", "00000000", "00000000")
    protocol.dataReceived(submit)
    assert harness.stats.of("record_submissions") == [(1, 0.25)]
    transport.clear()
    protocol.dataReceived(submit + line("mining.ping") + submit + submit[:10])
    assert len(transport.messages()) == 3
    assert harness.stats.of("record_submissions") == [
        (1, 0.25),
        (2, 0.5),
    ]  # what comes together is answered together
    protocol.dataReceived(submit[10:])
    assert harness.stats.of("record_submissions")[2:] == [(1, 0.25)]


def test_only_submissions_are_timed_and_the_clock_is_read_for_nothing_else(monkeypatch):
    harness = StratumHarness()
    protocol, _ = harness.miner()
    readings = []
    monkeypatch.setattr(harness.server, "clock", lambda: readings.append(1) or harness.now())
    protocol.dataReceived(line("mining.ping") + line("mining.suggest_difficulty", 1) + line("mining.nonsense"))
    assert len(readings) == 1
    assert harness.stats.of("record_submissions") == []
    submit = line("mining.submit", ADDRESS, "1", "00000000", "00000000", "00000000")
    protocol.dataReceived(submit * 20)
    assert len(readings) == 3
    assert [count for count, _ in harness.stats.of("record_submissions")] == [20]


def test_a_real_connection_is_read_and_written_directly_and_nothing_keeps_it_in_memory():
    harness = StratumHarness()
    client, accepted = socket.socketpair()
    protocol = harness.server.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
    transport = Server(accepted, protocol, ("192.0.2.1", 1), None, 0, MemoryReactorClock())
    protocol.makeConnection(transport)
    assert type(transport).doRead is not Server.doRead
    client.send(line("mining.ping"))
    transport.doRead()
    assert b"pong" in client.recv(4096)
    client.close()
    transport.connectionLost(Failure(ConnectionLost()))
    gone = weakref.ref(protocol)
    protocol.transport = None  # Twisted's own cycle
    protocol = transport = None
    assert gone() is None
    assert len(harness.server) == 0
