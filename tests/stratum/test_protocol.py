"""From bytes to lines and back: pieces, garbage, lines without end, readers that do not read."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from p2pool.stratum.session import Session
from tests.logged import logged
from tests.stratum.miner import ADDRESS
from tests.stratum.wire import House, line

MAX_LINE, MAX_UNSENT = 8192, 256 * 1024


def test_lines_come_in_any_pieces():
    house = House()
    data = line("mining.subscribe") + b"\r\n\n" + line("mining.ping").replace(b"\n", b"\r\n")
    rng = random.Random(1)
    for _ in range(20):
        protocol, transport = house.connect()
        rest = data
        while rest:
            size = rng.randrange(1, 20)
            protocol.dataReceived(rest[:size])
            rest = rest[size:]
        subscribed, pong = transport.messages()
        assert subscribed["result"][2] == 4
        assert pong["result"] == "pong"


def test_an_unfinished_line_is_no_request():
    protocol, transport = House().connect()
    protocol.dataReceived(line("mining.ping")[:-1])
    assert transport.messages() == []


def test_the_longest_line_is_answered():
    protocol, transport = House().connect()
    protocol.dataReceived(b'{"id":1,"method":"mining.ping"}'.ljust(MAX_LINE) + b"\n")
    assert transport.messages()[0]["result"] == "pong"
    assert not transport.disconnecting


@pytest.mark.parametrize("end", [b"", b"\n", b"\n" + line("mining.ping")])
def test_a_longer_line_ends_the_connection_with_one_log_line(end):
    house = House()
    protocol, transport = house.connect("10.9.8.7")
    with logged() as log:
        protocol.dataReceived(line("mining.ping") + b"{" * (MAX_LINE + 1) + end)
        protocol.dataReceived(b"{" * 1000 + line("mining.ping"))
    assert [m["result"] for m in transport.messages()] == ["pong"]
    assert transport.disconnecting
    assert len(house.server) == 0
    assert len(log.lines) == 1
    assert "10.9.8.7" in log.lines[0]
    assert not log.tracebacks


def test_a_line_that_grows_slowly_ends_too():
    protocol, transport = House().connect()
    for _ in range(MAX_LINE):
        protocol.dataReceived(b"{")
    assert not transport.disconnecting
    protocol.dataReceived(b"{")
    assert transport.disconnecting


def test_garbage_is_answered_once_and_what_follows_is_not_read():
    house = House()
    protocol, transport = house.connect()
    with logged() as log:
        protocol.dataReceived(b"{nonsense\n" + line("mining.ping") * 3)
        protocol.dataReceived(line("mining.ping"))
    (answer,) = transport.messages()
    assert answer["error"][0] == 20
    assert transport.disconnecting
    assert len(log.lines) == 1
    assert len(house.server) == 0
    assert len(house.stats.of("record_disconnected")) == 1


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=80), max_size=8))
def test_no_bytes_cost_more_than_a_log_line(pieces):
    house = House()
    protocol, _ = house.connect()
    with logged() as log:
        for piece in pieces:
            protocol.dataReceived(piece)
        protocol.connectionLost(Failure(ConnectionLost()))
    assert len(log.lines) <= 1
    assert not log.tracebacks
    assert len(house.server) == 0


def test_a_reader_that_does_not_read_is_cut_off():
    house = House()
    protocol, transport = house.miner()
    transport.dataBuffer = bytes(MAX_UNSENT)
    protocol.flush()
    assert not transport.aborted
    transport.dataBuffer = bytes(MAX_UNSENT + 1)
    with logged() as log:
        protocol.flush()
        protocol.flush()
    assert len(log.lines) == 1
    assert len(house.server) == 0
    assert transport.disconnecting
    assert not transport.aborted  # what it has sent is still read
    house.server.start()
    house.reactor.pump([1] * 4)
    assert transport.aborted
    house.server.stop()
    protocol.connectionLost()
    assert len(house.stats.of("record_disconnected")) == len(house.stats.of("record_worker_off")) == 1


def test_a_lost_connection_is_counted_off_once():
    house = House()
    protocol, _ = house.miner()
    protocol.connectionLost()
    protocol.connectionLost()
    assert len(house.server) == 0
    assert len(house.stats.of("record_connected")) == len(house.stats.of("record_disconnected")) == 1
    assert len(house.stats.of("record_worker_on")) == len(house.stats.of("record_worker_off")) == 1


def test_transports_that_are_not_tcp_serve_as_well():
    house = House()
    protocol = house.server.buildProtocol(house.reactor)
    transport = StringTransport()
    protocol.makeConnection(transport)
    protocol.dataReceived(line("mining.ping"))
    assert b"pong" in transport.value()


# --- how long answers take -------------------------------------------------------------------------------------


def slow_house(monkeypatch, seconds: float) -> House:
    """One whose clock goes on by so much with each submission."""
    house = House()
    call = Session._call

    def slow(self, method, params, now, refusal):
        if method == "mining.submit":
            house.reactor.advance(seconds)
        return call(self, method, params, now, refusal)

    monkeypatch.setattr(Session, "_call", slow)
    return house


def test_submissions_are_timed_from_their_arrival_to_their_answer(monkeypatch):
    house = slow_house(monkeypatch, 0.25)
    protocol, transport = house.miner()
    assert house.stats.of("record_submissions") == []
    submit = line("mining.submit", ADDRESS, "1", "00000000", "00000000", "00000000")
    protocol.dataReceived(submit)
    assert house.stats.of("record_submissions") == [(1, 0.25)]
    transport.clear()
    protocol.dataReceived(submit + line("mining.ping") + submit + submit[:10])
    assert len(transport.messages()) == 3
    assert house.stats.of("record_submissions") == [
        (1, 0.25),
        (2, 0.5),
    ]  # what comes together is answered together
    protocol.dataReceived(submit[10:])
    assert house.stats.of("record_submissions")[2:] == [(1, 0.25)]


def test_only_submissions_are_timed_and_the_clock_is_read_for_nothing_else(monkeypatch):
    house = House()
    protocol, _ = house.miner()
    readings = []
    monkeypatch.setattr(house.server, "clock", lambda: readings.append(1) or house.now())
    protocol.dataReceived(line("mining.ping") + line("mining.suggest_difficulty", 1) + line("mining.nonsense"))
    assert len(readings) == 1
    assert house.stats.of("record_submissions") == []
    submit = line("mining.submit", ADDRESS, "1", "00000000", "00000000", "00000000")
    protocol.dataReceived(submit * 20)
    assert len(readings) == 3
    assert [count for count, _ in house.stats.of("record_submissions")] == [20]
