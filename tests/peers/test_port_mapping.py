"""The router's port: asked for, renewed, said once, taken back."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from p2pool.peers.port_mapping import LEASE, RENEW_PERIOD, GatewayError, PortMapping, UpnpGateway
from tests.environment import make_environment
from tests.logged import logged


class Router:
    """A gateway that can refuse."""

    def __init__(self) -> None:
        self.said: list = []
        self.refuses = False

    def add(self, port: int) -> str:
        self.said.append(("add", port))
        if self.refuses:
            raise GatewayError("the router refused\n")
        return "203.0.113.9"

    def remove(self, port: int) -> None:
        self.said.append(("remove", port))
        if self.refuses:
            raise GatewayError("no")


def at_once(function):
    try:
        return succeed(function())
    except Exception:
        return fail(Failure())


def mapping(find):
    clock = Clock()
    return clock, PortMapping(make_environment(clock, run_in_daemon_thread=at_once), 8999, find)


def test_renewed_said_once_and_taken_back():
    router, looked = Router(), []
    clock, made = mapping(lambda: looked.append(1) or router)
    with logged() as log:
        made.start()
        clock.pump([RENEW_PERIOD] * 3)
    assert router.said == [("add", 8999)] * 4
    assert len(looked) == 1
    assert log.lines == ["the router at 203.0.113.9 forwards port 8999 to this node"]
    assert Deferred.fromCoroutine(made.stop()).called
    assert router.said[-1] == ("remove", 8999)
    assert clock.getDelayedCalls() == []


def test_no_router_is_one_line_and_is_looked_for_again():
    found: list = []

    def find():
        if not found:
            raise GatewayError("No UPnP device discovered")
        return found[0]

    clock, made = mapping(find)
    with logged() as log:
        made.start()
        clock.pump([RENEW_PERIOD] * 2)
    assert log.lines == ["no router forwards port 8999 to this node: No UPnP device discovered"]
    found.append(Router())
    clock.advance(RENEW_PERIOD)
    assert found[0].said == [("add", 8999)]
    found[0].refuses = True
    with logged() as log:
        clock.advance(RENEW_PERIOD)
        assert Deferred.fromCoroutine(made.stop()).called
    assert len(log.lines) == 1
    assert log.tracebacks == []


def test_stopping_before_it_began():
    _, made = mapping(Router)
    assert Deferred.fromCoroutine(made.stop()).called


class FakeUpnp:
    """miniupnpc.UPnP, as far as it is used."""

    lanaddr = "192.168.0.7"

    def __init__(self) -> None:
        self.calls: list = []
        FakeUpnp.last = self  # type: ignore[attr-defined]

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments: self.calls.append((name, *arguments)) or "203.0.113.9"


def test_the_library_is_asked_in_its_own_way(monkeypatch):
    monkeypatch.setitem(sys.modules, "miniupnpc", SimpleNamespace(UPnP=FakeUpnp))
    gateway = UpnpGateway()
    assert gateway.add(8999) == "203.0.113.9"
    gateway.remove(8999)
    assert FakeUpnp.last.calls == [  # type: ignore[attr-defined]
        ("discover",),
        ("selectigd",),
        ("addportmapping", 8999, "TCP", "192.168.0.7", 8999, "p2pool-dash", "", str(LEASE)),
        ("externalipaddress",),
        ("deleteportmapping", 8999, "TCP"),
    ]


@pytest.mark.parametrize(
    ("fails_at", "why"),
    [
        ("discover", "no router answered the UPnP search within 2 s"),
        ("selectigd", "none of the devices that answered the UPnP search is a router"),
        ("addportmapping", "the router refused without giving a reason"),
        ("externalipaddress", "the router does not report its external address"),
        ("deleteportmapping", "the router refused without giving a reason"),
    ],
)
@pytest.mark.parametrize("text", ["Success", "", "No UPnP device discovered"])
def test_whatever_the_library_raises_is_a_reason(monkeypatch, fails_at, why, text):
    """The library's word for the lack of any answer is "Success"."""

    class Failing(FakeUpnp):
        def __getattr__(self, name):
            if name == fails_at:

                def fail(*_):
                    raise RuntimeError(text)

                return fail
            return super().__getattr__(name)

    monkeypatch.setitem(sys.modules, "miniupnpc", SimpleNamespace(UPnP=Failing))
    with pytest.raises(GatewayError, match=why if text in ("", "Success") else text):
        gateway = UpnpGateway()
        gateway.add(1)
        gateway.remove(1)
