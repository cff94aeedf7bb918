"""The routers' ports: asked for by each method in turn, renewed, logged once, given back."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import pairwise
from types import SimpleNamespace

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from p2pool.base.hosts import NetworkKind
from p2pool.net.routes import Gateway
from p2pool.peers import port_mapping
from p2pool.peers.port_mapping import (
    FIRST_WAIT,
    LONGEST_WAIT,
    MOVE_PERIOD,
    RENEW_PERIOD,
    PortMapping,
    RouterAccess,
)
from p2pool.peers.upnp import GatewayError
from tests.environment import make_environment
from tests.logged import logged
from tests.net.fake_router import FakeRouter

WIRE = Gateway(ip_address("192.168.1.1"), "eth0")
SIX = Gateway(ip_address("fe80::1"), "eth0")
FORWARDS = "the router forwards 8.1.2.9:8999 (by UPnP) to port 8999 of this node"


class Upnp:
    """A gateway that can refuse."""

    def __init__(self) -> None:
        self.asked: list = []
        self.refuses = False
        self.looked_for = 0

    def find(self) -> Upnp:
        self.looked_for += 1
        return self

    def add(self, port: int) -> str:
        self.asked.append(("add", port))
        if self.refuses:
            raise GatewayError("the router refused\n")
        return "8.1.2.9"

    def remove(self, port: int) -> None:
        self.asked.append(("remove", port))
        if self.refuses:
            raise GatewayError("no")


def nobody():
    raise GatewayError("no router answered")


def at_once(function):
    try:
        return succeed(function())
    except Exception:
        return fail(Failure())


class Wire:
    """Sockets that lead to fake routers: replaces `open_link`."""

    def __init__(self, monkeypatch, *routers: FakeRouter, host: str = "192.168.1.7") -> None:
        self.clock = Clock()
        self.routers = list(routers)
        self.host = ip_address(host)
        self.held = 0
        """Sockets that are open."""
        monkeypatch.setattr(port_mapping, "open_link", self.open)

    def open(self, gateway, port):
        if not self.routers:
            raise OSError(101, "Network is unreachable")
        self.held += 1
        router = self.routers[0]
        waiting: list[bytes] = []

        def receive(_size):
            if not waiting:
                raise BlockingIOError
            return waiting.pop(0)

        def close():
            self.held -= 1

        return SimpleNamespace(
            host=self.host,
            socket=SimpleNamespace(
                send=lambda data: waiting.append(router.answer(data, self.clock.seconds())),
                recv=receive,
                close=close,
                fileno=lambda: 5,
            ),
        )


class PollingClock(Clock):
    """Reads what can be read at each advance."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list = []

    def addReader(self, reader) -> None:
        self.readers.append(reader)

    def removeReader(self, reader) -> None:
        self.readers.remove(reader)

    def advance(self, amount: float) -> None:
        super().advance(amount)
        for reader in list(self.readers):
            reader.doRead()


def mapping(find_upnp=nobody, routers=(), wire: Wire | None = None, **options):
    clock = PollingClock()
    if wire is not None:
        wire.clock = clock
    made = PortMapping(
        make_environment(clock, run_in_daemon_thread=at_once),
        8999,
        nonce_of=lambda host: host.encode()[:12].ljust(12),
        access=RouterAccess(find_routers=lambda: list(routers), find_upnp=find_upnp),
        **options,
    )
    return clock, made


def stopped(clock, made) -> bool:
    done = Deferred.fromCoroutine(made.stop())
    clock.advance(0)
    return done.called


def test_upnp_is_renewed_logged_once_and_given_back():
    upnp = Upnp()
    clock, made = mapping(upnp.find)
    with logged() as log:
        made.start()
        clock.pump([RENEW_PERIOD] * 3)
    assert upnp.asked == [("add", 8999)] * 4
    assert upnp.looked_for == 1
    assert log.lines == [FORWARDS]
    assert [(each.network, each.method, each.host, each.port) for each in made.mapped] == [
        (NetworkKind.IPV4, "UPnP", "8.1.2.9", 8999)
    ]
    assert stopped(clock, made)
    assert upnp.asked[-1] == ("remove", 8999)
    assert made.mapped == []
    assert clock.getDelayedCalls() == []


