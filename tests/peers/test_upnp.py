"""The library for UPnP is asked in its own way, and whatever it raises is a reason."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from p2pool.net.port_client import LEASE
from p2pool.peers.upnp import GatewayError, UpnpGateway


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
