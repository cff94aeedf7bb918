"""Whom a node dials, how often, and how long it stays away from whom it did not reach."""

from __future__ import annotations

from itertools import pairwise

import pytest

from p2pool.peers.bootstrap import BootstrapSettings
from p2pool.peers.dialling import DIAL_TIME, EXPLORE_PERIOD, MAX_ATTEMPTS
from p2pool.peers.errors import Drop
from p2pool.peers.messages import Addrs, PeerAddress, SeenAddress
from p2pool.peers.service import DialSettings
from tests.peers.service_world import World
from tests.peers.wiring import framed, version


def test_one_attempt_a_second_as_long_as_connections_are_wanted(world):
    world.know(*(f"8.{n}.0.1" for n in range(20)))
    for number in range(6):
        world.reactor.advance(1.0)
        assert len(world.dialled()) == 1
        world.connect(number, nonce=number + 1)
    assert len(world.hub.peers) == 6
    assert not any(session.incoming for session in world.hub.peers)
    world.seconds(5)
    assert world.dialled() == []
    world.service.fail(world.hub.peers[0], Drop("x"))
    world.reactor.advance(1.0)
    assert len(world.dialled()) == 1


def test_one_more_connection_than_wanted_goes_to_another_node_each_time(world, monkeypatch):
    """Parts of a network that were cut off from each other would stay so: all connect within their own part."""
    assert EXPLORE_PERIOD == 300.0
    monkeypatch.setattr("p2pool.peers.dialling.EXPLORE_PERIOD", 30.0)
    world.service._dialler._next_exploration = 30.0
    world.know(*(f"8.{n}.0.1" for n in range(20)))
    lines = []
    for number in range(6):
        world.reactor.advance(1.0)
        lines.append(world.connect(number, nonce=number + 1))
    world.seconds(23)
    assert len(set(world.dialled())) == 6
    world.seconds(1)
    (first,) = world.dialled()
    lines.append(world.connect(6, nonce=7))
    world.seconds(29)
    assert world.dialled() == []
    assert len(world.hub.peers) == 7
    world.seconds(1)
    (second,) = world.dialled()
    assert second != first
    assert not any(line.pipe.aborted for line in lines)
    world.connect(7, nonce=8)
    assert [line.pipe.aborted for line in lines] == [False] * 6 + [True]
    lines[6].lose()
    assert len(world.hub.peers) == 7


def test_a_node_without_outgoing_connections_does_not_explore(tmp_path):
    world = World(tmp_path, DialSettings(None, outgoing=0)).start(listen=False)
    world.know("8.1.0.1")
    world.seconds(int(EXPLORE_PERIOD) + 5)
    assert world.dialled() == []
    world.done(world.service.stop())


def test_whoever_connects_to_us_does_not_keep_us_from_connecting(world):
    world.know("8.99.0.1")
    for number in range(6):
        world.come(f"8.{number}.0.1", nonce=number + 1)
    world.seconds(3)
    assert world.dialled() == [("8.99.0.1", 9999)]


def test_unfinished_handshakes_count_as_well(world):
    world.know(*(f"8.{n}.0.1" for n in range(20)))
    for number in range(6):
        world.reactor.advance(1.0)
        world.connect(number)
    world.taken = 6
    world.seconds(3)
    assert world.dialled() == []


def test_one_attempt_for_each_neighbourhood(world):
    world.know("8.1.0.1", "8.1.0.2", "8.1.255.3")
    world.seconds(3)
    assert len(world.dialled()) == 1


def test_no_more_attempts_than_allowed(world, monkeypatch):
    assert MAX_ATTEMPTS == 30
    monkeypatch.setattr("p2pool.peers.dialling.MAX_ATTEMPTS", 2)
    world.know(*(f"8.{n}.0.1" for n in range(20)))
    world.seconds(4)
    assert len(world.dialled()) == 2


def test_an_attempt_lasts_five_seconds(world):
    world.know("8.1.0.1")
    world.seconds(10)
    assert world.dialled() == [("8.1.0.1", 9999)]
    assert world.reactor.tcpClients[0][3] == DIAL_TIME == 5.0


def test_a_refused_one_rests_a_minute_while_others_are_dialled(world):
    world.know("8.1.0.1")
    world.seconds(1)
    world.refuse(0)
    world.seconds(1)
    assert world.dialled() == [("8.1.0.1", 9999)]
    world.know("8.1.0.2")
    world.seconds(1)
    assert world.dialled() == [("8.1.0.2", 9999)]
    world.refuse(1)
    world.seconds(56)
    assert world.dialled() == []
    world.seconds(4)
    assert world.dialled()[0] == ("8.1.0.1", 9999)


def test_the_last_peer_is_dialled_again_at_once_and_soon_after_a_failure(world):
    world.know("8.1.0.1")
    world.seconds(1)
    line = world.connect(0, nonce=7)
    world.taken = 1
    line.lose()
    world.seconds(1)
    assert world.dialled() == [("8.1.0.1", 9999)]
    world.refuse(1)
    world.seconds(4)
    assert world.dialled() == []
    world.seconds(2)
    assert world.dialled() == [("8.1.0.1", 9999)]
    world.seconds(60)
    world.refuse(2)
    world.seconds(30)
    assert world.dialled() == [], "after a minute it is a peer like any other that is gone"


