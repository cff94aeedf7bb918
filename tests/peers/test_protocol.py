"""Sockets' side of a connection: bounds for who does not read, pauses, and each end told once."""

from __future__ import annotations

import gc
import weakref

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from p2pool.base.turns import SLICE_TIME
from p2pool.peers.errors import Drop, Misbehaviour
from p2pool.peers.messages import AddrMe, PeerPing, ShareReq, Shares
from p2pool.peers.protocol import MAX_UNSENT, PeerFactory
from p2pool.wire.framer import frame
from tests.logged import logged
from tests.peers.wiring import HOST, PREFIX, Moment, Pipe, StubPool, chain, envelope, framed, make_hub, version

GONE = Failure(ConnectionDone())


class Door:
    def __init__(self, incoming: bool = True, host: str = HOST, ready: bool = True) -> None:
        self.moment = Moment()
        self.pool = StubPool()
        self.hub = make_hub(self.moment, self.pool)
        self.factory = PeerFactory(self.hub, incoming)
        self.ended: list = []
        self.factory.ended.subscribe(self.ended.append)
        self.pipe = Pipe(("198.51.100.1", 9000), (host, 4000))
        self.protocol = self.factory.buildProtocol(self.pipe.getPeer())
        if self.protocol is not None:
            self.protocol.makeConnection(self.pipe)
            if ready:
                self.say(version(7))
                self.moment.run()
            self.pipe.clear()

    @property
    def session(self):
        return self.protocol.session

    def say(self, *said) -> None:
        self.protocol.dataReceived(framed(*said))


def test_a_connection_is_the_hubs_from_beginning_to_end():
    door = Door()
    assert door.hub.peers == [door.session]
    assert door.factory.protocols == {door.protocol}
    assert (door.session.host, door.session.port, door.session.incoming) == (HOST, 4000, True)
    assert door.pipe.producer is door.protocol
    with logged() as log:
        door.protocol.connectionLost(GONE)
    assert len(log.lines) == 1
    assert door.hub.sessions == door.factory.protocols == set()
    assert door.ended == [door.session]
    assert door.session.closed


def test_an_outgoing_one():
    door = Door(incoming=False)
    assert not door.session.incoming


@pytest.mark.parametrize(
    ("socket_host", "host"),
    [("::ffff:8.8.8.8", "8.8.8.8"), ("fe80::1%eth0", "fe80::1"), ("2606:4700::1", "2606:4700::1")],
)
def test_hosts_over_ipv6(socket_host, host):
    door = Door(host=socket_host)
    assert door.session.host == host
    assert door.session.ready
    assert door.session.label == (f"[{host}]:4000" if ":" in host else f"{host}:4000")
    door.protocol.fail(Misbehaviour("x"))
    assert not door.hub.may_accept(host)
    assert door.factory.buildProtocol(door.pipe.getPeer()) is None


def test_who_is_banned_is_refused_but_may_be_dialled():
    door = Door()
    door.hub.bans.ban("8.8.8.8", door.moment.unix())
    address = Pipe(("1.1.1.1", 1), ("8.8.8.8", 1)).getPeer()
    assert door.factory.buildProtocol(address) is None
    assert PeerFactory(door.hub, False).buildProtocol(address) is not None


@pytest.mark.parametrize(
    ("data", "banned"),
    [
        (framed(version(7)), True),
        (frame(PREFIX, "ping", b"x"), True),
        (framed(PeerPing())[:-1] + b"\x00", True),
        (framed(AddrMe(1)), False),
        (b"noise", False),
    ],
)
def test_what_is_wrong_ends_the_connection(data, banned):
    door = Door()
    door.protocol.dataReceived(data)
    assert door.pipe.aborted is banned
    assert door.hub.bans.is_banned(HOST, door.moment.unix()) is banned
    assert door.hub.peers == [door.session] * (not banned)
    door.protocol.connectionLost(GONE)
    assert door.ended == [door.session]


def test_after_the_end_nothing_is_read_or_written():
    door = Door()
    door.protocol.fail(Drop("enough"))
    door.say(version(7), AddrMe(1))
    door.session.send_framed(b"x")
    door.protocol._write(b"x")
    assert door.pipe.value() == b""
    assert not door.hub.bans.is_banned(HOST, door.moment.unix())


def test_an_internal_error_ends_the_connection_with_a_traceback_and_no_ban():
    door = Door()
    door.hub.listens = lambda session, port: 1 / 0
    with logged() as log:
        door.say(AddrMe(1))
    assert len(log.tracebacks) == 1
    assert door.pipe.aborted
    assert door.hub.may_accept(HOST)


