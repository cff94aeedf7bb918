"""One port at one router: asked for, repeated, renewed, made again after a restart, given back."""

from __future__ import annotations

import random
from ipaddress import ip_address

import pytest

from p2pool.net.port_client import CHECK_PERIOD, PortClient
from tests.net.fake_router import OUTSIDE, FakeRouter

NONCE = bytes(range(12))


class Link:
    """A client and a router, and the time. The router hears everything unless it is `silent`."""

    def __init__(self, router: FakeRouter | None = None, client: str = "192.168.1.7") -> None:
        self.router = router or FakeRouter()
        self.now = 1000.0
        self.silent = False
        self.sent: list[tuple[float, bytes]] = []
        self.answers: list[bytes] = []
        self.changes: list = []
        self.ignored: list[str] = []
        self.client = PortClient(
            ip_address(client),
            8999,
            NONCE,
            chance=random.Random(1),
            write=self._write,
            changed=lambda: self.changes.append(self.client.mapping and self.client.mapping[:3]),
            ignored=self.ignored.append,
        )

    def begin(self) -> Link:
        self.client.begin(self.now)
        return self.deliver()

    def _write(self, data: bytes) -> None:
        self.sent.append((self.now, data))
        if not self.silent:
            self.answers.append(self.router.answer(data, self.now))

    def deliver(self) -> Link:
        while self.answers:
            self.client.receive(self.answers.pop(0), self.now)
        return self

    def run(self, seconds: float) -> Link:
        """Let time pass, and do what is due."""
        until = self.now + seconds
        while self.client.due is not None and self.client.due <= until:
            self.now = self.client.due
            self.client.tick(self.now)
            self.deliver()
        self.now = until
        return self


def test_pcp_at_once():
    link = Link().begin()
    assert link.router.asked == [("PCP", "map")]
    assert link.changes == [("PCP", OUTSIDE, 8999)]
    assert link.router.mappings == {8999: 8999}
    assert link.client.problem is None


def test_nat_pmp_if_the_router_knows_no_pcp():
    link = Link(FakeRouter(pcp=False)).begin()
    assert link.router.asked == [("NAT-PMP", "address"), ("NAT-PMP", "map")]
    assert link.changes == [("NAT-PMP", OUTSIDE, 8999)]


def test_ipv6_has_no_nat_pmp():
    link = Link(FakeRouter(pcp=False), "2001:db8::7").begin()
    assert link.client.problem == "PCP: the router does not offer it"
    assert link.client.due is None
    assert link.router.asked == []
    six = Link(FakeRouter(outside="2001:db8::7"), "2001:db8::7").begin()
    assert six.changes == [("PCP", "2001:db8::7", 8999)]


def test_another_port_is_taken_and_asked_for_again():
    link = Link().begin()
    link.router.shift = 5
    other = Link(link.router).begin()
    assert other.changes == [("PCP", OUTSIDE, 9004)]
    link.router.shift = 0
    other.run(3600)
    assert other.changes == [("PCP", OUTSIDE, 9004)]
    assert link.router.mappings == {8999: 9004}


@pytest.mark.parametrize("pcp", [True, False])
def test_renewed_at_half_life_and_checked_in_between(pcp):
    link = Link(FakeRouter(pcp=pcp)).begin()
    began, first = link.now, len(link.router.asked)
    link.run(0.6 * 3600 + CHECK_PERIOD)
    name, check = ("PCP", "announce") if pcp else ("NAT-PMP", "address")
    kinds = link.router.asked[first:]
    assert kinds.count((name, "map")) == 1
    assert kinds.count((name, check)) >= 6
    renewed = next(at for at, data in link.sent[-8:] if data[1] == (1 if pcp else 2) and at > began)
    assert 1800 <= renewed - began <= 2250
    assert len(link.changes) == 1, "the same mapping is no news"
    link.run(7 * 86400)
    assert link.client.mapping is not None
    assert link.client.mapping.expires > link.now
    assert link.ignored == []


@pytest.mark.parametrize("pcp", [True, False])
def test_a_router_that_restarts_gets_the_mapping_again(pcp):
    link = Link(FakeRouter(pcp=pcp)).begin().run(1000)
    link.router.restart(link.now)
    assert link.router.mappings == {}
    link.run(CHECK_PERIOD + 1)
    assert link.router.mappings == {8999: 8999}
    asked = len(link.router.asked)
    link.run(CHECK_PERIOD)
    assert link.router.asked[asked:] == [("PCP", "announce") if pcp else ("NAT-PMP", "address")]


def test_a_new_outside_address():
    link = Link(FakeRouter(pcp=False)).begin()
    link.router.outside = "203.0.113.77"
    link.run(CHECK_PERIOD + 1)
    assert link.changes == [("NAT-PMP", OUTSIDE, 8999), ("NAT-PMP", "203.0.113.77", 8999)]


