"""Round-trip times: who is asked, when, and what counts."""

from __future__ import annotations

import random

import pytest
from twisted.internet.task import Clock

from p2pool.peers.round_trips import FIRST_AFTER, KEPT, NO_SHARE, PERIOD, RoundTrips


class Peer:
    """A session, as far as it is asked."""

    def __init__(self) -> None:
        self.requests = 0
        self.asked: list[tuple] = []

    def request(self, request_id, share_hash, parents, stops, now, answered) -> None:
        self.asked.append((request_id, share_hash, parents, stops, now))
        self.answer = answered


def measure(clock: Clock, trips: RoundTrips, peer: Peer, seconds: float, wait: float = PERIOD) -> None:
    """One question after `wait`, answered after `seconds`."""
    clock.advance(wait)
    trips.step([peer])
    clock.advance(seconds)
    peer.answer([])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def trips(clock) -> RoundTrips:
    return RoundTrips(clock.seconds, random.Random(1))


def test_a_peer_is_asked_for_a_share_that_cannot_be_once_a_period(clock, trips):
    peer = Peer()
    asked_at = []
    for second in range(200):
        before = len(peer.asked)
        trips.step([peer])
        if len(peer.asked) > before:
            asked_at.append(second)
        clock.advance(1)
    assert asked_at == [FIRST_AFTER + n * PERIOD for n in range(4)]
    assert {question[1:4] for question in peer.asked} == {(NO_SHARE, 0, ())}
    assert len({question[0] for question in peer.asked}) == 4


def test_the_shortest_of_the_last_few_counts(clock, trips):
    peer = Peer()
    trips.step([peer])
    assert trips.of(peer) is None
    for seconds in (0.1, 0.5, 0.7, 0.6):
        measure(clock, trips, peer, seconds)
    assert KEPT == 3
    assert trips.of(peer) == pytest.approx(0.5)


def test_a_peer_that_has_something_to_answer_is_not_asked_before_it_has(clock, trips):
    peer = Peer()
    trips.step([peer])
    peer.requests = 1
    clock.advance(FIRST_AFTER + 30)
    trips.step([peer])
    assert not peer.asked
    peer.requests = 0
    trips.step([peer])
    assert len(peer.asked) == 1


def test_no_answer_is_no_time(clock, trips):
    peer = Peer()
    trips.step([peer])
    clock.advance(FIRST_AFTER)
    trips.step([peer])
    peer.answer(None)
    assert trips.of(peer) is None


def test_a_clock_that_is_set_back_gives_no_negative_time(clock, trips):
    peer = Peer()
    trips.step([peer])
    measure(clock, trips, peer, 0.0)
    clock.rightNow -= 100
    peer.answer([])
    assert trips.of(peer) == 0


def test_who_has_left_is_forgotten(clock, trips):
    peer = Peer()
    trips.step([peer])
    measure(clock, trips, peer, 0.2)
    trips.forget(peer)
    trips.forget(peer)
    assert trips.of(peer) is None
    peer.answer([])  # late
    assert trips.of(peer) is None
