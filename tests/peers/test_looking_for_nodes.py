"""Where a node gets addresses from: bootstrap nodes, names, lists, and what it remembers."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred

from p2pool.peers.bootstrap import MAX_OF_NAME, BootstrapSettings
from p2pool.peers.errors import Drop
from p2pool.peers.figures import FoundBy, NodeLookUps, NodeOrigin
from p2pool.peers.messages import AddrMe, Addrs, PeerAddress, SeenAddress
from p2pool.peers.service import DialSettings
from tests.logged import logged
from tests.peers.service_world import World, looking
from tests.peers.wiring import framed


def origins(world: World) -> dict[str, FoundBy]:
    return {seen.host: seen.found_by for seen in world.hub.addresses.seen()}


def names(monkeypatch, **known: list[str]) -> list[str]:
    """Lets these names be known, with underscores for dots; returns those that are asked for."""
    asked: list[str] = []

    def getaddrinfo(host, port, type):
        asked.append(host)
        if host.replace(".", "_") not in known:
            raise socket.gaierror(-2, "Name or service not known")
        found = known[host.replace(".", "_")]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_addresses_names_and_lists_are_asked_at_the_start(tmp_path, monkeypatch):
    (tmp_path / "bootstrap.txt").write_text("8.4.0.1:4444  # a friend\n")
    asked = names(monkeypatch, node_example=["8.3.0.1", "2606:4700::3"])
    world = looking(
        tmp_path,
        *(("8.1.0.1", 0), ("2606:4700::1", 8888), ("node.example", 0)),
        built_in=[("none.example", 0)],
        built_in_list=lambda: b"8.5.0.1",
    ).start()
    assert origins(world) == {
        "8.1.0.1": (NodeOrigin.BOOTSTRAP, ""),
        "2606:4700::1": (NodeOrigin.BOOTSTRAP, ""),
        "8.3.0.1": (NodeOrigin.BOOTSTRAP, "node.example"),
        "2606:4700::3": (NodeOrigin.BOOTSTRAP, "node.example"),
        "8.4.0.1": (NodeOrigin.FILE, ""),
        "8.5.0.1": (NodeOrigin.BUILT_IN, ""),
    }
    assert asked == ["node.example", "none.example"]
    assert world.service.last_look_up == NodeLookUps(world.unix(), 6)
    world.seconds(7)
    assert set(world.dialled()) == {
        *(("8.1.0.1", 7777), ("2606:4700::1", 8888), ("8.4.0.1", 4444), ("8.5.0.1", 7777)),
        *(("8.3.0.1", 7777),),  # of the others of one neighbourhood later
    }
    world.done(world.service.stop())


def test_remembered_nodes_come_first(tmp_path):
    world = looking(tmp_path, ("8.1.0.1", 0))
    world.know("8.9.0.1")
    world.start()
    world.seconds(29)
    assert world.dialled() == [("8.9.0.1", 9999)]
    assert world.service.last_look_up.time is None
    world.seconds(3)
    assert world.dialled() == [("8.1.0.1", 7777)]
    world.done(world.service.stop())


def test_with_two_peers_of_which_one_is_a_bootstrap_node_nobody_is_asked(tmp_path):
    world = looking(tmp_path, ("8.1.0.1", 0))
    world.know("8.8.0.1", "8.9.0.1")
    world.hub.named.add("8.9.0.1")
    world.start()
    world.seconds(2)
    for number in range(2):
        world.connect(number, nonce=number + 1)
    world.seconds(90)
    assert len(world.hub.peers) == 2
    assert world.service.last_look_up.time is None
    assert "8.1.0.1" not in origins(world)
    world.service.fail(world.hub.peers[0], Drop("x"))
    world.seconds(29)
    assert world.service.last_look_up.time is None
    world.seconds(3)
    assert world.service.last_look_up.time is not None
    world.done(world.service.stop())


def test_a_book_full_of_nodes_that_are_gone_does_not_keep_us_alone(tmp_path):
    """There are thousands; the one that lives is called within seconds of being named."""
    world = looking(tmp_path, ("8.1.0.1", 0))
    world.know(*(f"9.{n >> 8}.{n & 255}.1" for n in range(3000)))
    world.start()
    for _ in range(40):
        world.seconds(1)
        for number, (host, *_) in enumerate(world.reactor.tcpClients):
            if host.startswith("9.") and number >= world.taken:
                world.refuse(number)
        if ("8.1.0.1", 7777) in world.dialled():
            break
    else:
        pytest.fail("never called")
    world.done(world.service.stop())


def test_incoming_connections_do_not_keep_us_from_looking(tmp_path):
    settings = BootstrapSettings(7777, given=[("8.1.0.1", 0)])
    world = World(tmp_path, DialSettings(("", 9000), bootstrap=settings))
    world.know("9.9.0.1")
    world.start()
    for number in range(6):
        world.come(f"8.{number}.0.1", nonce=number + 1)
    world.seconds(31)
    assert world.service.last_look_up.time is not None
    world.done(world.service.stop())


def test_who_is_not_found_is_asked_less_and_less_often(tmp_path, monkeypatch):
    asked = names(monkeypatch)
    with logged() as log:
        world = looking(tmp_path, ("nowhere.invalid", 1)).start()
        when = []
        for second in range(4000):
            if len(asked) > len(when):
                when.append(second)
            world.seconds(1)
    assert when == [0, 60, 180, 420, 900, 1860, 2820, 3780]
    assert len([line for line in log.lines if "nowhere.invalid" in line]) == 1
    assert len(world.hub.addresses) == 0
    # A machine may come up before its network does.
    names(monkeypatch, nowhere_invalid=["8.1.0.1"])
    world.seconds(960)
    assert len(world.hub.addresses) == 1
    world.done(world.service.stop())


def test_a_list_is_read_again_when_it_has_changed(tmp_path):
    file = tmp_path / "bootstrap.txt"
    file.write_text("8.1.0.1\nnot a node\n")
    with logged() as log:
        world = looking(tmp_path).start()
        world.seconds(100)
        assert set(origins(world)) == {"8.1.0.1"}
        assert len([line for line in log.lines if "line 2: not a node" in line]) == 1
        file.write_text("8.1.0.1\n8.2.0.1\nnot a node, either\n")
        world.seconds(100)
    assert set(origins(world)) == {"8.1.0.1", "8.2.0.1"}
    assert len([line for line in log.lines if "line 3" in line]) == 1
    world.done(world.service.stop())


def test_a_list_that_cannot_be_read_costs_a_line(tmp_path):
    (tmp_path / "bootstrap.txt").mkdir()
    with logged() as log:
        world = looking(tmp_path, ("8.1.0.1", 0)).start()
        world.seconds(500)
    assert [line for line in log.lines if "cannot read" in line] == [
        f"cannot read {tmp_path}/bootstrap.txt: Is a directory"
    ]
    assert set(origins(world)) == {"8.1.0.1"}
    world.done(world.service.stop())


def test_a_name_gives_so_many_addresses_and_no_others_than_nodes_can_have(tmp_path, monkeypatch):
    local = ["127.0.0.1", "0.0.0.0", "10.0.0.1", "224.0.0.1", "fe80::1%eth0", "::"]
    names(
        monkeypatch,
        many_example=[f"8.{n}.0.1" for n in range(200)],
        local_example=["192.168.0.1", "127.0.0.2"],
        mine_example=local,
    )
    world = looking(
        tmp_path, ("mine.example", 0), built_in=[("many.example", 0), ("local.example", 0)], file=None
    ).start()
    found = origins(world)
    assert world.service.last_look_up.found == MAX_OF_NAME + 2
    # Only to what the operator says private addresses may belong.
    assert {host for host, by in found.items() if by.name != "many.example"} == {"127.0.0.1", "10.0.0.1"}
    assert {by.name for by in found.values()} == {"many.example", "mine.example"}
    world.done(world.service.stop())


def test_our_own_external_address_is_not_looked_up(tmp_path):
    world = looking(tmp_path, ("8.1.0.1", 0), ("8.2.0.1", 0))
    world.hub.settings = replace(world.hub.settings, external=PeerAddress("8.1.0.1", 7777))
    world.start()
    assert set(origins(world)) == {"8.2.0.1"}
    world.done(world.service.stop())


def test_names_are_resolved_one_after_another(tmp_path):
    world = looking(tmp_path, *((f"n{n}.example", 0) for n in range(50)))
    waiting: list[Deferred] = []

    def look_up(host, port):
        waiting.append(Deferred())
        return waiting[-1]

    world.service._bootstrap._look_up = look_up
    world.start()
    world.seconds(200)
    assert len(waiting) == 1
    waiting[0].errback(socket.gaierror(-2, "x"))
    assert len(waiting) == 2
    world.done(world.service.stop())


def test_a_name_that_takes_long_does_not_hold_up_addresses_nor_names_before_it(tmp_path):
    world = looking(tmp_path, ("slow.example", 0), ("8.1.0.1", 0))
    waiting: list[Deferred] = []

    def look_up(host, port):
        waiting.append(Deferred())
        return waiting[-1]

    world.service._bootstrap._look_up = look_up
    (tmp_path / "bootstrap.txt").write_text("slower.example\n")
    world.start()
    world.seconds(5)
    assert world.dialled() == [("8.1.0.1", 7777)]
    waiting[0].callback(["8.2.0.1"])
    world.seconds(5)
    assert world.dialled() == [("8.2.0.1", 7777)]
    assert len(waiting) == 2
    assert world.service.last_look_up.time is None
    world.done(world.service.stop())


def test_how_nodes_became_known_is_remembered(tmp_path):
    world = World(
        tmp_path,
        DialSettings(
            ("", 9000), always=[("8.1.0.1", 9999)], bootstrap=BootstrapSettings(7777, given=[("8.2.0.1", 0)])
        ),
    ).start()
    world.connect(0, nonce=1)
    world.seconds(1)
    line = world.come("8.3.0.1", nonce=2)
    line.protocol.dataReceived(framed(AddrMe(4000)))
    told = SeenAddress(int(world.unix()), PeerAddress("8.4.0.1", 9))
    line.protocol.dataReceived(framed(Addrs((told, SeenAddress(1, PeerAddress("8.2.0.1", 7777))))))
    expected = {
        "8.1.0.1": (NodeOrigin.GIVEN, ""),
        "8.2.0.1": (NodeOrigin.BOOTSTRAP, ""),
        "8.3.0.1": (NodeOrigin.INCOMING, ""),
        "8.4.0.1": (NodeOrigin.PEER, ""),
    }
    assert origins(world) == expected
    assert {s.host: world.hub.found_by(s).origin for s in world.hub.peers} == {
        "8.1.0.1": NodeOrigin.GIVEN,
        "8.3.0.1": NodeOrigin.INCOMING,
    }
    world.done(world.service.stop())
    again = World(tmp_path).start()
    assert origins(again) == expected
    again.done(again.service.stop())
