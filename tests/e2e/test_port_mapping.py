"""A router on this machine, asked through real sockets by PCP and NAT-PMP, and a port where nobody listens."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.selectreactor import SelectReactor

from p2pool.base.environment import real_environment
from p2pool.base.hosts import NetworkKind
from p2pool.net.lean_reactor import AVAILABLE, LeanReactor
from p2pool.net.port_control import Operation
from p2pool.net.routes import Gateway
from p2pool.peers.port_mapping import PortMapping, RouterAccess
from p2pool.peers.upnp import GatewayError
from tests.e2e.process import PATIENCE
from tests.net.fake_router import FakeRouter

pytestmark = pytest.mark.e2e


def no_upnp() -> Any:
    raise GatewayError("none here")


@contextmanager
def listening(router: FakeRouter, port: int = 0) -> Iterator[int]:
    """The router's port on this machine; a datagram of garbage comes before each answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", port))
        ended = threading.Event()

        def serve() -> None:
            while True:
                data, sender = server.recvfrom(2000)
                if ended.is_set():
                    return
                server.sendto(b"garbage", sender)
                server.sendto(router.answer(data, time.monotonic()), sender)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        server.sendto(b"", server.getsockname())
        thread.join(PATIENCE)


class World:
    """A port that is kept open at the router, on a reactor of its own."""

    def __init__(self, port: int) -> None:
        self.reactor: Any = LeanReactor() if AVAILABLE else SelectReactor()
        self.mapping = PortMapping(
            real_environment(self.reactor),
            8999,
            nonce_of=lambda host: host.encode().ljust(12),
            kinds=frozenset({NetworkKind.IPV4}),
            access=RouterAccess(
                find_routers=lambda: [Gateway(ip_address("127.0.0.1"), "lo")],
                find_upnp=no_upnp,
                control_port=port,
            ),
        )
        self.reactor.startRunning(installSignalHandlers=False)
        self.mapping.start()

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(0.02)

    def stop(self) -> float:
        """Returns how long it takes, in seconds."""
        began, done = time.monotonic(), []
        Deferred.fromCoroutine(self.mapping.stop()).addBoth(done.append)
        self.until(lambda: done)
        took = time.monotonic() - began
        self.reactor.disconnectAll()
        self.reactor._uninstallHandler()
        return took


@pytest.mark.parametrize(("pcp", "method"), [(True, "PCP"), (False, "NAT-PMP")])
def test_a_port_is_forwarded_and_given_back(pcp, method):
    router = FakeRouter(pcp=pcp)
    with listening(router) as port:
        world = World(port)
        world.until(lambda: world.mapping.mapped)
        (mapped,) = world.mapping.mapped
        assert (mapped.method, mapped.host, mapped.port) == (method, router.outside, 8999)
        assert router.mappings == {8999: 8999}
        world.stop()
        assert router.mappings == {}
        assert router.asked[-1] == (method, "delete")


def test_a_router_that_is_gone_does_not_hold_up_the_end():
    router = FakeRouter()
    with listening(router) as port:
        world = World(port)
        world.until(lambda: world.mapping.mapped)
        router.answer = lambda data, now: b"nothing of use"  # type: ignore[method-assign]
        assert world.stop() < 1.5


def test_a_router_that_refuses_for_a_moment_is_heard_again():
    """A refusal is an error of the socket, for which an epoll reactor gives it up."""
    router = FakeRouter()
    with listening(router) as port:
        world = World(port)
        world.until(lambda: world.mapping.mapped)
    access, client = world.mapping._networks[0]._router, world.mapping._networks[0]._router.client
    client._ask(Operation.CHECK, time.monotonic())
    world.until(lambda: client._request is None)
    assert world.mapping.mapped
    asked = len(router.asked)
    with listening(router, port):
        client._ask(Operation.CHECK, time.monotonic())
        world.until(lambda: client._request is None)
        assert len(router.asked) == asked + 1
        assert access.fileno() != -1
        world.stop()
        assert router.mappings == {}


def test_nobody_listens_on_the_router_s_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    world = World(port)
    logged = world.mapping._networks[0]
    world.until(lambda: logged._logged)
    assert logged._logged.endswith("PCP: the router does not offer it; UPnP: none here")
    assert world.stop() < 1
