"""Telling miners from browsers by the first byte, and what silence, garbage and slow senders cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from p2pool import worker_port
from p2pool.worker_port import FIRST_BYTE_TIME, WorkerPort
from tests.logged import logged

ADDRESS = IPv4Address("TCP", "10.1.2.3", 4)


class Recorder(Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.data = b""
        self.lost = 0

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason=None) -> None:
        self.lost += 1


class Recorders(Factory):
    """Their factory; `closed` builds none."""

    noisy = False

    def __init__(self) -> None:
        self.built: list[Recorder] = []
        self.addresses: list = []
        self.closed = False
        self.starts: list[str] = []

    def doStart(self) -> None:
        self.starts.append("start")

    def doStop(self) -> None:
        self.starts.append("stop")

    def buildProtocol(self, addr):
        self.addresses.append(addr)
        if self.closed:
            return None
        self.built.append(Recorder())
        return self.built[-1]


class Port:
    """A worker port in memory."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.miners, self.browsers = Recorders(), Recorders()
        self.factory = WorkerPort(self.miners, self.browsers, self.clock)

    def connect(self) -> tuple[Protocol, StringTransport]:
        protocol, transport = self.factory.buildProtocol(ADDRESS), StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport


@pytest.mark.parametrize(
    ("data", "miner"),
    [
        (b'{"id":1}\n', True),
        (b"\r\n \t{", True),
        (b"GET / HTTP/1.1\r\n", False),
        (b"\x16\x03\x01", False),
        (b"[1]", False),
        (b"\x00{", False),
    ],
)
def test_the_first_byte_decides(data, miner):
    port = Port()
    protocol, transport = port.connect()
    protocol.dataReceived(data)
    chosen, other = (port.miners, port.browsers) if miner else (port.browsers, port.miners)
    (inner,) = chosen.built
    assert other.built == []
    assert chosen.addresses == [ADDRESS]
    assert inner.data == data.lstrip()
    assert inner.transport is transport
    protocol.dataReceived(b"{GET")
    assert inner.data == data.lstrip() + b"{GET"
    assert not port.clock.getDelayedCalls()


@given(st.lists(st.binary(max_size=6)))
def test_nothing_is_lost_or_doubled_however_it_is_cut(pieces):
    port = Port()
    protocol, _ = port.connect()
    for piece in pieces:
        protocol.dataReceived(piece)
    expected = b"".join(pieces).lstrip(b" \t\r\n")
    built = port.miners.built + port.browsers.built
    assert len(built) == bool(expected)
    if expected:
        # White space between the pieces before the first byte is no part of a request either.
        assert built[0].data == expected
        assert bool(port.miners.built) == expected.startswith(b"{")


def test_silence_ends_in_time_and_white_space_is_silence():
    port = Port()
    protocol, transport = port.connect()
    port.clock.advance(FIRST_BYTE_TIME - 1)
    protocol.dataReceived(b"\n" * 1000)
    assert not transport.disconnecting
    port.clock.advance(1)
    assert transport.disconnecting
    protocol.connectionLost()
    assert not port.clock.getDelayedCalls()


def test_a_connection_lost_before_its_first_byte_leaves_nothing():
    port = Port()
    protocol, _ = port.connect()
    protocol.connectionLost()
    assert not port.clock.getDelayedCalls()
    assert port.miners.built == port.browsers.built == []


def test_a_loss_is_told_to_the_chosen_protocol_once():
    port = Port()
    protocol, _ = port.connect()
    protocol.dataReceived(b"{")
    protocol.connectionLost()
    protocol.connectionLost()
    assert port.miners.built[0].lost == 1


def test_a_factory_that_refuses_closes_and_is_asked_once():
    port = Port()
    port.miners.closed = True
    protocol, transport = port.connect()
    protocol.dataReceived(b"{")
    protocol.dataReceived(b"{more}\n")
    assert transport.disconnecting
    assert len(port.miners.addresses) == 1
    protocol.connectionLost()


def test_browsers_are_bounded_and_miners_come_in_all_the_same(monkeypatch):
    monkeypatch.setattr(worker_port, "MAX_WEB_CONNECTIONS", 2)
    port = Port()
    browsers = [port.connect() for _ in range(3)]
    with logged() as log:
        for protocol, _ in browsers:
            protocol.dataReceived(b"GET / HTTP/1.1\r\n")
    assert [transport.disconnecting for _, transport in browsers] == [False, False, True]
    assert len(log.lines) == 1
    assert "10.1.2.3" in log.lines[0]
    miner, transport = port.connect()
    miner.dataReceived(b"{")
    assert not transport.disconnecting
    for protocol, _ in browsers:
        protocol.connectionLost()
    miner.connectionLost()
    assert port.factory.web_connections == 0
    protocol, transport = port.connect()
    protocol.dataReceived(b"GET / HTTP/1.1\r\n")
    assert not transport.disconnecting


def test_the_factories_start_and_stop_with_the_port():
    port = Port()
    port.factory.doStart()
    port.factory.doStop()
    assert port.miners.starts == port.browsers.starts == ["start", "stop"]
    assert port.factory.buildProtocol(None) is None
