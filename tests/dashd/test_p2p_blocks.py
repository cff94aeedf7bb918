"""Found blocks by p2p: each connection is sent each of them once, however often a block is offered."""

from __future__ import annotations

import random
from pathlib import Path

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport

from p2pool.dash.messages import Verack
from p2pool.dashd.broadcaster import BlockBroadcaster, BroadcasterSettings, _Peer
from p2pool.dashd.network_peers import PeerBook
from p2pool.dashd.p2p import DashdLink, P2pConnection
from p2pool.dashd.p2p_session import P2pSession, pack_block
from p2pool.wire.framer import frame
from tests.environment import make_environment

MAGIC = bytes.fromhex("fcc1b7dc")
ONE, TWO = b"1" * 100, b"2" * 100


class Transport(StringTransport):
    def abortConnection(self) -> None:
        self.disconnecting = True


def said_hello(connection: P2pConnection) -> Transport:
    """The connection after its handshake, without what was said in it."""
    transport, other = Transport(), P2pSession(MAGIC, sub_version=b"/other:1/", nonce=2, now=1e9)
    connection.makeConnection(transport)
    connection.dataReceived(other.hello() + frame(MAGIC, "verack", Verack().pack()))
    transport.clear()
    return transport


def test_dashd_is_sent_a_block_once_a_connection():
    reactor = MemoryReactorClock()
    link = DashdLink(
        make_environment(reactor, clock=lambda: 1e9),
        host="127.0.0.1",
        port=1,
        magic=MAGIC,
        sub_version=b"/test:1/",
        announced=lambda block_hash: None,
    )
    transport = said_hello(link.new_connection())
    assert [link.send_block(block) for block in (ONE, ONE, TWO, ONE)] == [1, 0, 1, 0]
    assert transport.value() == pack_block(MAGIC, ONE) + pack_block(MAGIC, TWO)
    said_hello(link.new_connection())
    assert link.send_block(ONE) == 1


def test_nodes_of_the_network_are_sent_a_block_once_and_new_ones_when_it_is_offered_again(tmp_path: Path):
    clock = Clock()
    environment = make_environment(clock, clock=lambda: 1e9)
    broadcaster = BlockBroadcaster(
        environment,
        BroadcasterSettings(20, MAGIC, b"/test:1/", frozenset()),
        book=PeerBook(True, random.Random(1)),
        path=tmp_path / "peers.json",
        ask_addresses=lambda: None,  # type: ignore[arg-type,return-value]
        headers_heard=lambda headers: None,
        tip=lambda: None,
    )

    def connect(number: int) -> Transport:
        connection = P2pConnection(
            environment, P2pSession(MAGIC, sub_version=b"/test:1/", nonce=1, now=1e9), broadcaster
        )
        broadcaster._handshakes[connection] = _Peer(("127.0.0.1", number), connection, 0.0)
        return said_hello(connection)

    first = [connect(number) for number in range(3)]
    assert broadcaster.send_block(ONE) == 3
    clock.pump([0.0] * 5)
    assert broadcaster.send_block(ONE) == 0
    late = connect(9)
    assert broadcaster.send_block(ONE) == 1
    clock.pump([0.0] * 5)
    assert [transport.value() for transport in [*first, late]] == [pack_block(MAGIC, ONE)] * 4
