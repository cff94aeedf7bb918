"""Fetching what is missing: whom it asks, when it rests, and that a lost peer does not stop it."""

from __future__ import annotations

from collections import Counter

import pytest

from p2pool.peers.deliveries import UNKNOWN_RATE, Deliveries
from p2pool.peers.download import (
    FEWEST_PARENTS,
    MAX_AT_ONCE,
    MAX_OF_HOST,
    MAX_STOPS,
    PARENTS,
    PARENTS_UNPROVEN,
    TRIAL,
)
from p2pool.peers.errors import Drop
from p2pool.peers.messages import Envelope, PeerPing, ShareReply
from p2pool.peers.patience import MIN_RATE
from tests.peers.wiring import Depot, Talk, chain, envelope, framed

SHARES = chain(12)
HASHES = [share.hash for share in SHARES]


def test_nothing_wanted_nothing_asked():
    assert Depot().step(0.0) == []


def test_one_request_with_all_that_belongs_to_it():
    depot = Depot()
    depot.pool.missing = HASHES[:3]
    ((talk, request),) = depot.step(0.0)
    assert len(request.hashes) == 1
    assert request.hashes[0] in HASHES[:3]
    assert 0 <= request.parents < PARENTS
    assert request.stops == depot.pool.request_stops(MAX_STOPS)
    assert depot.step(1.0) == []
    talk.say(ShareReply(request.id, 0, (envelope(SHARES[HASHES.index(request.hashes[0])]),)))
    assert depot.pool.came == [([request.hashes[0]], talk.session.label)]
    assert depot.downloader.received == 1
    depot.pool.missing.remove(request.hashes[0])
    assert len(depot.step(1.0)) == 1


def test_each_idle_peer_one_request_of_another_share():
    depot = Depot(peers=3)
    depot.pool.missing = HASHES[:5]
    asked = depot.step(0.0)
    assert len({id(talk) for talk, _ in asked}) == len({request.hashes for _, request in asked}) == 3
    assert depot.step(1.0) == []


def test_one_hash_is_asked_of_one_peer():
    depot = Depot(peers=3)
    depot.pool.missing = HASHES[:1]
    assert len(depot.step(0.0)) == 1


def test_no_more_than_so_many_at_once():
    depot = Depot(peers=12)
    depot.pool.missing = HASHES
    assert len(depot.step(0.0)) == MAX_AT_ONCE


def test_peers_that_announce_what_they_do_not_have_take_no_places():
    """Nine connections of three neighbourhoods are enough, which come back as soon as they are dropped."""
    depot = Depot(peers=12)
    for number, talk in enumerate(depot.talks[:9]):
        depot.downloader.fetch(1000 + number, talk.session, 0.0)
    assert len(depot.asked()) == 9
    depot.pool.missing = HASHES[9:]
    asked = depot.step(0.0)
    assert {id(talk) for talk, _ in asked} == {id(talk) for talk in depot.talks[9:]}
    assert {request.hashes[0] for _, request in asked} == set(HASHES[9:])
    for talk in depot.talks[:9]:
        talk.session.close()
    assert [turn.announced for turn in depot.downloader._turns] == [False] * 3


def test_an_empty_answer_rests_a_second_from_when_it_came():
    depot = Depot()
    depot.pool.missing = HASHES[:1]
    ((talk, request),) = depot.step(0.0)
    talk.now = 7.0
    talk.say(ShareReply(request.id, 0, ()))
    assert depot.step(7.9) == []
    assert len(depot.step(8.0)) == 1


def test_whoever_announced_what_builds_on_a_missing_share_is_asked_first():
    depot = Depot(peers=12)
    depot.pool.missing = HASHES[:1]
    depot.pool.above = [depot.talks[7].session.label]
    ((talk, request),) = depot.step(0.0)
    assert talk is depot.talks[7]
    talk.say(ShareReply(request.id, 0, ()))
    ((other, _),) = depot.step(1.0)
    assert other is not talk


