"""Whether others can connect: what proves it, what makes it likely, and what speaks against it."""

from __future__ import annotations

import pytest

from p2pool.base.hosts import NetworkKind
from p2pool.peers.figures import KnownBy, MappedPort, Reachable, ReachableFigures
from p2pool.peers.reachability import RECENT, Reachability

UNKNOWN = ReachableFigures(Reachable.UNKNOWN, None, KnownBy.NOTHING)
PUBLIC = MappedPort(NetworkKind.IPV4, "PCP", "8.1.2.3", 8999, 50.0)
INNER = MappedPort(NetworkKind.IPV4, "PCP", "100.64.1.2", 8999, 60.0)
ODD = MappedPort(NetworkKind.IPV4, "UPnP", "the router's name", 8999, 60.0)


def asked(what: Reachability, now: float, *mapped: MappedPort, **others: bool) -> ReachableFigures:
    return what.figures(now, mapped, **{"open_outside": True, "connected": False, **others})


@pytest.mark.parametrize("host", ["192.168.1.9", "127.0.0.1", "10.1.2.3", "fe80::1", "100.64.0.1", "name.example"])
def test_who_comes_from_nearby_proves_nothing(host):
    what = Reachability()
    what.came(host, 100.0)
    assert asked(what, 101.0) == UNKNOWN


def test_who_comes_from_outside_proves_it_for_a_day_or_while_connected():
    what = Reachability()
    what.came("8.1.0.1", 100.0)
    what.came("2606:4700::1", 5000.0)
    yes = ReachableFigures(Reachable.YES, 100.0, KnownBy.INCOMING)
    assert asked(what, 5001.0) == yes
    assert asked(what, 5001.0, INNER) == yes, "the operator may have set up the other router"
    assert asked(what, 5000.0 + RECENT) == yes
    assert asked(what, 5001.0 + RECENT) == UNKNOWN
    assert asked(what, 9e9, connected=True) == yes
    what.came("8.1.0.1", 5001.0 + RECENT)
    assert asked(what, 5002.0 + RECENT).since == 5001.0 + RECENT


def test_routers_say_it():
    what = Reachability()
    assert asked(what, 100.0, PUBLIC) == (Reachable.YES, 50.0, KnownBy.ROUTER)
    assert asked(what, 100.0, INNER) == (Reachable.NO, 60.0, KnownBy.ROUTER)
    assert asked(what, 100.0, ODD) == UNKNOWN
    assert asked(what, 100.0, ODD, INNER, PUBLIC).reachable is Reachable.YES


def test_silence_says_it_after_a_day():
    what = Reachability()
    what.advertised(100.0)
    what.advertised(200.0)
    assert asked(what, 100.0 + RECENT) == UNKNOWN
    assert asked(what, 101.0 + RECENT) == (Reachable.NO, 100.0, KnownBy.SILENCE)
    what.came("8.1.0.1", 101.0 + RECENT)
    assert asked(what, 102.0 + 2 * RECENT) == (Reachable.NO, 101.0 + RECENT, KnownBy.SILENCE)


def test_a_port_that_is_not_open_says_it():
    what = Reachability()
    what.came("8.1.0.1", 100.0)
    assert asked(what, 101.0, PUBLIC, open_outside=False) == (Reachable.NO, None, KnownBy.SETTINGS)
