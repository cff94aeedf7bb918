"""Fetching what is missing: whom it asks, when it rests, and that a lost peer does not stop it."""

from __future__ import annotations

from p2pool.peers.download import MAX_AT_ONCE, MAX_OF_HOST, MAX_STOPS, PARENTS
from p2pool.peers.messages import PeerPing, ShareReply
from tests.peers.wiring import Depot, Talk, chain, envelope

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
    assert len(depot.downloader._asked) == 3
    assert depot.downloader._announced == set()


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


def test_an_answer_with_something_else_is_an_empty_one():
    depot = Depot()
    depot.pool.missing = HASHES[:1]
    ((talk, request),) = depot.step(0.0)
    talk.say(ShareReply(request.id, 0, (envelope(SHARES[1]),)))
    assert depot.pool.came == []
    assert depot.step(0.5) == []
    assert len(depot.step(1.0)) == 1


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
