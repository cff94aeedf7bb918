"""Dialling and listening, and what is kept between runs."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, execute
from twisted.internet.error import CannotListenError, ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from p2pool.peers.bootstrap import MAX_OF_NAME, BootstrapSettings
from p2pool.peers.dialling import DIAL_TIME, EXPLORE_PERIOD, MAX_ATTEMPTS, QUIET_PERIODS
from p2pool.peers.errors import Drop, Misbehaviour
from p2pool.peers.figures import FoundBy, NodeLookUps, NodeOrigin
from p2pool.peers.hub import HubSettings, PeerHub
from p2pool.peers.messages import AddrMe, Addrs, PeerAddress, PeerVersion, SeenAddress
from p2pool.peers.service import DialSettings, PeerService
from p2pool.peers.transactions import TransactionPool
from tests.chains import NOW
from tests.environment import make_environment
from tests.logged import logged
from tests.peers.wiring import NETWORK, Always, Heard, Pipe, StubPool, framed, version


class Resolver:
    """Names are addresses already. In place of MemoryReactor's own, which knows one address only."""

    def cancel(self) -> None:
        pass

    def resolveHostName(self, receiver, hostName, portNumber=0, addressTypes=None, transportSemantics="TCP"):
        receiver.resolutionBegan(self)
        kind = IPv6Address if ":" in hostName else IPv4Address
        receiver.addressResolved(kind("TCP", hostName, portNumber))
        receiver.resolutionComplete()
        return self


class Line:
    """One connection, whoever opened it."""

    def __init__(self, protocol, host: str, port: int) -> None:
        self.pipe = Pipe(("198.51.100.1", 9000), (host, port))
        self.protocol = protocol
        protocol.makeConnection(self.pipe)

    def greet(self, nonce: int) -> None:
        self.protocol.dataReceived(framed(version(nonce)))

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))


class World:
    def __init__(self, directory, settings: DialSettings | None = None) -> None:
        self.reactor = MemoryReactorClock()
        self.reactor.nameResolver = Resolver()
        environment = make_environment(self.reactor, clock=self.unix)
        self.pool = StubPool(best=1)
        self.hub = PeerHub(
            replace(environment, chance=Always(1)),
            HubSettings(NETWORK, b"test", 9000),
            pool=self.pool,
            transactions=TransactionPool(),
            sender_of=lambda share_hash: None,
        )
        self.hub.round_trips.step = lambda peers: None
        self.brings_shares = True
        """Whether peers bring a share each second."""
        self.service = PeerService(
            environment,
            self.hub,
            settings=settings or DialSettings(("", 9000)),
            directory=directory,
        )
        self.taken = 0

    def unix(self) -> float:
        return NOW + self.reactor.seconds()

    def start(self, listen: bool = True) -> World:
        if listen:
            self.service.listen()
        self.done(self.service.start())
        return self

    def done(self, coroutine) -> None:
        results: list = []
        Deferred.fromCoroutine(coroutine).addBoth(results.append)
        assert results == [None]

    def know(self, *hosts: str) -> None:
        for host in hosts:
            self.hub.addresses.add(PeerAddress(host, 9999), self.unix(), now=self.unix(), source=host)

    def seconds(self, count: int) -> None:
        for _ in range(count):
            for peer in self.hub.peers if self.brings_shares else ():
                peer.brought_at = self.reactor.seconds()
            self.reactor.advance(1.0)

    def dialled(self) -> list[tuple[str, int]]:
        """Where to, since the last call."""
        clients = self.reactor.tcpClients[self.taken :]
        self.taken = len(self.reactor.tcpClients)
        return [(client[0], client[1]) for client in clients]

    def connect(self, number: int, nonce: int | None = None) -> Line:
        host, port, factory, *_ = self.reactor.tcpClients[number]
        line = Line(factory.buildProtocol(IPv4Address("TCP", "1.1.1.1", 1)), host, port)
        if nonce is not None:
            line.greet(nonce)
        return line

    def refuse(self, number: int) -> None:
        self.reactor.tcpClients[number][2].clientConnectionFailed(None, Failure(ConnectionRefusedError()))

    def come(self, host: str, nonce: int | None = None) -> Line | None:
        """Somebody connects to us."""
        factory = self.reactor.tcpServers[0][1]
        protocol = factory.buildProtocol(IPv4Address("TCP", host, 5000))
        if protocol is None:
            return None
        line = Line(protocol, host, 5000)
        if nonce is not None:
            line.greet(nonce)
        return line


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    world = World(tmp_path).start()
    yield world
    world.done(world.service.stop())
    world.reactor.advance(0)
    assert world.reactor.getDelayedCalls() == []


# --- dialling ----------------------------------------------------------------------------------------------------


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


# --- looking for nodes -------------------------------------------------------------------------------------------


def looking(directory, *given: tuple[str, int], **more) -> World:
    """A world that looks for nodes at these places, and does not listen."""
    settings = BootstrapSettings(7777, given=given, **{"file": directory / "bootstrap.txt", **more})
    return World(directory, DialSettings(None, bootstrap=settings))


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


# --- listening and the end ---------------------------------------------------------------------------------------


def test_who_connects_is_heard(world):
    assert world.service.port == 9000
    line = world.come("8.1.0.1", nonce=7)
    heard = Heard()
    heard(line.pipe.value())
    assert isinstance(heard.messages[0], PeerVersion)
    (session,) = world.hub.peers
    assert session.incoming
    assert [world.come(f"8.1.0.{n}") is None for n in range(2, 6)] == [False, False, True, True]