@pytest.mark.parametrize("what", ["silence", "duplicate"])
def test_where_there_is_no_handshake_it_rests_as_well(world, what):
    """Else somebody whom we have already would be called once a second."""
    world.know("8.1.0.1")
    world.come("8.2.0.1", nonce=7)
    world.seconds(1)
    line = world.connect(0, {"silence": None, "duplicate": 7}[what])
    assert line.pipe.aborted is (what != "silence")
    line.lose()
    assert len(world.hub.peers) == 1
    assert not world.hub.bans.is_banned("8.1.0.1", world.unix())
    world.dialled()
    world.seconds(59)
    assert world.dialled() == []
    world.seconds(2)
    assert world.dialled() == [("8.1.0.1", 9999)]


def test_an_address_at_which_we_reached_ourselves_is_forgotten_and_not_learnt_again(tmp_path):
    world = World(tmp_path, DialSettings(("", 9000), bootstrap=BootstrapSettings(7777, given=[("8.1.0.1", 9999)])))
    world.start()
    teller = world.come("8.2.0.1", nonce=7)
    world.seconds(1)
    assert world.dialled() == [("8.1.0.1", 9999)]
    line = world.connect(0, world.hub.nonce)
    assert line.pipe.aborted
    line.lose()
    told = SeenAddress(int(world.unix()), PeerAddress("8.1.0.1", 9999))
    teller.protocol.dataReceived(framed(Addrs((told,))))
    world.seconds(2000)
    assert world.dialled() == []
    assert len(world.hub.addresses) == 0
    world.done(world.service.stop())


def test_who_left_after_a_handshake_may_be_called_again(world):
    world.know("8.1.0.1")
    world.seconds(1)
    world.connect(0, nonce=7).lose()
    world.seconds(1)
    assert world.dialled() == [("8.1.0.1", 9999)] * 2


def test_banned_hosts_and_connected_ones_are_not_dialled(world):
    world.know("8.1.0.1", "8.2.0.1")
    world.hub.bans.ban("8.1.0.1", world.unix())
    world.seconds(1)
    assert world.dialled() == [("8.2.0.1", 9999)]
    line = world.connect(0, nonce=7)
    world.seconds(50)
    assert world.dialled() == []
    line.protocol.dataReceived(framed(version(8)))
    assert world.hub.bans.is_banned("8.2.0.1", world.unix())
    assert line.pipe.aborted
    line.lose()
    world.seconds(100)
    assert world.dialled() == []
    world.seconds(3600)
    assert world.dialled() != []


def test_ipv6(world):
    world.know("2606:4700::1")
    world.seconds(1)
    assert world.dialled() == [("2606:4700::1", 9999)]
    world.connect(0, nonce=7)
    assert [session.label for session in world.hub.peers] == ["[2606:4700::1]:9999"]


def test_given_peers_are_kept_connected(tmp_path):
    world = World(tmp_path, DialSettings(None, always=[("8.1.0.1", 9999)], outgoing=0)).start()
    world.know("8.2.0.1")
    assert world.service.port == 0
    assert world.dialled() == [("8.1.0.1", 9999)]
    world.refuse(0)
    world.seconds(5)
    assert world.dialled() == [("8.1.0.1", 9999)]
    line = world.connect(1, nonce=7)
    assert len(world.hub.peers) == 1
    world.seconds(5)
    assert world.dialled() == []
    line.lose()
    waits = []
    for number in range(2, 8):
        waits.append(0)
        while len(world.reactor.tcpClients) == number:
            world.seconds(1)
            waits[-1] += 1
        world.refuse(number)
    assert waits[0] <= 3
    assert waits == sorted(waits)
    assert 5 <= waits[-1] <= 60
    world.done(world.service.stop())
    world.seconds(200)
    assert len(world.reactor.tcpClients) == 8


def test_a_given_peer_that_is_connected_already_is_dialled_less_and_less_often(tmp_path):
    """Two nodes that name each other: the connection that came first stays, each later one ends at once."""
    world = World(tmp_path, DialSettings(None, always=[("8.1.0.1", 9999)], outgoing=0)).start()
    dialled = []
    for second in range(600):
        if len(world.reactor.tcpClients) > len(dialled):
            dialled.append(second)
            world.connect(len(dialled) - 1, nonce=7).lose()
        world.seconds(1)
    waits = [later - earlier for earlier, later in pairwise(dialled)]
    assert len(dialled) < 30
    assert 50 <= waits[-1] <= 62


def test_a_given_peer_that_stayed_for_a_while_is_dialled_again_soon(tmp_path):
    world = World(tmp_path, DialSettings(None, always=[("8.1.0.1", 9999)], outgoing=0)).start()
    for number in range(8):
        world.connect(number, nonce=7).lose()
        while len(world.reactor.tcpClients) == number + 1:
            world.seconds(1)
    line = world.connect(8, nonce=7)
    world.seconds(40)
    line.lose()
    world.seconds(4)
    assert len(world.reactor.tcpClients) == 10