def test_closing_is_nobodys_fault():
    door = Door()
    door.protocol.close("enough")
    assert door.pipe.aborted
    with logged() as log:
        door.protocol.connectionLost(GONE)
    assert log.lines[0].endswith(" disconnected")
    assert [end.reason for end in door.hub.ended.newest()] == ["enough"]


@pytest.mark.parametrize(
    ("error", "why"), [(ConnectionDone(), "the peer closed it"), (ConnectionLost(), "the connection broke")]
)
def test_who_ended_the_connection_is_remembered(error, why):
    door = Door()
    door.protocol.connectionLost(Failure(error))
    assert [end.reason for end in door.hub.ended.newest()] == [why]


def test_the_connection_is_paused_while_shares_are_worked_through():
    door, shares = Door(), chain(200)[::-1]
    door.moment.tick = SLICE_TIME
    door.say(Shares(tuple(map(envelope, shares))))
    assert door.pipe.paused
    assert door.pool.came == []
    door.moment.run()
    assert not door.pipe.paused
    assert len(door.pool.came[0][0]) == 200


def test_a_connection_that_ended_is_not_resumed():
    door, shares = Door(), chain(200)[::-1]
    door.moment.tick = SLICE_TIME
    door.say(Shares((*map(envelope, shares), envelope(shares[0], kind=3))))
    door.moment.run()
    assert door.pipe.paused
    assert door.pipe.aborted
    assert door.pool.came == []


def test_who_does_not_read_is_dropped_but_not_for_one_long_answer():
    door = Door()
    door.protocol.pauseProducing()
    door.session.send_framed(bytes(MAX_UNSENT))
    door.moment.run()
    assert not door.session.closed
    door.protocol.resumeProducing()
    door.protocol.pauseProducing()
    door.session.send_framed(bytes(MAX_UNSENT))
    assert not door.session.closed
    door.session.send_framed(b"x")
    assert len(door.pipe.value()) == 2 * MAX_UNSENT
    door.moment.run()
    assert door.pipe.aborted
    assert door.hub.peers == []
    assert not door.hub.bans.is_banned(HOST, door.moment.unix())


def test_requests_of_who_does_not_read_are_not_worked_on():
    """A hundred bytes ask for a megabyte: what is written is bounded, and so is the work for it."""
    door, share, answers = Door(), chain(1)[0], []

    def chain_part(share_hash: int, count: int):
        answers.append(count)
        return [share] * count

    door.pool.chain_part = chain_part
    write = door.pipe.write

    def slowly(data: bytes) -> None:
        write(data)
        if len(door.pipe.value()) > 65536:
            door.protocol.pauseProducing()

    door.pipe.write = slowly
    door.say(*[ShareReq(number, (1,), 1000, ()) for number in range(600)])
    for _ in range(2000):
        if door.moment.soon:
            door.moment.soon.popleft()()
    assert door.pipe.aborted
    assert len(door.pipe.value()) <= MAX_UNSENT + 3_200_000
    assert len(answers) <= (MAX_UNSENT + 3_200_000) // (1001 * len(share.contents)) + 1


def test_a_producer_that_is_stopped_writes_no_more():
    door = Door()
    door.protocol.stopProducing()
    door.session.send(PeerPing())
    assert door.pipe.value() == b""


def test_traffic_is_counted_both_ways():
    door = Door()
    received, sent = door.hub.bytes_received, door.hub.bytes_sent
    assert received > 0
    assert sent > 0  # the hello
    ping = framed(PeerPing())
    door.protocol.dataReceived(ping)
    assert door.hub.bytes_received == received + len(ping)
    door.pipe.clear()
    door.session.send(PeerPing())
    assert door.hub.bytes_sent == sent + len(door.pipe.value())
    door.protocol.fail(Drop("x"))
    door.protocol.dataReceived(ping)
    assert door.hub.bytes_received == received + len(ping)


def test_a_connection_that_ended_goes_at_once_with_what_waits_in_it():
    """Megabytes may wait for one that does not read: the garbage collector would take its time."""
    gc.collect()
    gc.disable()
    try:
        door = Door()
        door.say(PeerPing())
        pipe, session = weakref.ref(door.pipe), door.session
        door.pipe.producer = None  # as Twisted's transports do at their end
        door.protocol.connectionLost(GONE)
        door.moment.run()
        door.pipe = door.protocol = None
        door.ended.clear()
        assert pipe() is None
        assert session.closed
    finally:
        gc.enable()
