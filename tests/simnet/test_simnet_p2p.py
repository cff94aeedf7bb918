"""Dash's p2p side: bytes in, bytes out; the adapter with transports in memory; getpeerinfo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.protocol import connectionDone
from twisted.internet.testing import StringTransport

from p2pool.base.errors import ParseError
from p2pool.dash import messages
from p2pool.dash.block import parse_block
from p2pool.dash.messages import InventoryItem
from p2pool.simnet import p2p
from p2pool.simnet.p2p import HandshakeState, Identity, SimulatedPeerSession
from p2pool.simnet.p2p_server import P2pServer
from p2pool.wire.framer import Framer, frame

MAGIC = bytes.fromhex("fcc1b7dc")
NONCE = 0x1234
VERSION = messages.Version(70238, 1, 1_795_340_000, messages.NO_ADDRESS, messages.NO_ADDRESS, 99, b"/P2Pool:x/", 7)
LISTENER = replace(VERSION, services=0)
"""A pool's link: it has no blocks to offer."""


class Peer:
    """The other side of a session."""

    def __init__(self, simulation: Any, ready: bool = True) -> None:
        self.session = SimulatedPeerSession(
            simulation.chain, magic=MAGIC, now=simulation.clock.seconds, identity=Identity(NONCE), peer="peer"
        )
        self._framer = Framer(MAGIC, messages.MAX_PAYLOAD)
        if ready:
            self.tell(LISTENER)
            self.tell(messages.Verack())

    def read(self, data: bytes) -> list[Any]:
        """What bytes of the session mean; commands that are no known message as text."""
        return [messages.parse_message(c, payload) or (c, payload) for c, payload in self._framer.feed(data)]

    def tell(self, message: messages.Message) -> list[Any]:
        """Send a message; the answers."""
        return self.read(self.session.receive(frame(MAGIC, message.command, message.pack())))


def test_handshake(simulation: Any) -> None:
    simulation.wait_for_height(3)
    peer = Peer(simulation, ready=False)
    version, verack = peer.tell(LISTENER)
    assert isinstance(version, messages.Version)
    assert (version.version, version.start_height, version.nonce) == (70238, 3, NONCE)
    assert (version.time, version.relay) == (simulation.clock.seconds(), True)
    assert verack == messages.Verack()
    assert peer.session.state is HandshakeState.AWAITING_VERACK
    assert peer.tell(messages.Ping(1)) == []  # not yet
    assert peer.tell(messages.Verack()) == [messages.SendHeaders(), messages.Ping(NONCE)]
    assert peer.session.state is HandshakeState.READY
    assert peer.tell(LISTENER) == []


def test_before_the_handshake_nothing_is_answered(simulation: Any) -> None:
    peer = Peer(simulation, ready=False)
    for message in (messages.Verack(), messages.Ping(1), messages.GetAddr(), messages.GetHeaders(1, (), 0)):
        assert peer.tell(message) == []
    simulation.find()
    assert peer.session.announce_block(simulation.chain.tip) == b""


def test_connection_to_itself(simulation: Any) -> None:
    with pytest.raises(ParseError, match="itself"):
        Peer(simulation, ready=False).tell(replace(VERSION, nonce=NONCE))


def test_ping_and_small_questions(simulation: Any) -> None:
    peer = Peer(simulation)
    assert peer.tell(messages.Ping(77)) == [messages.Pong(77)]
    assert peer.tell(messages.GetAddr()) == [messages.Addr(())]
    assert peer.tell(messages.Addr(())) == []
    assert peer.read(peer.session.receive(frame(MAGIC, "senddsq", b"\x01"))) == []
    simulation.clock.advance(2)
    assert peer.tell(messages.Pong(1)) == []
    assert peer.session.traffic.ping_time is None
    peer.tell(messages.Pong(NONCE))
    assert peer.session.traffic.ping_time == pytest.approx(2)


def test_bytes_in_pieces(simulation: Any) -> None:
    peer = Peer(simulation)
    data = frame(MAGIC, "ping", messages.Ping(5).pack())
    answers = b"".join(peer.session.receive(data[i : i + 1]) for i in range(len(data)))
    assert peer.read(answers) == [messages.Pong(5)]


def test_announcements(simulation: Any) -> None:
    peer = Peer(simulation)
    simulation.find()
    tip = simulation.chain.tip
    item = InventoryItem(messages.INVENTORY_BLOCK, tip.hash)
    assert peer.read(peer.session.announce_block(tip)) == [messages.Inv((item,))]
    assert peer.session.announce_block(tip) == b""  # it knows
    peer.tell(messages.SendHeaders())
    simulation.find()
    tip = simulation.chain.tip
    assert peer.read(peer.session.announce_block(tip)) == [messages.Headers((tip.header,))]


