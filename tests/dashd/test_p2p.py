"""Connections of Dash's p2p protocol, and the link to a dashd that comes and goes."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.internet.testing import MemoryReactorClock, StringTransport

from p2pool.base.turns import SLICE_STEPS, Turns
from p2pool.dash import messages
from p2pool.dash.messages import Headers, Ping, Pong, Verack
from p2pool.dashd.p2p import (
    HANDSHAKE_TIME,
    MAX_RECEIVED,
    MAX_UNSENT,
    RECEIVE_RATE,
    SILENCE_TIME,
    DashdLink,
    P2pConnection,
)
from p2pool.dashd.p2p_session import Heard, P2pSession, pack_block
from p2pool.wire.framer import Framer, frame
from tests.dashd.talk import HANDSHAKE, MAGIC, NOW, addr, block_inv, header_on, packed, unpacked, version
from tests.dashd.wires import Wire, refuse
from tests.environment import make_environment
from tests.logged import Log, logged


def lines_of(log: Log) -> list[str]:
    """What people see: Twisted's lines under the name of our class are filtered away (see p2pool.app.logs)."""
    return Log(event for event in log if event["log_namespace"] != "p2pool.dashd.p2p.DashdLink").lines


@pytest.fixture
def log() -> Iterator[Log]:
    """All that is logged; never a traceback."""
    with logged() as log:
        yield log
    assert not log.tracebacks


# --- a connection ----------------------------------------------------------------------------------------


class Owner:
    """Whoever made a connection."""

    def __init__(self) -> None:
        self.ready = 0
        self.heard: list[Heard] = []
        self.lost: list[str] = []

    def p2p_ready(self, connection: P2pConnection) -> None:
        self.ready += 1

    def p2p_heard(self, connection: P2pConnection, heard: Heard) -> None:
        self.heard.append(heard)

    def p2p_lost(self, connection: P2pConnection, why: str) -> None:
        self.lost.append(why)


class Transport(StringTransport):
    """Ends as a real one does: later."""

    def __init__(self, reactor: MemoryReactorClock) -> None:
        super().__init__()
        self.reactor = reactor
        self.protocol: Any = None

    def abortConnection(self) -> None:
        assert not self.disconnecting
        self.disconnecting = True
        self.reactor.callLater(0, self.protocol.connectionLost)

    def take(self) -> bytes:
        said = self.value()
        self.clear()
        return said