def test_no_router_is_one_line_and_is_looked_for_again_more_and_more_rarely():
    upnp, looked = Upnp(), []

    def find():
        looked.append(clock.seconds())
        return upnp if upnp.looked_for else nobody()

    clock, made = mapping(find)
    with logged() as log:
        made.start()
        clock.pump([60.0] * 120)
    assert log.lines == ["no router forwards port 8999 to this node: UPnP: no router answered"]
    waits = [after - before for before, after in pairwise(looked)]
    assert waits[:3] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
    assert waits[-1] == LONGEST_WAIT
    upnp.looked_for = 1
    clock.advance(LONGEST_WAIT)
    assert upnp.asked == [("add", 8999)]
    upnp.refuses = True
    with logged() as log:
        clock.advance(RENEW_PERIOD)
        assert made.mapped == []
        assert stopped(clock, made)
    assert log.lines == ["no router forwards port 8999 to this node: UPnP: the router refused"]
    assert log.tracebacks == []


def test_a_router_that_hangs_at_the_end_is_not_waited_for():
    upnp = Upnp()
    clock, made = mapping(upnp.find)
    made.start()
    hanging: Deferred = Deferred()
    made._networks[0]._environment = make_environment(clock, run_in_daemon_thread=lambda function: hanging)
    with logged() as log:
        done = Deferred.fromCoroutine(made.stop())
        clock.advance(0.9)
        assert not done.called
        clock.advance(0.2)
        assert done.called
    assert log.lines == ["cannot remove the mapping of port 8999 from the router: no answer within 1 s"]


def test_stopping_before_it_began():
    clock, made = mapping()
    assert stopped(clock, made)


@pytest.mark.parametrize(("pcp", "method"), [(True, "PCP"), (False, "NAT-PMP")])
def test_pcp_comes_before_nat_pmp_and_both_before_upnp(monkeypatch, pcp, method):
    router, upnp, changes = FakeRouter(pcp=pcp, outside="8.1.2.3"), Upnp(), []
    wire = Wire(monkeypatch, router)
    clock, made = mapping(upnp.find, [WIRE], wire, changed=lambda: changes.append(len(made.mapped)))
    with logged() as log:
        made.start()
        clock.pump([0.0] * 3 + [60.0] * 120)
        router.shift = 1
        router.restart(clock.seconds())
        clock.pump([60.0] * 20)
    assert upnp.looked_for == 0
    assert log.lines == [
        f"the router forwards 8.1.2.3:{port} (by {method}) to port 8999 of this node" for port in (8999, 9000)
    ]
    assert changes == [1, 1]
    assert stopped(clock, made)
    assert router.mappings == {}
    assert (wire.held, clock.readers, clock.getDelayedCalls()) == (0, [], [])


def test_what_refuses_pcp_may_know_upnp(monkeypatch):
    router, upnp = FakeRouter(), Upnp()
    router.result = 8
    clock, made = mapping(upnp.find, [WIRE], Wire(monkeypatch, router))
    with logged() as log:
        made.start()
        clock.advance(0)
        assert log.lines == [FORWARDS]
        upnp.refuses = True
        clock.advance(RENEW_PERIOD)
    why = "PCP: it has no resources left; UPnP: the router refused"
    assert log.lines[1:] == [f"no router forwards port 8999 to this node: {why}"]
    assert stopped(clock, made)


def test_a_mapping_that_ends_is_looked_for_again(monkeypatch):
    router = FakeRouter()
    clock, made = mapping(nobody, [WIRE], Wire(monkeypatch, router))
    with logged() as log:
        made.start()
        clock.advance(0)
        assert len(made.mapped) == 1
        router.result = 7
        clock.pump([60.0] * 45)
        assert made.mapped == []
        router.result = 0
        clock.pump([60.0] * 60)
        assert len(made.mapped) == 1
    assert "; " in log.lines[1]
    assert len(log.lines) == 3
    assert stopped(clock, made)


