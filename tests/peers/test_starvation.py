"""Whom an attacker cannot keep away, and what a node does about peers that bring nothing."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from p2pool.peers.dialling import EXPLORE_PERIOD, QUIET_PERIODS
from p2pool.peers.messages import PeerAddress
from p2pool.peers.service import DialSettings
from tests.chains import NOW
from tests.peers.service_world import World, looking
from tests.peers.wiring import NETWORK

# --- whom an attacker cannot keep away ---------------------------------------------------------------------------


@pytest.fixture
def patience(monkeypatch) -> None:
    """Let peers be silent."""
    monkeypatch.setattr("p2pool.peers.session.SILENCE_TIME", 1e9)


@pytest.mark.usefixtures("patience")
def test_outgoing_connections_lead_to_distinct_neighbourhoods(world):
    world.know("8.1.0.1", "8.1.0.2", "8.1.0.3", "8.2.0.1", "8.2.0.2", "8.3.0.1")
    for number in range(3):
        world.seconds(1)
        world.connect(number, nonce=number + 1)
    world.seconds(100)
    assert sorted(host[:3] for host, _ in world.dialled()) == ["8.1", "8.2", "8.3"]


@pytest.mark.usefixtures("patience")
def test_in_a_network_of_one_neighbourhood_two_connections_are_made(world):
    world.know("8.1.0.1", "8.1.0.2", "8.1.0.3")
    for number in range(2):
        world.seconds(1)
        world.connect(number, nonce=number + 1)
    world.seconds(100)
    assert len(world.dialled()) == 2


def test_ports_of_this_machine_and_private_hosts_are_neighbourhoods_of_their_own(world):
    for port in range(3):
        world.hub.addresses.add(PeerAddress("127.0.0.1", 9000 + port), NOW, now=NOW, source=f"127.0.0.1 {port}")
        world.hub.addresses.add(PeerAddress(f"10.0.0.{port}", 9), NOW, now=NOW, source=f"10.0.0.{port}")
    for number in range(6):
        world.seconds(1)
        world.connect(number, nonce=number + 1)
    assert len(set(world.dialled())) == 6


@pytest.mark.usefixtures("patience")
def test_with_all_connections_made_a_named_node_is_looked_for_and_connected(tmp_path):
    """Whoever has filled the book, and is all of its peers, does not keep away whom the operator names."""
    world = looking(tmp_path, ("8.1.0.1", 0))
    world.know(*(f"9.{n}.0.1" for n in range(20)))
    world.start()
    for number in range(6):
        world.seconds(1)
        world.connect(number, nonce=number + 1)
    world.dialled()
    world.seconds(26)
    assert world.dialled() == [("8.1.0.1", 7777)]
    world.connect(world.taken - 1, nonce=7)
    world.seconds(int(EXPLORE_PERIOD))
    assert [host[:2] for host, _ in world.dialled()] == ["9."]
    lines = [protocol.session.host for protocol in world.service._dialler.factory.protocols]
    assert "8.1.0.1" in lines
    assert world.service.last_look_up.time is not None
    world.done(world.service.stop())


@pytest.mark.parametrize(("lasts", "again"), [(29, []), (31, [PeerAddress("8.1.0.1", 9999)])])
def test_a_named_node_that_made_room_for_another_one_is_dialled_again_at_once(world, lasts, again):
    world.hub.named.add("8.1.0.1")
    world.know("8.1.0.1", "8.2.0.1")
    lines = {}
    for number in range(2):
        world.seconds(1)
        line = world.connect(number, nonce=7 + number)
        lines[world.reactor.tcpClients[number][0]] = line
    world.seconds(lasts)
    lines["8.1.0.1"].lose()
    assert list(world.service._dialler.named) == again


def test_the_last_peer_is_dialled_again_at_once(world):
    world.know("8.1.0.1")
    world.seconds(1)
    line = world.connect(0, nonce=7)
    line.lose()
    assert list(world.service._dialler.named) == [PeerAddress("8.1.0.1", 9999)]


def test_of_too_many_connections_the_newest_goes_but_not_a_named_node(tmp_path):
    world = World(tmp_path, DialSettings(None, outgoing=2)).start()
    world.know(*(f"8.{n}.0.1" for n in range(5)))
    lines = []
    for number in range(4):
        if number >= 2:
            world.service._dialler._next_exploration = 0.0
        world.seconds(1)
        lines.append(world.connect(number, nonce=number + 1))
        if number == 2:
            world.hub.named.add(world.hub.peers[2].host)
    assert [line.pipe.aborted for line in lines] == [False, True, False, False]
    world.done(world.service.stop())


def test_the_peers_that_were_connected_longest_are_dialled_first_after_a_restart(tmp_path):
    world = World(tmp_path).start()
    world.know(*(f"8.{n}.0.1" for n in range(20)))
    for number in range(4):
        world.seconds(1)
        world.connect(number, nonce=number + 1)
    longest = world.dialled()[:2]
    world.done(world.service.stop())
    assert json.loads((tmp_path / "peers.json").read_text())["anchors"] == [list(each) for each in longest]
    again = World(tmp_path).start()
    again.seconds(1)
    assert again.dialled() == longest
    again.done(again.service.stop())
    last = World(tmp_path).start()
    last.seconds(1)
    assert last.dialled() == longest
    last.done(last.service.stop())


@pytest.mark.usefixtures("patience")
def test_what_is_explored_is_tested_and_soon_something_else_if_nobody_is_there(world):
    world.know(*(f"8.{n}.0.1" for n in range(9)))
    book = world.hub.addresses
    for number in range(6):
        world.seconds(1)
        world.connect(number, nonce=number + 1)
    connected = world.dialled()
    assert book.tried_count == 6
    waiting = PeerAddress("8.50.0.1", 9999)
    book.answered(waiting, world.unix() - 50_000)
    place = book._known["8.50.0.1", 9999].tried
    book._contests[place] = (connected[0][0], 9999)
    world.seconds(int(EXPLORE_PERIOD))
    assert world.dialled() == [("8.50.0.1", 9999)]
    world.refuse(6)
    assert book.contested() == []
    assert book._known["8.50.0.1", 9999].failures == 1
    world.seconds(29)
    assert world.dialled() == []
    world.seconds(2)
    assert len(world.dialled()) == 1


# --- peers that bring nothing ------------------------------------------------------------------------------------


def starving(tmp_path, *, best: int | None, named: tuple[str, ...] = ()) -> World:
    """A node with three peers that it chose, which bring nothing; it knows of twenty."""
    world = World(tmp_path, DialSettings(None, outgoing=3)).start(listen=False)
    world.pool.best = best
    world.hub.tick = lambda fail: None  # nobody is disconnected for silence
    world.brings_shares = False
    world.know(*(f"8.{n}.0.1" for n in range(20)))
    for host in named:
        world.hub.named.add(host)
    for number in range(3):
        world.seconds(1)
        world.connect(number, nonce=number + 1)
    assert len(world.dialled()) == 3
    return world


def connect_all(world: World) -> list[str]:
    """Let the newest attempts succeed, and connections end that were closed. Return who was dialled."""
    hosts = []
    for number in range(world.taken, len(world.reactor.tcpClients)):
        world.connect(number, nonce=number + 1)
    hosts = [host for host, _ in world.dialled()]
    for protocol in list(world.service._dialler.factory.protocols):
        if protocol.transport.aborted:
            protocol.connectionLost(Failure(ConnectionDone()))
    return hosts


def test_without_a_chain_peers_that_bring_nothing_make_room_for_others_one_a_second(tmp_path):
    world = starving(tmp_path, best=None, named=tuple(f"8.{n}.0.1" for n in range(20)))
    first = [session.host for session in world.hub.peers]
    serving = world.hub.peers[1]
    world.hub.downloader.has_no_turn_left = lambda peer, now: peer is not serving
    world.seconds(3)
    assert world.dialled() == []
    for _ in range(3):
        world.seconds(1)
        (host,) = connect_all(world)
        assert host not in first
    hosts = [session.host for session in world.hub.peers]
    assert [host in hosts for host in first] == [False, True, False], "named by a bootstrap source or not"
    assert len(hosts) == 4
    world.hub.peers[-1].brought_at = world.reactor.seconds()
    world.seconds(5)
    assert world.dialled() == []
    later = []
    for _ in range(30):
        world.seconds(1)
        later += connect_all(world)
    assert len(later) == 14
    assert set(first).isdisjoint(later), "they are left alone for a while"
    world.done(world.service.stop())


def test_with_a_chain_and_no_new_shares_for_long_another_peer_is_dialled_ever_more_rarely(tmp_path):
    world = starving(tmp_path, best=1)
    world.service._dialler._next_exploration = 1e9
    patience = QUIET_PERIODS * NETWORK.share_period
    first = list(world.hub.peers)
    first[2].brought_at = world.reactor.seconds()
    world.seconds(patience)
    assert world.dialled() == []
    turns = []
    for second in range(120):
        world.seconds(1)
        turns += [second for _ in connect_all(world)]
    assert [round(b - a) for a, b in pairwise(turns)] == [30, 60]
    assert len(world.hub.peers) == 4
    assert world.hub.peers[:3] == first, "nobody may find anything, and they may be honest"
    first[2].brought_at = world.reactor.seconds()
    world.seconds(patience)
    assert world.dialled() == []
    world.done(world.service.stop())


def test_shares_of_who_connects_do_not_feed_a_node_without_a_chain(world):
    world.brings_shares = False
    world.know("8.1.0.1")
    world.seconds(1)
    world.connect(0, nonce=1)
    world.come("9.1.0.1", nonce=2)
    (incoming,) = (peer for peer in world.hub.peers if peer.incoming)
    for best, is_starved in ((None, True), (1, False)):
        world.pool.best = best
        world.service._dialler._fed_at = -1e9
        incoming.brought_at = world.reactor.seconds()
        world.seconds(1)
        assert world.service._dialler.is_starved is is_starved


def test_while_there_is_no_chain_those_that_a_bootstrap_source_named_are_kept_in_mind(tmp_path):
    world = looking(tmp_path, *((f"8.{n}.0.1", 0) for n in range(1, 10)))
    world.pool.best = None
    world.start()
    for number in range(6):
        world.seconds(1)
        world.connect(number, nonce=number + 1)
    world.seconds(1)
    assert len(world.service._dialler.named) == 2
    world.pool.best = 1
    world.seconds(1)
    assert not world.service._dialler.named
    world.done(world.service.stop())
