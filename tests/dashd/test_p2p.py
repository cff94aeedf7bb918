"""The p2p link to dashd: bytes in, bytes and announcements out, and connections that come and go."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogPublisher

from p2pool.base.errors import ParseError
from p2pool.dash import messages
from p2pool.dash.block import BlockHeader
from p2pool.dash.messages import Headers, Inv, InventoryItem, Ping, Pong, Verack, Version
from p2pool.dashd.p2p import HANDSHAKE_TIME, SILENCE_TIME, DashdLink, LinkSession
from p2pool.wire.framer import Framer, frame
from tests.dashd.wires import Wire, refuse

MAGIC = bytes.fromhex("fcc1b7dc")
NONCE, NOW = 0x1122334455667788, 1_700_000_000.7
HEADER = BlockHeader(1, 2, 3, 4, 5, 6)


def packed(*said: messages.Message) -> bytes:
    return b"".join(frame(MAGIC, message.command, message.pack()) for message in said)


def unpacked(data: bytes) -> list:
    return [messages.parse_message(*item) for item in Framer(MAGIC, messages.MAX_PAYLOAD).feed(data)]


def new_session() -> LinkSession:
    return LinkSession(MAGIC, b"/test:1/", NONCE, NOW)


DASHD_VERSION = unpacked(new_session().hello())[0]


# --- the session -----------------------------------------------------------------------------------------


def test_hello():
    (version,) = unpacked(new_session().hello())
    assert isinstance(version, Version)
    assert (version.version, version.sub_version) == (messages.PROTOCOL_VERSION, b"/test:1/")
    assert (version.nonce, version.time) == (NONCE, int(NOW))
    assert version.relay is False  # no transactions, please
    assert version.services == 0


def test_handshake():
    session = new_session()
    output, announced = session.receive(packed(DASHD_VERSION))
    assert unpacked(output) == [Verack()]
    assert not session.ready
    assert session.receive(packed(Verack())) == (b"", False)
    assert session.ready
    assert not announced


def test_pings_are_answered_with_their_number():
    output, announced = new_session().receive(packed(Ping(7), Ping(2**64 - 1)))
    assert unpacked(output) == [Pong(7), Pong(2**64 - 1)]
    assert not announced


@pytest.mark.parametrize(
    ("said", "announced"),
    [
        (Inv((InventoryItem(messages.INVENTORY_BLOCK, 5),)), True),
        (Inv((InventoryItem(messages.INVENTORY_COMPACT_BLOCK, 5),)), True),
        (
            Inv((InventoryItem(messages.INVENTORY_TRANSACTION, 1), InventoryItem(messages.INVENTORY_BLOCK, 5))),
            True,
        ),
        (Inv((InventoryItem(messages.INVENTORY_TRANSACTION, 5),)), False),
        (Inv((InventoryItem(messages.INVENTORY_CHAINLOCK, 5), InventoryItem(12345, 5))), False),
        (Inv(()), False),
        (Headers((HEADER,)), True),
        (Headers(()), False),
        (messages.SendHeaders(), False),
        (messages.GetHeaders(1, (1,), 0), False),
        (Pong(1), False),
    ],
)
def test_what_announces_a_block(said, announced):
    assert new_session().receive(packed(said)) == (b"", announced)


def test_a_block_among_other_things_is_announced_whatever_follows():
    block = Inv((InventoryItem(messages.INVENTORY_BLOCK, 5),))
    assert new_session().receive(packed(block, Inv(()), Headers(())))[1]
    assert new_session().receive(packed(Headers((HEADER,)), Inv(()), Headers(())))[1]


def test_unknown_commands_are_passed_over():
    output, announced = new_session().receive(frame(MAGIC, "qsendrecsigs", b"\x01") + packed(Ping(1)))
    assert (unpacked(output), announced) == ([Pong(1)], False)


CONVERSATION = packed(
    DASHD_VERSION, Verack(), Ping(3), Inv((InventoryItem(messages.INVENTORY_BLOCK, 5),)), Ping(4)
)


@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=10))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts):
    session, output, announced = new_session(), b"", 0
    edges = [0, *sorted(cuts), len(CONVERSATION)]
    for start, end in pairwise(edges):
        said, told = session.receive(CONVERSATION[start:end])
        output += said
        announced += told
    assert unpacked(output) == [Verack(), Pong(3), Pong(4)]
    assert announced == 1
    assert session.ready


@given(st.binary(max_size=300), st.booleans())
def test_damage_is_a_parse_error_or_nothing(data, framed):
    session = new_session()
    try:
        session.receive(frame(MAGIC, "inv", data) if framed else MAGIC + data)
    except ParseError:
        pass


# --- the link --------------------------------------------------------------------------------------------


class Link:
    """A running DashdLink on a reactor of memory."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()
        self.announced = 0
        numbers = iter(range(1, 1000))
        self.service = DashdLink(
            self.reactor, "127.0.0.1", 19899, MAGIC, b"/t/", lambda: NOW, lambda: next(numbers), self.heard
        )
        self.service.startService()

    def heard(self) -> None:
        self.announced += 1

    def connect(self, number: int = 0) -> Wire:
        return Wire(self.reactor, number)

    def ready(self, number: int = 0) -> Wire:
        wire = self.connect(number)
        wire.send(packed(DASHD_VERSION, Verack()))
        wire.take()
        return wire

    def stop(self) -> None:
        """Stopped, nothing is left."""
        ended: list = []
        self.service.stopService().addBoth(ended.append)
        self.reactor.advance(0)
        assert len(ended) == 1
        assert self.reactor.getDelayedCalls() == []


