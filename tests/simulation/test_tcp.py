"""Simulated TCP: order, cuts, resets, frozen receivers and producers."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.simulation.events import EventQueue
from tests.simulation.network import Host, Internet
from tests.simulation.reactor import SimulatedReactor
from tests.simulation.tcp import GIVEN_UP, HIGH_WATER, WINDOW

PORT = 5000


class Recorder(Protocol):
    """Keeps what it received and why the connection ended."""

    received = b""
    ended: str | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended = reason.type.__name__


class Pair:
    """A connection between two hosts."""

    def __init__(self) -> None:
        self.events = EventQueue("seed")
        self.internet = Internet(self.events, lambda source, target: 0.05)
        self.hosts = [
            self.internet.add(Host(name, f"{number}.0.0.1", "eu")) for number, name in ((1, "a"), (2, "b"))
        ]
        self.near_reactor, self.far_reactor = (SimulatedReactor(self.internet, host) for host in self.hosts)
        self.far, self.near = Recorder(), Recorder()
        listening, dialling = Factory(), ClientFactory()
        listening.buildProtocol = lambda address: self.far
        dialling.buildProtocol = lambda address: self.near
        self.far_reactor.listenTCP(PORT, listening)
        self.near_reactor.connectTCP("b", PORT, dialling)
        self.run(1.0)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.events.run(self.events.now + seconds)

    def send(self, data: bytes) -> None:
        """Write to the far end, as an event."""
        self.near_reactor.callLater(0, self.near.transport.write, data)

    def cut(self, *, mend: bool = False) -> None:
        """Cut both ways, or mend them."""
        for source, target in (self.hosts, self.hosts[::-1]):
            (self.internet.mend if mend else self.internet.cut)(source, target)


def test_bytes_arrive_late_and_in_order() -> None:
    pair = Pair()
    for number in range(50):
        pair.send(bytes([number]))
    pair.run(0.04)
    assert pair.far.received == b""
    pair.run(2.0)
    assert pair.far.received == bytes(range(50))


def test_cut_delays_and_loses_nothing() -> None:
    pair = Pair()
    pair.cut()
    pair.send(b"data")
    pair.run(100.0)
    assert pair.far.received == b""
    pair.cut(mend=True)
    pair.run(120.0)
    assert pair.far.received == b"data"
    assert pair.near.ended is None


def test_long_cut_ends_the_sender_and_leaves_the_receiver_half_open() -> None:
    pair = Pair()
    pair.cut()
    pair.send(b"data")
    pair.run(GIVEN_UP + 120)
    assert pair.near.ended == "TCPTimedOutError"
    assert pair.far.ended is None


def test_close_comes_after_what_was_written_and_abort_before() -> None:
    pair = Pair()
    pair.near_reactor.callLater(0, pair.near.transport.write, b"bye")
    pair.near_reactor.callLater(0, pair.near.transport.loseConnection)
    pair.run(2.0)
    assert (pair.far.received, pair.far.ended, pair.near.ended) == (b"bye", "ConnectionDone", "ConnectionDone")
    pair = Pair()
    pair.near_reactor.callLater(0, pair.near.transport.abortConnection)
    pair.run(2.0)
    assert (pair.far.ended, pair.near.ended) == ("ConnectionLost", "ConnectionAborted")


def test_kill_resets_connections_and_a_power_cut_is_silent() -> None:
    pair = Pair()
    pair.far_reactor.kill()
    pair.run(2.0)
    assert pair.near.ended == "ConnectionLost"
    pair = Pair()
    pair.far_reactor.kill(power=True)
    pair.run(2.0)
    assert pair.near.ended is None


def test_frozen_receiver_takes_a_window_and_reads_it_after_the_thaw() -> None:
    pair = Pair()
    pair.far_reactor.freeze()
    size = WINDOW + 100_000
    pair.send(bytes(size))
    pair.run(5.0)
    assert pair.far.received == b""
    pair.far_reactor.thaw()
    pair.run(5.0)
    assert len(pair.far.received) == size


def test_producer_pauses_while_too_much_waits() -> None:
    pair = Pair()
    calls: list[str] = []

    class Producer:
        def pauseProducing(self) -> None:
            calls.append("pause")

        def resumeProducing(self) -> None:
            calls.append("resume")

        def stopProducing(self) -> None:
            calls.append("stop")

    transport: Any = pair.near.transport
    transport.registerProducer(Producer(), True)
    pair.send(bytes(HIGH_WATER + 1))
    pair.run(2.0)
    assert calls == ["pause", "resume"]
    pair.near_reactor.callLater(0, transport.abortConnection)
    pair.run(1.0)
    assert calls[-1] == "stop"