def test_all_peers_are_asked_before_one_that_did_not_have_a_share_is_asked_again():
    depot = Depot(peers=5)
    depot.pool.missing = HASHES[:1]
    asked = []
    for second in range(6):
        ((talk, request),) = depot.step(float(second))
        asked.append(talk.session.label)
        talk.say(ShareReply(request.id, 0, ()))
    assert len(set(asked[:5])) == 5
    assert asked[5] in asked[:5]


def test_an_answer_with_something_else_ends_the_connection_and_loses_the_turn():
    depot = Depot(peers=2)
    depot.pool.missing = HASHES[:1]
    ((talk, request),) = depot.step(0.0)
    with pytest.raises(Drop, match="answered a request for share"):
        talk.say(ShareReply(request.id, 0, (envelope(SHARES[1]),)))
    assert depot.pool.came == []
    assert depot.downloader.deliveries.has_penalty(talk.session.host_key, 29.0)
    assert depot.step(0.5) == []
    ((other, _),) = depot.step(1.0)
    assert other is not talk


def test_something_else_in_the_middle_of_an_answer_is_its_end():
    depot = Depot(peers=2)
    depot.pool.missing = [HASHES[5]]
    ((talk, request),) = depot.step(0.0)
    talk.say(ShareReply(request.id, 0, tuple(envelope(SHARES[n]) for n in (5, 4, 2))))
    assert depot.pool.came == [([HASHES[5], HASHES[4]], talk.session.label)]
    assert not depot.downloader.deliveries.has_penalty(talk.session.host_key, 0.0)


# --- peers that do not deliver -----------------------------------------------------------------------------------


class Slow(Depot):
    """Peers whose answers come as the test lets them; asks once a second. `asked` has who was asked, and when."""

    def __init__(self, peers: int, missing: int = 1) -> None:
        super().__init__(peers)
        self.pool.missing = HASHES[-missing:]
        self.when: dict[Talk, float] = {}
        self.data: dict[Talk, bytes] = {}

    def second(self, now: float, rates: dict[Talk, int]) -> None:
        """Let a second pass: peers send so many bytes of an answer of a megabyte."""
        for talk in self.talks:
            talk.now = now
            if talk in rates and talk in self.data:
                sent, self.data[talk] = self.data[talk][: rates[talk]], self.data[talk][rates[talk] :]
                talk.session.receive(sent, now)
            talk.session.check_time(now)
        for talk, request in self.step(now):
            self.when.setdefault(talk, now)
            reply = ShareReply(request.id, 0, (Envelope(99, bytes(1_000_000)),))
            self.data[talk] = framed(reply)