def test_transactions_are_offered(simulation: Any) -> None:
    peer, deaf = Peer(simulation), Peer(simulation, ready=False)
    deaf.tell(replace(VERSION, relay=False))
    deaf.tell(messages.Verack())
    entry = simulation.transactions.make()
    item = InventoryItem(messages.INVENTORY_TRANSACTION, entry.hash)
    assert peer.read(peer.session.offer_transaction(entry)) == [messages.Inv((item,))]
    assert deaf.session.offer_transaction(entry) == b""
    [answer] = peer.tell(messages.GetData((item,)))
    assert answer == messages.TransactionMessage(entry.transaction)


def test_getheaders(simulation: Any) -> None:
    simulation.wait_for_height(6)
    chain = simulation.chain
    headers = [chain.active.at(height).header for height in range(7)]
    hashes = [chain.active.at(height).hash for height in range(7)]
    peer = Peer(simulation)
    for locator, stop, expected in (
        ((hashes[4], hashes[2]), 0, headers[5:]),
        ((12345, hashes[2]), 0, headers[3:]),
        ((12345,), 0, headers[1:]),
        ((hashes[2],), hashes[4], headers[3:5]),
        ((hashes[6],), 0, []),
    ):
        [answer] = peer.tell(messages.GetHeaders(70238, locator, stop))
        assert answer == messages.Headers(tuple(expected))


def test_getheaders_without_a_locator_asks_for_one_header(simulation: Any) -> None:
    simulation.wait_for_height(3)
    chain = simulation.chain
    left = chain.tip
    simulation.find(2, 1)
    peer = Peer(simulation)
    for block in (chain.active.at(0), chain.active.at(2), chain.tip, left):
        answers = peer.tell(messages.GetHeaders(70238, (), block.hash))
        assert answers == [messages.Headers((block.header,))]
    for unknown in (0, 12345):
        assert peer.tell(messages.GetHeaders(70238, (), unknown)) == []


def test_getheaders_from_a_left_branch(simulation: Any) -> None:
    simulation.wait_for_height(3)
    left = simulation.chain.tip.hash
    simulation.find(2, 1)
    [answer] = Peer(simulation).tell(messages.GetHeaders(70238, (left, simulation.chain.active.at(2).hash), 0))
    assert len(answer.headers) == 2


def test_getdata(simulation: Any) -> None:
    simulation.find()
    tip = simulation.chain.tip
    known = InventoryItem(messages.INVENTORY_BLOCK, tip.hash)
    missing = (
        InventoryItem(messages.INVENTORY_BLOCK, 1),
        InventoryItem(messages.INVENTORY_TRANSACTION, 2),
        InventoryItem(messages.INVENTORY_CHAINLOCK, 3),
    )
    block, (command, payload) = Peer(simulation).tell(messages.GetData((known, *missing)))
    assert block.raw == simulation.chain.read(tip).raw
    assert (command, payload) == ("notfound", messages.Inv(missing).pack())


def test_getdata_answers_are_bounded(simulation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p2p, "_MAX_ANSWER", 1000)
    simulation.find()
    item = InventoryItem(messages.INVENTORY_BLOCK, simulation.chain.tip.hash)
    answers = Peer(simulation).tell(messages.GetData((item,) * 1000))
    assert len(answers) <= 5
    assert answers[-1][0] == "notfound"


def test_getdata_with_a_broken_disk(simulation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(position: int) -> bytes:
        raise OSError(5, "Input/output error")

    simulation.find()
    monkeypatch.setattr(simulation.chain.store, "read", fail)
    item = InventoryItem(messages.INVENTORY_BLOCK, simulation.chain.tip.hash)
    [(command, _)] = Peer(simulation).tell(messages.GetData((item,)))
    assert command == "notfound"


def test_a_block_is_taken(simulation: Any) -> None:
    peer = Peer(simulation)
    raw = simulation.block()
    assert peer.tell(messages.BlockMessage(parse_block(raw), raw)) == []
    assert simulation.chain.height == 1
    assert peer.session.announce_block(simulation.chain.tip) == b""
    assert peer.session.traffic.last_block == simulation.clock.seconds()


def test_a_bad_block_costs_nothing_but_a_line(simulation: Any) -> None:
    raw = simulation.block(header=lambda header: replace(header, merkle_root=5))
    assert Peer(simulation).tell(messages.BlockMessage(parse_block(raw), raw)) == []
    assert simulation.chain.height == 0


def test_news_are_asked_for(simulation: Any) -> None:
    peer = Peer(simulation)
    simulation.find()
    news = (InventoryItem(messages.INVENTORY_BLOCK, 5), InventoryItem(messages.INVENTORY_TRANSACTION, 6))
    known = (InventoryItem(messages.INVENTORY_BLOCK, simulation.chain.tip.hash), InventoryItem(31, 7))
    assert peer.tell(messages.Inv(news + known)) == [messages.GetData(news)]
    assert peer.tell(messages.Inv(known)) == []
    [asked] = peer.tell(messages.Inv(tuple(InventoryItem(2, i + 100) for i in range(5000))))
    assert len(asked.items) == 100
    header = parse_block(simulation.block()).header
    [asked] = peer.tell(messages.Headers((header, simulation.chain.tip.header)))
    assert asked.items == (InventoryItem(messages.INVENTORY_BLOCK, header.hash()),)


def test_a_transaction_is_taken(simulation: Any) -> None:
    peer = Peer(simulation)
    spend = simulation.spend(simulation.faucet_coins()[0], 1000)
    assert peer.tell(messages.TransactionMessage(spend)) == []
    entry = simulation.chain.mempool.get(spend.hash)
    assert entry is not None
    assert peer.session.offer_transaction(entry) == b""
    assert peer.tell(messages.TransactionMessage(spend)) == []  # refused quietly


def test_a_special_transaction_drops_the_connection(simulation: Any) -> None:
    simulation.wait_for_height(15)
    commitment = parse_block(simulation.block()).transactions[1]
    with pytest.raises(ParseError, match="type 6"):
        Peer(simulation).tell(messages.TransactionMessage(commitment))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([*sorted(messages.KNOWN_COMMANDS), "other"]), st.binary(max_size=300))