@pytest.fixture
def link() -> Link:
    return Link()


@pytest.fixture
def lines():
    """Warnings meanwhile."""
    logged: list = []

    def observe(event) -> None:
        if event["log_level"].name != "debug" and event["log_namespace"] == "p2pool.dashd":
            logged.append(event)

    globalLogPublisher.addObserver(observe)
    yield logged
    globalLogPublisher.removeObserver(observe)


def test_it_says_hello_and_tells_of_blocks(link):
    wire = link.connect()
    assert (wire.host, wire.port) == ("127.0.0.1", 19899)
    assert unpacked(wire.take())[0].nonce == 1
    wire.send(CONVERSATION)
    assert unpacked(wire.take()) == [Verack(), Pong(3), Pong(4)]
    assert link.announced == 1
    link.stop()


def test_a_dashd_that_is_not_there_is_tried_again_ever_more_slowly_and_quietly(link, lines):
    asked = []
    for number in range(12):
        asked.append(link.reactor.seconds())
        refuse(link.reactor, number)
        while len(link.reactor.tcpClients) == number + 1:
            link.reactor.advance(0.5)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps[0] < 4
    assert gaps[-1] > 20
    assert max(gaps) < 120
    assert lines == []
    link.stop()


def test_a_found_block_is_sent_once_the_handshake_is_done(link):
    block = bytes.fromhex("000102")
    assert not link.service.send_block(block)
    wire = link.connect()
    wire.take()
    assert not link.service.send_block(block)
    wire.send(packed(DASHD_VERSION, Verack()))
    wire.take()
    assert link.service.send_block(block)
    assert list(Framer(MAGIC, messages.MAX_PAYLOAD).feed(wire.take())) == [("block", block)]
    wire.hang_up()
    assert not link.service.send_block(block)
    link.stop()


def test_a_lost_connection_is_made_again_with_another_number(link):
    link.ready().hang_up()
    link.reactor.advance(5)
    assert unpacked(link.connect(1).take())[0].nonce == 2
    link.stop()


def test_malformed_bytes_end_the_connection_with_one_line(link, lines):
    wire = link.ready()
    wire.send(frame(MAGIC, "inv", b"\x05"))
    wire.send(frame(MAGIC, "inv", b"\x05") + CONVERSATION)  # still on the way when we hung up
    assert wire.disconnecting
    assert wire.take() == b""
    assert link.announced == 0
    assert len(lines) == 1
    link.reactor.advance(0)
    link.reactor.advance(5)
    link.connect(1)
    link.stop()


def test_a_handshake_that_does_not_come_ends_the_connection(link):
    wire = link.connect()
    wire.send(packed(DASHD_VERSION))
    link.reactor.advance(HANDSHAKE_TIME - 1)
    wire.send(packed(Ping(1)))  # is no handshake
    assert not wire.disconnecting
    link.reactor.advance(1)
    assert wire.disconnecting
    link.reactor.advance(5)
    assert len(link.reactor.tcpClients) == 2
    link.stop()


def test_a_dead_connection_is_noticed_by_its_silence(link):
    wire = link.ready()
    for _ in range(20):
        link.reactor.advance(SILENCE_TIME - 1)
        wire.send(packed(Ping(1)))
    assert not wire.disconnecting
    link.reactor.advance(SILENCE_TIME)
    assert wire.disconnecting
    link.reactor.advance(5)
    assert len(link.reactor.tcpClients) == 2
    link.stop()


@pytest.mark.parametrize("how_far", ["connecting", "connected", "ready", "waiting"])
def test_stopping_leaves_nothing(link, how_far):
    if how_far == "connected":
        link.connect()
    elif how_far == "ready":
        link.ready()
    elif how_far == "waiting":
        refuse(link.reactor, 0)
    link.stop()
