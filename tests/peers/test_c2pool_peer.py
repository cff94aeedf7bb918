"""Beside a peer that speaks as c2pool-dash's sources say: it keeps us when it lifts its lowest protocol, and
whatever newer shares it sends, we take the others and neither drop nor ban it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import pytest

from p2pool.peers.download import NEWER_REST
from p2pool.peers.messages import MAX_PAYLOAD, Envelope, HaveTx, Shares
from p2pool.peers.software import C2POOL
from p2pool.pool_stats import SoftwareCount
from p2pool.wire.codec import pack_uint256_list, pack_varint
from p2pool.wire.framer import frame
from tests.logged import logged
from tests.peers.fake_c2pool import LIFTED_FLOOR, PROTOCOL, FakeC2pool, held
from tests.peers.members import Member, Street, bests, with_chain
from tests.peers.wiring import Moment, transaction

HOST = "8.77.0.1"
NEWER = Envelope(36, b"of a layout that nobody here knows")


class Beside:
    """A node and the fake peer that is connected with it. Bytes wait until `settle`."""

    def __init__(self, member: Member, incoming: bool = True, **options) -> None:
        self.member, self.moment = member, member.moment
        self.to_node: deque[bytes] = deque()
        self.to_peer: deque[bytes] = deque()
        self.ended: Exception | None = None
        self.peer = FakeC2pool(member.network.prefix, self.to_node.append, self._peer_closes, **options)
        self.session = member.hub.open(
            HOST,
            8999,
            incoming=incoming,
            ours=("198.51.100.1", 9000),
            write=self.to_peer.append,
            fail=self._fail,
            flow=lambda paused: None,
        )
        self.session._fail = self._fail
        self._closing = False
        self.peer.connected()
        self.settle()

    def _fail(self, error: Exception) -> None:
        self.ended = error
        self.member.hub.close(self.session, error)

    def _peer_closes(self) -> None:
        self._closing = True

    def settle(self, seconds: int = 0) -> None:
        """Carry everything, and let so many seconds pass."""
        for second in range(seconds + 1):
            if second:
                self.moment.now += 1
                if second % 60 == 0:
                    self.peer.ping()
                self.member.tick()
            self._carry()

    def _carry(self) -> None:
        while self.ended is None and (self.to_node or self.to_peer):
            while self.to_node and self.ended is None:
                try:
                    self.session.receive(self.to_node.popleft(), self.moment.now)
                except Exception as error:
                    self._fail(error)
                self.moment.run()
            while self.to_peer:
                self.peer.receive(self.to_peer.popleft())
            if self._closing:
                self.member.hub.close(self.session, None)
        self.moment.run()

    @property
    def stands(self) -> bool:
        return self.ended is None and self.peer.closed_because is None and not self.session.closed


@pytest.fixture(autouse=True)
def log() -> Iterator:
    """Whatever such a peer does, nothing may raise."""
    with logged() as log:
        yield log
    assert log.tracebacks == []


def chain_of(count: int, seed: int = 1) -> list:
    """A chain that verifies, nearest first."""
    member = with_chain(Member(Moment(), 9), count, seed=seed)
    (head,) = member.tracker.forest.heads
    return list(member.tracker.ancestors(head, count))


# --- the lowest accepted protocol --------------------------------------------------------------------------------


@pytest.mark.parametrize("incoming", [True, False])
def test_a_peer_that_lifts_its_floor_to_3600_keeps_us(incoming):
    member = Member(Moment(), 1).join()
    beside = Beside(member, incoming, floor=LIFTED_FLOOR, standing=[transaction(5)])
    beside.settle(120)
    assert beside.stands
    assert beside.peer.their_version.version == 3600
    share = member.mine()
    beside.settle()
    assert [envelope.contents for envelope in beside.peer.got] == [share.contents]
    assert set(beside.session.remembered) == {transaction(5).hash}
    assert member.hub.census().software == (SoftwareCount(C2POOL, PROTOCOL, int(incoming), int(not incoming)),)
    assert beside.peer.heard["addrs"] >= 1  # its getaddrs was answered


def test_one_that_demands_more_is_seen_to_close_at_once():
    member = Member(Moment(), 1).join()
    beside = Beside(member, floor=3601)
    assert beside.peer.closed_because == "peer protocol below min-protocol floor"
    closes = member.hub.census().early_closes
    assert (closes.hosts, closes.closes, closes.lowest, closes.highest) == (1, 1, 3600, 3600)
    assert not member.hub.bans.is_banned(HOST, member.moment.unix())


# --- shares of a newer type --------------------------------------------------------------------------------------


def test_newer_shares_among_ours_in_every_message_cost_nothing_and_hide_nothing(log):
    shares = chain_of(40)
    member = Member(Moment(), 1).join()
    beside = Beside(member, chain=held(shares))
    beside.settle(30)
    assert bests(member) == [shares[0].hash]
    source = with_chain(Member(Moment(), 9), 43)
    for share in list(source.tracker.ancestors(next(iter(source.tracker.forest.heads)), 3))[::-1]:
        beside.peer.say(
            Shares((NEWER, Envelope(16, share.contents), Envelope(40, b""), Envelope(2**63, bytes(2_000_000))))
        )
        beside.settle()
    beside.peer.say(*[Shares((Envelope(36, b""),) * 10_000)] * 20)
    beside.settle(5)
    assert beside.stands
    assert not member.hub.bans.to_json()
    assert len(member.tracker) == 43
    assert {row.kind: row.hosts for row in member.hub.census().newer_types} == {36: 1, 40: 1, None: 1}
    assert sum("shares of type 36" in line for line in log.lines) <= 7  # 1, 10, 100 ... of 200,003


def test_a_fresh_node_finds_the_chain_below_a_best_share_that_it_cannot_read():
    shares = chain_of(60)
    member = Member(Moment(), 1).join()
    beside = Beside(member, chain=held(shares, {0: NEWER, 1: NEWER, 2: Envelope(41, b"")}))
    beside.settle(30)
    assert bests(member) == [shares[3].hash]
    assert len(member.tracker.verified) == 57
    own = member.mine()
    beside.settle()
    assert own.previous_hash == shares[3].hash
    assert own.contents in [envelope.contents for envelope in beside.peer.got]
    assert beside.stands


def test_one_in_the_middle_leaves_the_chain_below_and_is_not_asked_for_without_end():
    shares = chain_of(50)
    member = Member(Moment(), 1).join()
    beside = Beside(member, chain=held(shares, {20: NEWER}))
    beside.settle(int(NEWER_REST) - 60)
    assert bests(member) == [shares[21].hash]
    assert len(member.tracker.verified) == 29
    assert len(member.tracker) == 49
    asked = [request for request in beside.peer.asked if shares[20].hash in request.hashes]
    assert len(asked) <= 2
    assert len([request for request in beside.peer.asked if request.hashes != (0,)]) < 10
    assert beside.stands
    assert not member.hub.bans.to_json()


def test_another_peer_that_can_give_the_share_is_still_asked_for_it():
    """Nothing proves that a share is of a newer type: who says so may lie."""
    shares = chain_of(50)
    moment = Moment()
    member, honest = Member(moment, 1).join(), with_chain(Member(moment, 2), 50).join()
    assert bests(honest) == [shares[0].hash]
    liar = Beside(member, chain=held(shares, {20: NEWER}))
    liar.settle(30)
    assert bests(member) == [shares[21].hash]
    street = Street(member, honest)
    street.connect(member, honest)
    for _ in range(10):
        street.settle(1)
        liar.settle()
    assert bests(member) == [shares[0].hash]
    assert len(member.tracker.verified) == 50


# --- what is larger than we take ---------------------------------------------------------------------------------


def test_messages_beyond_three_megabytes_are_passed_over_and_the_peer_is_kept():
    shares = chain_of(40)
    member = Member(Moment(), 1).join()
    beside = Beside(member, chain=held(shares, {0: Envelope(36, bytes(5_000_000))}))
    assert len(beside.peer.asked) == 1
    prefix = member.network.prefix
    beside.peer.raw(frame(prefix, "have_tx", pack_uint256_list(range(1, 200_000))))
    beside.peer.raw(frame(prefix, "shares", pack_varint(1) + Envelope(36, bytes(31 << 20)).pack()))
    beside.peer.say(HaveTx((7,)))
    beside.settle(60)
    assert MAX_PAYLOAD < 5_000_000
    assert beside.stands
    assert 7 in beside.session.remote
    assert beside.session.requests == 0
    assert not member.hub.bans.to_json()