def test_a_router_behind_another_one(monkeypatch):
    clock, made = mapping(nobody, [WIRE], Wire(monkeypatch, FakeRouter(outside="100.64.7.7")))
    with logged() as log:
        made.start()
        clock.advance(0)
    assert "its own address is not public" in log.lines[0]
    assert stopped(clock, made)


def test_ipv6_by_pcp_only_and_only_for_a_public_address(monkeypatch):
    router = FakeRouter(outside="2606:4700::7")
    wire = Wire(monkeypatch, router, host="2606:4700::7")
    clock, made = mapping(nobody, [SIX], wire, kinds=frozenset({NetworkKind.IPV6}))
    with logged() as log:
        made.start()
        clock.advance(0)
    assert log.lines == ["the router forwards [2606:4700::7]:8999 (by PCP) to port 8999 of this node"]
    assert stopped(clock, made)
    local = Wire(monkeypatch, router, host="fd00::7")
    clock, made = mapping(nobody, [SIX], local, kinds=frozenset({NetworkKind.IPV6}))
    with logged() as log:
        made.start()
        clock.advance(0)
    assert (log.lines, made.mapped, local.held) == ([], [], 0)
    assert stopped(clock, made)


@pytest.mark.parametrize("kind", [NetworkKind.ONION, NetworkKind.IPV6])
def test_networks_that_are_excluded_are_not_asked(kind):
    upnp = Upnp()
    clock, made = mapping(upnp.find, [WIRE], kinds=frozenset({kind}))
    made.start()
    clock.advance(0)
    assert upnp.looked_for == 0
    assert stopped(clock, made)


def test_another_router_or_address_is_noticed(monkeypatch):
    """Both change when a machine moves; addresses of IPv6 do every day."""
    old, new, routers = FakeRouter(outside="8.1.2.3"), FakeRouter(outside="8.4.5.6"), [WIRE]
    wire = Wire(monkeypatch, old)
    clock, made = mapping(nobody, routers, wire)
    with logged() as log:
        made.start()
        clock.advance(0)
        routers.clear()
        clock.pump([MOVE_PERIOD])
        assert len(made.mapped) == 1, "offline for the moment"
        wire.routers, wire.host = [new], ip_address("10.0.0.7")
        routers.append(Gateway(ip_address("10.0.0.1"), "eth0"))
        clock.pump([MOVE_PERIOD, 0.0, 1.0])
    assert [each.host for each in made.mapped] == ["8.4.5.6"]
    assert (old.mappings, new.mappings) == ({}, {8999: 8999})
    assert len(log.lines) == 2
    assert stopped(clock, made)
    assert (wire.held, clock.readers, clock.getDelayedCalls(), new.mappings) == (0, [], [], {})


def test_hostile_datagrams_cost_one_line(monkeypatch):
    router = FakeRouter()
    clock, made = mapping(nobody, [WIRE], Wire(monkeypatch, router))
    answer = router.answer
    router.answer = lambda data, now: b"\x1b[31m" * 5  # type: ignore[method-assign]
    with logged() as log:
        made.start()
        clock.pump([1.0] * 300)
        router.answer = answer  # type: ignore[method-assign]
        clock.pump([60.0] * 10)
    ignored = [line for line in log.lines if line.startswith("ignored a datagram from the router 192.168.1.1: ")]
    assert len(ignored) == 1
    assert len(log.lines) == 3
    assert len(made.mapped) == 1
    assert stopped(clock, made)


def test_a_network_that_is_down(monkeypatch):
    clock, made = mapping(nobody, [WIRE], Wire(monkeypatch))
    with logged() as log:
        made.start()
        clock.advance(0)
    assert "192.168.1.1: Network is unreachable; UPnP: no router answered" in log.lines[0]
    assert stopped(clock, made)