def test_any_message_is_answered_or_drops(simulation: Any, command: str, payload: bytes) -> None:
    peer = Peer(simulation)
    try:
        peer.session.receive(frame(MAGIC, command, payload))
    except ParseError:
        pass


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes(simulation: Any, data: bytes) -> None:
    try:
        Peer(simulation).session.receive(data)
    except ParseError:
        pass


# --- the adapter ----------------------------------------------------------------------------------------


class Wire:
    """A connection to a server, without a socket."""

    def __init__(self, server: P2pServer) -> None:
        self.transport = StringTransport()
        self.transport.abortConnection = self.transport.loseConnection  # type: ignore[method-assign]
        self.protocol = server.buildProtocol(None)
        assert self.protocol is not None
        self.protocol.makeConnection(self.transport)

    def tell(self, message: messages.Message) -> None:
        """Send a message."""
        assert self.protocol is not None
        self.protocol.dataReceived(frame(MAGIC, message.command, message.pack()))

    def shake(self) -> Wire:
        """Complete the handshake and forget what came."""
        self.tell(LISTENER)
        self.tell(messages.Verack())
        self.transport.clear()
        return self

    def take(self) -> list[Any]:
        """The messages that came."""
        found = list(Framer(MAGIC, messages.MAX_PAYLOAD).feed(self.transport.value()))
        self.transport.clear()
        return [messages.parse_message(command, payload) for command, payload in found]


@pytest.fixture
def server(simulation: Any) -> P2pServer:
    return P2pServer(simulation.chain, magic=MAGIC, now=simulation.clock.seconds, nonce=lambda: NONCE)


def test_all_peers_but_the_sender_hear_of_a_block(simulation: Any, server: P2pServer) -> None:
    first, second, waiting = Wire(server).shake(), Wire(server).shake(), Wire(server)
    raw = simulation.block()
    first.tell(messages.BlockMessage(parse_block(raw), raw))
    item = InventoryItem(messages.INVENTORY_BLOCK, simulation.chain.tip.hash)
    assert (first.take(), second.take(), waiting.take()) == ([], [messages.Inv((item,))], [])
    simulation.transactions.make()
    assert [type(message) for message in second.take()] == [messages.Inv]


def test_nonsense_drops_the_connection(simulation: Any, server: P2pServer) -> None:
    for data in (
        frame(MAGIC, "ping", b"\x01"),
        frame(MAGIC, "ping", bytes(8))[:-1] + b"\x01",  # the checksum is wrong
    ):
        wire = Wire(server).shake()
        assert wire.protocol is not None
        wire.protocol.dataReceived(data)
        assert wire.transport.disconnecting


def test_connections_are_bounded_and_closed(simulation: Any, server: P2pServer) -> None:
    wires = [Wire(server) for _ in range(125)]
    assert server.buildProtocol(None) is None
    assert server.inbound_count() == 125
    closed: list[None] = []
    server.close().addCallback(closed.append)
    assert all(wire.transport.disconnecting for wire in wires)
    simulation.find()
    assert wires[0].take() == []
    for wire in wires:
        assert closed == []
        assert wire.protocol is not None
        wire.protocol.connectionLost(connectionDone)
    assert closed == [None]


def test_a_slow_reader_is_not_heard(simulation: Any, server: P2pServer) -> None:
    wire = Wire(server).shake()
    producer = wire.transport.producer
    producer.pauseProducing()
    assert wire.transport.producerState == "paused"
    producer.resumeProducing()
    assert wire.transport.producerState == "producing"


def test_getpeerinfo_form(simulation: Any, server: P2pServer, captures: Path) -> None:
    capture = orjson.loads((captures / "11_getpeerinfo_one_peer.json").read_bytes())["response"]["result"][0]
    wire = Wire(server).shake()
    wire.tell(messages.Pong(NONCE))
    [ours] = server.render()
    assert list(ours) == list(capture)
    for key, value in ours.items():
        assert type(value) is type(capture[key]), key
    assert ours["version"] == 70238
    assert set(ours["bytesrecv_per_msg"]) == {"version", "verack", "pong"}  # type: ignore[call-overload]
    assert wire.protocol is not None
    wire.protocol.connectionLost(connectionDone)
    assert server.render() == []