class Made:
    """A connection of which the test is the other side."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()
        self.owner = Owner()
        self.wire = Transport(self.reactor)
        session = P2pSession(MAGIC, sub_version=b"/t/", nonce=1, now=NOW)
        self.connection = self.wire.protocol = P2pConnection(make_environment(self.reactor), session, self.owner)
        self.connection.makeConnection(self.wire)

    def handshake(self) -> Made:
        self.connection.dataReceived(HANDSHAKE)
        self.wire.take()
        assert self.owner.ready == 1
        return self

    def say(self, *said: messages.Message) -> None:
        self.connection.dataReceived(packed(*said))

    def over(self, why: str) -> None:
        """It has hung up for this reason, and nothing is left."""
        assert self.wire.disconnecting
        assert self.connection.over
        self.reactor.advance(0)
        assert self.owner.lost == [why]
        assert self.reactor.getDelayedCalls() == []


@pytest.fixture
def made(log) -> Made:
    return Made()


def test_hello_handshake_and_news(made):
    (hello,) = unpacked(made.wire.take())
    assert hello.nonce == 1
    made.say(version())
    assert unpacked(made.wire.take()) == [Verack()]
    assert made.owner.ready == 0
    made.say(Verack(), Ping(3), block_inv(5))
    assert made.owner.ready == 1
    assert made.owner.heard == [Heard(packed(Pong(3)), (5,))]
    assert unpacked(made.wire.take()) == [Pong(3)]
    made.say(Ping(4))
    assert len(made.owner.heard) == 1  # a ping is no news
    assert made.owner.ready == 1
    made.connection.disconnect()
    made.over("")


def test_before_the_handshake_nothing_is_news(made):
    made.say(block_inv(5), Headers((header_on(1),)), addr(("1.2.3.4", 9999)), version())
    assert (made.owner.ready, made.owner.heard) == (0, [])
    assert not made.connection.send_block(b"x")
    made.say(Verack())
    assert (made.owner.ready, made.owner.heard) == (1, [])


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (frame(MAGIC, "inv", b"\x05"), "a list of 5 items"),
        (packed(Verack()), "it sent verack before version"),
        (packed(version(), version()), "a second version"),
        (HANDSHAKE + packed(version()), "a second version"),
    ],
)
def test_what_is_malformed_ends_it(made, said, why):
    made.connection.dataReceived(said)
    made.connection.dataReceived(HANDSHAKE)  # still on the way when we hung up
    assert made.owner.ready == 0
    assert made.wire.disconnecting
    made.reactor.advance(0)
    (reason,) = made.owner.lost
    assert why in reason
    assert made.reactor.getDelayedCalls() == []


def test_once_it_has_hung_up_nothing_is_sent_and_the_first_reason_counts(made):
    made.handshake().connection.disconnect("the first")
    made.connection.disconnect("the second")
    made.connection.write(b"x")
    assert not made.connection.send_block(b"x")
    made.say(Ping(1), block_inv(1))
    assert made.wire.take() == b""
    assert made.owner.heard == []
    made.over("the first")


def test_a_handshake_that_does_not_come_in_time(made):
    made.say(version())
    made.reactor.advance(HANDSHAKE_TIME - 1)
    made.say(Ping(1), block_inv(1))  # is no handshake
    assert not made.connection.over
    made.reactor.advance(1)
    made.over("it has sent nothing for too long")


def test_a_dead_connection_is_noticed_by_its_silence(made):
    made.handshake()
    for _ in range(20):
        made.reactor.advance(SILENCE_TIME - 1)
        made.say(Ping(1))
    assert not made.connection.over
    assert len(made.reactor.getDelayedCalls()) == 1
    made.reactor.advance(SILENCE_TIME)
    made.over("it has sent nothing for too long")


def test_a_connection_that_is_lost_leaves_nothing(made):
    made.handshake().connection.connectionLost()
    assert made.owner.lost == [""]
    assert made.reactor.getDelayedCalls() == []
    made.connection.disconnect("too late")
    assert not made.wire.disconnecting


def test_a_flood_ends_it_before_it_costs_much(made):
    """An honest node's longest message passes; what goes on and on does not."""
    made.handshake()
    flood = packed(block_inv(*range(1500)))
    sent = 0
    while not made.connection.over and sent < 10 * MAX_RECEIVED:
        made.connection.dataReceived(flood)
        sent += len(flood)
    assert messages.MAX_PAYLOAD < sent <= MAX_RECEIVED + len(flood)
    made.over("it sends too much")