def test_a_request_is_repeated_and_then_given_up():
    link = Link()
    link.silent = True
    link.begin().run(100)
    times = [at - 1000 for at, _ in link.sent]
    assert len({data for _, data in link.sent}) == 1
    assert times[0] == 0
    assert times[1] == pytest.approx(3, rel=0.1)
    assert times[2] - times[1] == pytest.approx(6, rel=0.1)
    assert link.client.problem == "PCP: no answer"
    assert link.client.due is None
    assert link.changes == [None]


def test_nat_pmp_is_repeated_nine_times():
    link = Link(FakeRouter(pcp=False))
    link.client.begin(link.now)
    link.silent = True
    link.deliver().run(200)
    waits = [after[0] - before[0] for before, after in zip(link.sent[1:], link.sent[2:], strict=False)]
    assert waits == [pytest.approx(0.25 * 2**n, rel=0.1) for n in range(8)]
    assert link.client.problem == "NAT-PMP: no answer"


def test_a_silent_router_keeps_the_mapping_until_it_ends():
    link = Link().begin()
    link.silent = True
    link.run(3500)
    assert link.client.mapping is not None
    renewals = [at for at, data in link.sent if data[1] == 1]
    assert len(renewals) > 6
    link.silent = False
    link.run(100)
    assert link.client.mapping is not None
    assert link.client.mapping.expires > link.now + 3000
    link.silent = True
    link.run(4000)
    assert link.changes == [("PCP", OUTSIDE, 8999), None]
    assert link.client.problem == "PCP: no answer"


@pytest.mark.parametrize(
    ("pcp", "result", "problem"),
    [(True, 2, "PCP: it does not permit that"), (False, 4, "NAT-PMP: it has no resources left")],
)
def test_a_router_that_refuses(pcp, result, problem):
    link = Link(FakeRouter(pcp=pcp))
    link.router.result = result
    link.begin()
    assert (link.client.problem, link.client.due) == (problem, None)
    later = Link(FakeRouter(pcp=pcp)).begin()
    later.router.result = result
    later.run(3600)
    assert (later.client.problem, later.client.mapping) == (problem, None)


def test_nothing_listens_there():
    link = Link()
    link.silent = True
    link.begin().client.refused(link.now)
    assert link.client.problem == "PCP: the router does not offer it"
    link = Link().begin()
    link.client.refused(link.now)
    assert link.client.mapping is not None


def test_another_router_in_its_place_that_knows_less():
    link = Link().begin()
    link.router.pcp = False
    link.run(3600)
    assert link.client.problem == "PCP: the router does not offer it"


@pytest.mark.parametrize("pcp", [True, False])
def test_given_back(pcp):
    link = Link(FakeRouter(pcp=pcp)).begin()
    assert link.client.release(link.now)
    link.deliver()
    assert link.router.mappings == {}
    assert link.router.asked[-1] == ("PCP" if pcp else "NAT-PMP", "delete")
    assert link.client.due is None


def test_given_back_to_a_router_that_is_silent():
    link = Link().begin()
    link.silent = True
    sent = len(link.sent)
    assert link.client.release(link.now)
    link.run(0.9)
    assert len(link.sent) == sent + 2
    assert link.client.due is None
    assert not Link().client.release(0.0), "there is nothing to give back"


def test_hostile_answers_change_nothing():
    """Who guesses the port of the socket still lacks the nonce, and what was not asked for counts for nothing."""
    link = Link()
    link.silent = True
    link.begin()
    mine = FakeRouter().answer(link.sent[0][1], link.now)
    for wrong in (b"", bytes(60), mine[:-1], mine[:24] + bytes(12) + mine[36:], b"\x02\x80" + bytes(22)):
        link.client.receive(wrong, link.now)
    no_port = mine[:42] + bytes(2) + mine[44:]
    no_time = mine[:4] + bytes(4) + mine[8:]
    for wrong in (no_port, no_time):
        link.client.receive(wrong, link.now)
    assert link.changes == []
    assert len(link.ignored) == 6
    link.client.receive(mine, link.now)
    assert link.changes == [("PCP", OUTSIDE, 8999)]
    for again in (mine, b"\x02\x80" + bytes(22), bytes(3)):
        link.client.receive(again, link.now)
    assert len(link.sent) == 1
    assert len(link.ignored) == 6


@pytest.mark.parametrize(("lifetime", "asked"), [(1, 70), (2**32 - 1, 4)])
def test_lifetimes_that_are_not_believed(lifetime, asked):
    """A router cannot make the node send without end, nor make it wait for a century."""
    link = Link()
    link.router.lifetime = lifetime
    link.begin().run(2 * 86400 if lifetime > 3600 else 3600)
    assert link.router.asked.count(("PCP", "map")) <= asked
    assert link.router.asked.count(("PCP", "map")) > 1