@pytest.mark.parametrize(
    ("rate", "lost_at"),
    [
        (0, 4),  # nothing at all
        (1, 4),  # a drip
        (MIN_RATE // 2, 6),  # slower than is worth waiting for
        (2 * MIN_RATE, 21),  # for ever
    ],
)
def test_a_peer_that_does_not_deliver_loses_its_turn_but_not_its_connection(rate, lost_at):
    depot = Slow(peers=2)
    depot.second(0.0, {})
    (first,) = depot.when
    for second in range(1, lost_at + 1):
        depot.second(float(second), {first: rate})
    assert sorted(depot.when.values()) == [0.0, lost_at]
    assert not first.session.closed
    assert depot.downloader.deliveries.has_penalty(first.session.host_key, lost_at)


def test_after_each_lost_turn_one_more_is_asked_at_a_time():
    """Twenty peers that withhold what they announce must not take one turn after the other."""
    depot = Slow(peers=14)
    for second in range(13):
        depot.second(float(second), {})
    assert Counter(depot.when.values()) == {0.0: 1, 4.0: 2, 8.0: 3, 12.0: 3}


def test_turns_that_are_over_leave_room_for_others():
    """Silent peers have no more than a few seconds of the requests that may be under way."""
    depot = Slow(peers=14, missing=12)
    depot.second(0.0, {})
    assert len(depot.when) == MAX_AT_ONCE
    for second in range(1, 5):
        depot.second(float(second), {})
    assert len(depot.when) == 14


def test_whoever_lost_a_turn_is_asked_after_those_that_deliver_and_those_that_are_new():
    depot = Depot(peers=4)
    label = [talk.session.host_key for talk in depot.talks]
    deliveries = depot.downloader.deliveries
    deliveries.delivered(label[0], 100, 1.0)
    deliveries.lost_turn(label[0], 0.0)
    deliveries.delivered(label[2], 50, 1.0)
    deliveries.delivered(label[3], 60, 1.0)
    depot.pool.missing = HASHES[:1]
    order = []
    for second in range(4):
        ((talk, request),) = depot.step(float(second))
        order.append(depot.talks.index(talk))
        talk.say(ShareReply(request.id, 0, ()))
    assert order == [3, 2, 1, 0]


def test_whoever_is_slower_than_an_unknown_peer_or_has_nothing_comes_after_it():
    depot = Depot(peers=3)
    for talk, shares in zip(depot.talks, (90, 0), strict=False):
        depot.downloader.deliveries.delivered(talk.session.host_key, shares, 13.0)
    depot.pool.missing = HASHES[:1]
    ((talk, _),) = depot.step(0.0)
    assert talk is depot.talks[2]


def test_whoever_sends_one_share_at_a_time_is_not_asked_for_the_next():
    depot = Depot(peers=2)
    depot.pool.missing = [HASHES[5]]
    ((talk, request),) = depot.step(0.0)
    talk.say(ShareReply(request.id, 0, (envelope(SHARES[5]),)))
    depot.pool.missing = [HASHES[4]]
    ((other, request),) = depot.step(0.0)
    assert other is not talk
    rates = [depot.downloader.deliveries.rate(each.session.host_key) for each in (talk, other)]
    assert rates == [0.0, UNKNOWN_RATE]
    other.say(ShareReply(request.id, 0, tuple(envelope(share) for share in SHARES[4::-1])))
    assert depot.pool.came[-1] == (HASHES[4::-1], other.session.label)


def test_an_answer_after_the_turn_is_taken():
    depot = Depot(peers=2)
    depot.pool.missing = HASHES[:1]
    ((first, request),) = depot.step(0.0)
    ((second, again),) = depot.step(4.0)
    first.say(ShareReply(request.id, 0, (envelope(SHARES[0]),)))
    second.say(ShareReply(again.id, 0, (envelope(SHARES[0]),)))
    assert [hashes for hashes, _ in depot.pool.came] == [[HASHES[0]]] * 2


def test_the_next_that_announced_a_share_is_asked_when_the_first_withholds_it():
    depot = Depot(peers=4)
    sessions = [talk.session for talk in depot.talks]
    for session in sessions:
        depot.downloader.fetch(HASHES[0], session, 0.0)
    assert [talk.session for talk, _ in depot.asked()] == sessions[:1]
    sessions[1].close()
    assert depot.step(3.0) == []
    asked = depot.step(4.0)
    assert [talk.session for talk, _ in asked] == sessions[2:]
    talk, request = asked[0]
    talk.say(ShareReply(request.id, 0, (envelope(SHARES[0]),)))
    assert depot.step(20.0) == []
    assert depot.downloader._claims == {}


def test_peers_that_connected_here_keep_nobody_from_asking_one_that_this_node_chose():
    depot = Depot(peers=4)
    chosen = depot.talks[3]
    chosen.session.incoming = False
    for talk in depot.talks:
        depot.downloader.fetch(HASHES[0], talk.session, 0.0)
    assert [talk for talk, _ in depot.asked()] == [depot.talks[0], chosen]


def test_when_whoever_announced_what_builds_on_a_share_lets_its_turn_pass_a_chosen_peer_is_next():
    depot = Depot(peers=6)
    chosen = depot.talks[3]
    chosen.session.incoming = False
    depot.pool.missing = HASHES[:1]
    depot.pool.above = [talk.session.label for talk in depot.talks if talk is not chosen]
    ((first, _),) = depot.step(0.0)
    assert first is not chosen
    assert chosen in [talk for talk, _ in depot.step(4.0)]


def test_how_many_parents_are_asked_for_depends_on_what_was_delivered():
    depot = Depot()
    host = depot.talks[0].session.host_key
    for shares, lost, most in (
        (0, 0, PARENTS_UNPROVEN),
        (100, 0, 200),
        (10_000, 0, PARENTS),
        (0, 1, PARENTS_UNPROVEN // 2),
        (2, 2, PARENTS_UNPROVEN // 4),
        (2, 9, FEWEST_PARENTS),
        (100, 9, 200),
    ):
        depot.downloader.deliveries = Deliveries()
        depot.downloader.deliveries.delivered(host, shares, 1.0)
        for _ in range(lost):
            depot.downloader.deliveries.lost_turn(host, 0.0)
        assert depot.downloader._most_parents(depot.talks[0].session) == most


def test_a_peer_has_no_turn_left_if_it_lost_it_or_had_nothing_or_announced_nothing_for_long():
    depot = Depot(peers=3)
    asked, waiting, silent = (talk.session for talk in depot.talks)
    downloader = depot.downloader

    def done(now: float) -> list[bool]:
        return [downloader.has_no_turn_left(each, now) for each in (asked, waiting, silent)]

    downloader.fetch(HASHES[0], asked, 0.0)
    downloader.fetch(HASHES[0], waiting, 0.0)
    assert done(TRIAL) == [False, False, False]
    assert done(TRIAL + 1) == [False, False, True]
    downloader.step(4.0)
    assert done(4.0) == [True, False, False], "its turn is over, and that of the next one has begun"
    downloader.step(8.0)
    assert done(8.0) == [True, True, False]
    downloader.deliveries.delivered(silent.host_key, 0, 1.0)
    assert done(8.0) == [True, True, True]


def test_a_share_that_nobody_has_does_not_stand_before_the_others():
    """Anybody can make parents wanted that do not exist."""
    depot = Depot()
    depot.pool.missing = [*range(1, 6), HASHES[0]]
    for second in range(100):
        for talk, request in depot.step(second * 1.0):
            if request.hashes[0] == HASHES[0]:
                return
            talk.say(ShareReply(request.id, 0, ()))
    raise AssertionError("never asked")


def test_after_a_lost_peer_another_one_is_asked_at_once():
    depot = Depot(peers=2)
    depot.pool.missing = HASHES[:1]
    ((talk, request),) = depot.step(3.0)
    talk.say(PeerPing())
    talk.session.close()
    ((other, again),) = depot.step(3.0)
    assert other is not talk
    assert again.hashes == request.hashes
    assert again.id != request.id


def test_the_number_of_parents_varies():
    """So that an answer that is too large does not stop everything."""
    depot, parents = Depot(), set()
    depot.pool.missing = HASHES[:1]
    for second in range(20):
        ((talk, request),) = depot.step(second * 1.0)
        parents.add(request.parents)
        talk.say(ShareReply(request.id, 1, ()))
    assert len(parents) > 10


def test_the_best_share_of_a_peer():
    depot = Depot(peers=2)
    first, second = (talk.session for talk in depot.talks)
    depot.downloader.fetch(HASHES[0], first, 0.0)
    depot.downloader.fetch(HASHES[0], second, 0.0)
    ((talk, request),) = depot.asked()
    assert talk.session is first
    assert (request.hashes, request.parents, request.stops) == ((HASHES[0],), 0, ())
    talk.say(ShareReply(request.id, 0, (envelope(SHARES[0]), envelope(SHARES[1]))))
    assert depot.pool.came == [([HASHES[0]], first.label)]
    depot.downloader.fetch(HASHES[0], second, 0.0)
    assert depot.asked() == []


def test_one_host_has_two_requests_at_most_however_many_connections_it_has():
    """Silent connections of one host would have all places for fifteen seconds, and again after them."""
    depot = Depot(peers=2)
    depot.talks += [Talk(host="203.0.113.200") for _ in range(10)]
    depot.pool.missing = HASHES[:12]
    asked = [talk.session.host for talk, _ in depot.step(0.0)]
    assert asked.count("203.0.113.200") == MAX_OF_HOST
    assert {"203.0.113.1", "203.0.113.2"} <= set(asked)
    assert depot.step(1.0) == []