def test_a_steady_flow_below_the_limit_goes_on_for_ever(made):
    made.handshake()
    data = packed(Ping(1)) + frame(MAGIC, "tx", bytes(RECEIVE_RATE * 4 // 5))
    for _ in range(1000):
        made.reactor.advance(1)
        made.connection.dataReceived(data)
    assert not made.connection.over
    made.wire.take()


def test_a_pause_does_not_save_up_more_than_one_burst(made):
    made.handshake()
    for _ in range(5):
        made.reactor.advance(SILENCE_TIME - 1)
        made.say(Ping(1))
    made.connection.dataReceived(bytes(MAX_RECEIVED + 1))
    made.over("it sends too much")


# --- what the other side does not read -------------------------------------------------------------------


class Pipe(FileDescriptor):
    """A real transport of Twisted's without a socket: `take` is the other side reading."""

    def __init__(self, reactor: MemoryReactorClock, protocol: P2pConnection) -> None:
        super().__init__(reactor)
        self.connected = True
        self.protocol = protocol
        self.aborted = False
        self.taken = self.room = 0
        protocol.makeConnection(self)

    def writeSomeData(self, data: bytes) -> int:
        size = min(len(data), self.room)
        self.room -= size
        self.taken += size
        return size

    def take(self, size: int) -> None:
        self.room = size
        while self.room and (self.dataBuffer or self._tempDataBuffer):
            self.doWrite()

    def startWriting(self) -> None:
        """No reactor asks."""

    def stopWriting(self) -> None:
        """The same."""

    def abortConnection(self) -> None:
        self.aborted = True

    @property
    def held(self) -> int:
        return len(self.dataBuffer) - self.offset + self._tempDataLen


BLOCK = pack_block(MAGIC, bytes(2_000_000))


@pytest.fixture
def pipe(log) -> Pipe:
    reactor, owner = MemoryReactorClock(), Owner()
    pipe = Pipe(
        reactor,
        P2pConnection(make_environment(reactor), P2pSession(MAGIC, sub_version=b"/t/", nonce=1, now=NOW), owner),
    )
    pipe.protocol.dataReceived(HANDSHAKE)
    pipe.take(10_000)
    assert pipe.held == 0
    return pipe


def send_until_it_hangs_up(pipe: Pipe) -> int:
    for count in range(1000):
        if not pipe.protocol.send_block(BLOCK):
            assert pipe.aborted
            return count
    raise AssertionError("it never hung up")


def test_who_reads_nothing_is_given_up_before_it_holds_much_memory(pipe):
    assert send_until_it_hangs_up(pipe) == MAX_UNSENT // len(BLOCK)
    assert pipe.held <= MAX_UNSENT


def test_who_speaks_but_does_not_read_is_given_up_as_well(pipe):
    for _ in range(1000):
        pipe.protocol.dataReceived(packed(Ping(1)))
        if not pipe.protocol.send_block(BLOCK):
            break
    assert pipe.aborted
    assert pipe.held <= MAX_UNSENT


def test_pongs_that_nobody_reads_are_bounded_too(log):
    reactor = MemoryReactorClock()
    pipe = Pipe(
        reactor,
        P2pConnection(make_environment(reactor), P2pSession(MAGIC, sub_version=b"/t/", nonce=1, now=NOW), Owner()),
    )
    pipe.protocol.dataReceived(HANDSHAKE)
    pings = packed(*[Ping(1)] * 2000)
    while not pipe.aborted:
        reactor.advance(1)
        pipe.protocol.dataReceived(pings)
        assert reactor.seconds() < 10_000
    assert pipe.held <= MAX_UNSENT + pipe.bufferSize  # what a transport holds before it complains


def test_who_reads_slowly_gets_all_blocks(pipe):
    for _ in range(50):
        assert pipe.protocol.send_block(BLOCK)
        assert pipe.protocol.send_block(BLOCK)
        pipe.take(len(BLOCK))
        pipe.take(len(BLOCK))
        assert pipe.held == 0
    assert pipe.taken >= 100 * len(BLOCK)
    assert not pipe.aborted
    pipe.take(5)
    assert send_until_it_hangs_up(pipe) == MAX_UNSENT // len(BLOCK)  # the count began anew


def test_small_messages_that_are_read_at_once_never_add_up(pipe):
    for _ in range(MAX_UNSENT // 1000):
        pipe.protocol.write(bytes(2000))
        pipe.take(2000)
    assert not pipe.aborted


# --- the link --------------------------------------------------------------------------------------------


class Counting(random.Random):
    """Random numbers that are 1, 2, 3, ..."""

    count = 0

    def getrandbits(self, k: int, /) -> int:
        self.count += 1
        return self.count


class Link:
    """A running DashdLink on a reactor of memory."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()
        self.announced: list[int] = []
        self.service = DashdLink(
            make_environment(self.reactor, clock=lambda: NOW, chance=Counting()),
            host="127.0.0.1",
            port=19899,
            magic=MAGIC,
            sub_version=b"/t/",
            announced=self.announced.append,
        )
        self.service.startService()

    def connect(self, number: int = 0) -> Wire:
        return Wire(self.reactor, number)

    def ready(self, number: int = 0) -> Wire:
        wire = self.connect(number)
        wire.send(HANDSHAKE)
        wire.take()
        return wire

    def next_attempt(self, number: int) -> float:
        """Wait for the next connection; the seconds that it took."""
        start = self.reactor.seconds()
        while len(self.reactor.tcpClients) <= number:
            self.reactor.advance(0.5)
            assert self.reactor.seconds() < start + 200
        return self.reactor.seconds() - start

    def stop(self) -> None:
        """Stopped, nothing is left."""
        ended: list = []
        self.service.stopService().addBoth(ended.append)
        self.reactor.advance(0)
        assert ended == [None]
        assert self.reactor.getDelayedCalls() == []
        assert self.service.up is None
        attempts = len(self.reactor.tcpClients)
        self.reactor.advance(1000)
        assert len(self.reactor.tcpClients) == attempts


@pytest.fixture
def link(log) -> Iterator[Link]:
    link = Link()
    yield link
    link.stop()


def test_it_says_hello_and_tells_of_blocks(link):
    wire = link.connect()
    assert (wire.host, wire.port) == ("127.0.0.1", 19899)
    assert unpacked(wire.take())[0].nonce == 1
    header = header_on(1)
    wire.send(HANDSHAKE + packed(Ping(3), block_inv(5, 6)))
    assert unpacked(wire.take()) == [Verack(), Pong(3)]
    wire.send(packed(Headers((header_on(7), header)), addr(("1.2.3.4", 9999))))
    assert link.announced == [6, header.hash()]


def test_a_dashd_that_is_not_there_is_tried_again_ever_more_slowly_and_quietly(link, log):
    gaps = []
    for number in range(12):
        refuse(link.reactor, number)
        gaps.append(link.next_attempt(number + 1))
    assert gaps[0] < 4
    assert gaps[-1] > 20
    assert max(gaps) < 120
    assert lines_of(log) == []


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", None),
        (packed(version()), None),
        (
            packed(Verack()),
            "p2p connection to dashd at 127.0.0.1:19899 closed: it sent verack before version; reconnecting",
        ),
        (
            frame(MAGIC, "version", b""),
            "p2p connection to dashd at 127.0.0.1:19899 closed: 4 bytes needed at offset 0, 0 left; reconnecting",
        ),
    ],
)
def test_something_else_on_that_port_is_tried_ever_more_slowly_and_said_once(link, log, said, line):
    """Connecting alone is no success."""
    gaps = []
    for number in range(12):
        wire = link.connect(number)
        wire.send(said)
        wire.hang_up()
        gaps.append(link.next_attempt(number + 1))
    assert gaps[0] < 4
    assert gaps[-1] > 20
    assert lines_of(log) == ([] if line is None else [line])


def test_after_a_handshake_it_is_tried_again_at_once(link):
    for number in range(8):
        link.connect(number).hang_up()
        link.next_attempt(number + 1)
    link.ready(8).hang_up()
    assert link.next_attempt(9) < 4


def test_a_found_block_is_sent_once_the_handshake_is_done(link):
    block = bytes.fromhex("000102")
    assert link.service.send_block(block) == 0
    wire = link.connect()
    wire.take()
    assert link.service.send_block(block) == 0
    wire.send(HANDSHAKE)
    wire.take()
    assert link.service.send_block(block) == 1
    assert list(Framer(MAGIC, messages.MAX_PAYLOAD).feed(wire.take())) == [("block", block)]
    wire.hang_up()
    assert link.service.send_block(block) == 0


def test_a_lost_connection_is_made_again_with_another_number(link):
    first = link.ready()
    up = link.service.up
    first.hang_up()
    assert link.service.up is None
    link.next_attempt(1)
    assert unpacked(link.connect(1).take())[0].nonce == 2
    assert link.service.up is not up


def test_malformed_bytes_end_the_connection_with_one_line(link, log):
    for number in range(4):
        wire = link.ready(number)
        wire.send(frame(MAGIC, "inv", b"\x05"))
        wire.send(frame(MAGIC, "inv", b"\x05") + packed(block_inv(1)))  # still on the way when we hung up
        assert wire.disconnecting
        assert wire.take() == b""
        assert link.service.send_block(b"x") == 0
        link.next_attempt(number + 1)
    assert link.announced == []
    assert len(lines_of(log)) == 1


def test_what_goes_wrong_after_it_was_of_use_is_said_again(link, log):
    for number in range(3):
        wire = link.ready(number)
        wire.send(packed(block_inv(number)))
        wire.send(frame(MAGIC, "inv", b"\x05"))
        link.next_attempt(number + 1)
    assert len(lines_of(log)) == 3


def test_a_silent_one_is_given_up_for_another_try(link, log):
    link.connect()
    link.reactor.advance(HANDSHAKE_TIME)
    link.next_attempt(1)
    link.ready(1)
    link.reactor.advance(SILENCE_TIME)
    link.next_attempt(2)
    assert lines_of(log) == [
        "p2p connection to dashd at 127.0.0.1:19899 closed: it has sent nothing for too long; reconnecting"
    ]


@pytest.mark.parametrize("how_far", ["connecting", "connected", "ready", "hanging up", "waiting"])
def test_stopping_leaves_nothing(log, how_far):
    link = Link()
    if how_far == "connected":
        link.connect()
    elif how_far == "ready":
        link.ready()
    elif how_far == "hanging up":
        link.ready().send(packed(version()))
    elif how_far == "waiting":
        refuse(link.reactor, 0)
    link.stop()


def test_a_dashd_that_does_not_read_does_not_keep_us_from_ending(log):
    """A polite end would wait for it to take what is still unsent."""
    link = Link()
    wire = link.ready()
    wire.loseConnection = lambda: None  # as long as there is something unsent
    wire.abortConnection = lambda: link.reactor.callLater(0, wire.hang_up)
    assert link.service.send_block(bytes(1000)) == 1
    link.stop()
    assert wire.lost


def test_a_link_that_was_never_started_can_be_stopped(log):
    reactor = MemoryReactorClock()
    never = DashdLink(
        make_environment(reactor, clock=lambda: NOW),
        host="127.0.0.1",
        port=1,
        magic=MAGIC,
        sub_version=b"/t/",
        announced=print,
    )
    assert never.stopService().called
    assert never.send_block(b"x") == 0
    assert reactor.tcpClients == []


def test_a_flood_of_messages_is_looked_at_in_turns_with_the_connection_paused():
    """A node that nobody vouches for must not have a turn of the reactor for itself."""
    soon: deque = deque()
    turns = Turns(lambda: 0.0, soon.append)
    session = P2pSession(MAGIC, sub_version=b"/t/", nonce=1, now=NOW)
    connection, wire = (
        P2pConnection(make_environment(), session, Owner(), turns=turns, host="8.8.8.8"),
        StringTransport(),
    )
    connection.makeConnection(wire)
    wire.clear()
    connection.dataReceived(HANDSHAKE + packed(*[Ping(number) for number in range(200)]))
    answered = [message.nonce for message in unpacked(wire.value()) if isinstance(message, Pong)]
    assert len(answered) < SLICE_STEPS
    assert wire.producerState == "paused"
    assert connection.host_key == "8.8.8.8"
    while soon:
        soon.popleft()()
    answered = [message.nonce for message in unpacked(wire.value()) if isinstance(message, Pong)]
    assert answered == list(range(200))
    assert wire.producerState == "producing"
    connection.dataReceived(packed(*[Ping(number) for number in range(200)]))
    connection.connectionLost()
    assert len(turns) == 0