@pytest.mark.parametrize(("asked", "used"), [("", "::"), ("127.0.0.1", "127.0.0.1"), ("::1", "::1")])
def test_all_interfaces_are_those_of_both_protocols(tmp_path, asked, used):
    world = World(tmp_path, DialSettings((asked, 9000))).start()
    assert [(port, interface) for port, _, _, interface in world.reactor.tcpServers] == [(9000, used)]
    world.done(world.service.stop())


def test_a_machine_without_ipv6_listens_all_the_same(tmp_path, monkeypatch):
    world = World(tmp_path)
    listen = world.reactor.listenTCP

    def without_ipv6(port, factory, backlog=50, interface=""):
        if ":" in interface:
            raise CannotListenError(interface, port, OSError(97, "Address family not supported by protocol"))
        return listen(port, factory, backlog, interface)

    monkeypatch.setattr(world.reactor, "listenTCP", without_ipv6)
    world.start()
    assert [interface for *_, interface in world.reactor.tcpServers] == [""]
    world.done(world.service.stop())


def test_the_service_ends_whom_it_is_told_to(world):
    lines = [world.come(f"8.{n}.0.1", nonce=n + 1) for n in range(2)]
    session = next(s for s in world.hub.peers if s.host == "8.1.0.1")
    world.service.fail(session, Misbehaviour("x"))
    world.service.fail(session, Misbehaviour("x"))
    assert [line.pipe.aborted for line in lines] == [False, True]
    assert world.come("8.1.0.1") is None


def test_the_hub_hears_the_time(world):
    line = world.come("8.1.0.1")
    world.seconds(12)
    assert line.pipe.aborted
    assert world.hub.sessions == set()


def test_the_end(tmp_path):
    world = World(tmp_path).start()
    line = world.come("8.1.0.1", nonce=7)
    world.know("8.2.0.1", "8.3.0.1")
    world.seconds(1)
    outgoing = world.connect(0, nonce=8)
    world.seconds(1)
    world.done(world.service.stop())
    world.done(world.service.stop())
    assert line.pipe.aborted
    assert outgoing.pipe.aborted
    assert world.service.port == 0
    world.dialled()
    world.seconds(100)
    assert world.dialled() == []
    assert len(json.loads((tmp_path / "peers.json").read_text())["addresses"]) == 2


def test_the_port_is_closed_though_nothing_was_started(tmp_path):
    world = World(tmp_path)
    world.service.listen()
    world.done(world.service.stop())
    assert world.service.port == 0
    assert not (tmp_path / "peers.json").exists()


def test_stopping_while_what_is_kept_is_read(tmp_path):
    world, reading = World(tmp_path), Deferred()
    world.service._run_in_thread = lambda function: reading
    results: list = []
    Deferred.fromCoroutine(world.service.start()).addBoth(results.append)
    world.service._run_in_thread = execute
    world.done(world.service.stop())
    reading.callback(None)
    assert results == [None]
    world.know("8.1.0.1")
    world.seconds(5)
    assert world.dialled() == []


# --- what is kept ------------------------------------------------------------------------------------------------


def test_addresses_and_bans_survive_a_restart(tmp_path):
    first = World(tmp_path).start()
    first.know("8.1.0.1", "2606:4700::1")
    first.hub.bans.ban("8.9.0.1", first.unix())
    first.done(first.service.stop())
    assert [path.name for path in tmp_path.iterdir()] == ["peers.json"]
    second = World(tmp_path).start()
    assert len(second.hub.addresses) == 2
    assert second.hub.bans.is_banned("8.9.0.1", second.unix() + 3590)
    second.done(second.service.stop())


def test_it_is_written_once_a_minute_where_something_changed(tmp_path, world):
    file = tmp_path / "peers.json"
    world.hub.bans.ban("8.9.0.1", world.unix())
    world.seconds(59)
    assert not file.exists()
    world.seconds(2)
    assert "8.9.0.1" in file.read_text()
    file.unlink()
    world.seconds(61)
    assert not file.exists()
    world.hub.bans.ban("8.8.0.1", world.unix())
    world.seconds(61)
    assert "8.8.0.1" in file.read_text()


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", '{"addresses": 3, "bans": []}', '{"bans": {"a": "b"}}', "\x00"),
        *("[" * 100_000, '{"addresses":' + "[" * 5000 + "]" * 5000 + "}"),
    ],
)
def test_a_corrupt_file_is_done_without(tmp_path, text):
    (tmp_path / "peers.json").write_text(text)
    with logged() as log:
        world = World(tmp_path).start()
    assert len(world.hub.addresses) == len(world.hub.bans) == 0
    assert not log.tracebacks
    kept = tmp_path / "peers.json.damaged"
    assert not kept.exists() or kept.read_text() == text
    world.done(world.service.stop())
    written = json.loads((tmp_path / "peers.json").read_text())
    key = world.hub.addresses.key.hex()
    assert written == {"version": 1, "addresses": [], "address_key": key, "anchors": [], "bans": {}}


def test_a_directory_that_cannot_be_written_costs_a_line(tmp_path):
    (tmp_path / "directory").write_text("a file where the directory should be")
    world = World(tmp_path / "directory").start()
    world.know("8.1.0.1")
    with logged() as log:
        world.done(world.service.stop())
    assert len([line for line in log.lines if "cannot write" in line]) == 1
