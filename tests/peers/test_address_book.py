"""The address book: who can put what into it, what goes, what is drawn, and what survives a restart."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.peers.address_book import (
    BUCKETS_OF_GROUP,
    BUCKETS_OF_SOURCE,
    MAX_ADDRESSES,
    MAX_PLACES,
    RECENT,
    SLOTS,
    TRIED_PART,
    AddressBook,
)
from p2pool.peers.address_samples import SAMPLE_SIZE, AddressSamples
from p2pool.peers.addresses import dial_group
from p2pool.peers.allowance import AddressAllowances
from p2pool.peers.figures import REMEMBERED, FoundBy, NodeOrigin
from p2pool.peers.known_address import MONTH, TRIES, TRIES_OF_TRIED, WEEK, read_addresses
from p2pool.peers.messages import Addrs, PeerAddress

NOW = 1_700_000_000.0
SOURCE = "9.9.0.0/16"
DAY = 86_400.0


def address(n: int, port: int = 9999) -> PeerAddress:
    """Return an address in a neighbourhood of its own, up to 30,000."""
    return PeerAddress(f"{8 + n // 250}.{n % 250}.0.1", port)


def neighbour(n: int, group: str = "8.1") -> PeerAddress:
    """Return one of the addresses of one neighbourhood."""
    return PeerAddress(f"{group}.{n >> 8}.{n & 255}", 9999)


def book(seed: int = 1) -> AddressBook:
    return AddressBook(random.Random(seed))


def hosts(of: AddressBook) -> set[str]:
    return {node.host for node in of.seen()}


def tell(to: AddressBook, *addresses: PeerAddress, source: str = SOURCE, now: float = NOW) -> int:
    """Return how many of them were news."""
    return sum([to.add(each, now, now=now, source=source) for each in addresses])


def rival_of(victim: PeerAddress, known: AddressBook) -> PeerAddress:
    """Return an address that needs the slot of a tried one. Only who knows the key can find it."""
    place = known._known[victim.host, victim.port].tried
    found = map(address, range(100, 30_000))
    return next(each for each in found if known._tried_place(known._make(each, NOW, REMEMBERED)) == place)


# --- what one sender can do --------------------------------------------------------------------------------------


def test_the_peers_of_one_neighbourhood_reach_few_buckets():
    flooded = book()
    tell(flooded, *map(address, range(2000)))
    assert 100 < len(flooded) <= BUCKETS_OF_SOURCE * SLOTS == 128
    assert len({bucket for bucket, _ in flooded._new}) <= BUCKETS_OF_SOURCE


def test_the_book_is_bounded_however_many_say_and_answer():
    flooded = book()
    for n in range(1500):
        tell(flooded, address(n), address(n + 7), address(n * 5), source=f"source {n}")
        flooded.answered(address(n), NOW)
    assert 1000 < len(flooded) <= MAX_ADDRESSES == 5120
    assert len(flooded) == len(hosts(flooded)) == len({*flooded._new.values(), *flooded._tried.values()})


def test_tried_addresses_of_one_neighbourhood_have_few_slots():
    flooded = book()
    for n in range(500):
        flooded.answered(neighbour(n), NOW)
    assert flooded.tried_count <= BUCKETS_OF_GROUP * SLOTS == 32


def test_an_address_has_few_places_each_by_another_sender():
    told = book()
    assert [tell(told, address(1), source=f"source {n}") for n in range(9)] == [1] + [0] * 8
    assert len(told) == 1
    assert len(told._new) == MAX_PLACES == 4
    told.answered(address(1), NOW)
    assert (len(told), len(told._new), told.tried_count) == (1, 0, 1)


def test_where_an_address_goes_depends_on_a_secret():
    places = {tuple(sorted(each._new)) for each in (book(1), book(2)) if tell(each, *map(address, range(20)))}
    assert len(places) == 2


def test_who_has_most_of_a_bucket_gives_way():
    """The book of the attack that the issue measured was full of what came first, and took no later address."""
    flooded = book()
    for n in range(256):
        tell(flooded, *(PeerAddress(f"100.{m}.1.1", n + 1) for m in range(60)), source=f"attacker {n}")
    before = len(flooded)
    assert before > 3000
    told = [tell(flooded, *map(address, range(20)), source=f"honest {n}") for n in range(5)]
    assert told[0] >= 15
    assert {address(n).host for n in range(20)} <= hosts(flooded)
    assert len(flooded) <= before + 20


# --- what is dead, and what is tested ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "failures", "answered", "dead"),
    [
        (0.0, 0, None, False),
        (0.0, TRIES - 1, None, False),
        (0.0, TRIES, None, True),
        (MONTH + 1, 0, None, True),
        (MONTH + 1, 0, MONTH + 1, False),
        (0.0, TRIES_OF_TRIED, WEEK + 1, True),
        (0.0, TRIES_OF_TRIED, WEEK - 1, False),
        (0.0, TRIES_OF_TRIED - 1, WEEK + 1, False),
        (-700.0, 0, None, True),
    ],
)
def test_what_is_dead(age, failures, answered, dead):
    known = book()._make(address(1), NOW - age, REMEMBERED)
    known.failures, known.last_success = failures, 0.0 if answered is None else NOW - answered
    known.last_try = NOW - 61
    assert known.is_dead(NOW) is dead
    known.last_try = NOW - 59
    assert not known.is_dead(NOW)


def test_dead_addresses_give_way_and_are_not_passed_on():
    full = book()
    tell(full, *map(address, range(1000)))
    dead = next(iter(full._known.values())).address
    for _ in range(TRIES):
        full.failed(dead.host, dead.port, NOW, counts=True)
    later = NOW + 100
    assert dead not in {seen.address for seen in full.sample(1000, later, to="8.8.8.8")}
    place = next(iter(full._known[dead.host, dead.port].places.values()))
    rival = next(
        each
        for each in map(address, range(1000, 20_000))
        if full._new_place(full._make(each, later, REMEMBERED), SOURCE) == place
    )
    assert tell(full, rival, now=later) == 1
    assert dead.host not in hosts(full)


def test_failures_do_not_count_while_this_node_may_be_offline():
    told = book()
    tell(told, address(1))
    for _ in range(20):
        told.failed(address(1).host, 9999, NOW, counts=False)
    assert not told._known[address(1).host, 9999].is_dead(NOW + 100)


@pytest.mark.parametrize("answers", [True, False])
def test_a_tried_address_is_tested_before_another_one_gets_its_slot(answers):
    tried = book()
    tried.answered(address(1), NOW)
    rival, later = rival_of(address(1), tried), NOW + RECENT + 1
    tried.answered(rival, NOW + RECENT - 1)
    assert tried.contested() == []
    tried.answered(rival, later)
    assert tried.contested() == [address(1)]
    assert hosts(tried) == {address(1).host, rival.host}
    if answers:
        tried.answered(address(1), later)
    else:
        tried.failed(address(1).host, 9999, later, counts=True)
    assert tried.contested() == []
    assert tried._known[(address(1) if answers else rival).host, 9999].tried is not None
    assert tried._known[(rival if answers else address(1)).host, 9999].tried is None


def test_a_dead_tried_address_gives_way_at_once():
    tried = book()
    tried.answered(address(1), NOW)
    rival, later = rival_of(address(1), tried), NOW + WEEK + 100
    for _ in range(TRIES_OF_TRIED):
        tried.failed(address(1).host, 9999, later - 90, counts=True)
    tried.answered(rival, later)
    assert tried._known[rival.host, 9999].tried is not None
    assert tried.contested() == []


# --- draws -------------------------------------------------------------------------------------------------------


def test_a_draw_gives_each_neighbourhood_the_same_chance():
    known = book()
    for n in range(30):
        known.answered(neighbour(n), NOW - DAY)
    for n in range(3):
        known.answered(address(1500 + n), NOW - DAY)
    assert len(known._groups) == 4
    drawn = Counter(next(known.draw(NOW, new_first=False)).host.startswith("8.1.") for _ in range(2000))
    assert 0.2 < drawn[True] / 2000 < 0.3


def test_what_the_sender_says_of_the_time_decides_nothing():
    known = book()
    known.add(address(1), 2.0**40, now=NOW, source="a")
    known.add(address(2), NOW - 20 * DAY, now=NOW, source="b")
    assert {node.last_seen for node in known.seen()} == {NOW, NOW - 20 * DAY}
    drawn = Counter(next(known.draw(NOW)).host for _ in range(1000))
    assert 400 < drawn[address(1).host] < 600
    known.add(address(2), 5.0, now=NOW, source="c")
    assert {node.last_seen for node in known.seen()} == {NOW, NOW - 20 * DAY}


def test_tried_addresses_are_drawn_first_and_what_failed_lately_last():
    known = book()
    known.answered(address(1), NOW - DAY)
    tell(known, address(2))
    drawn = Counter(next(known.draw(NOW)).host for _ in range(1000))
    assert abs(drawn[address(1).host] / 1000 - TRIED_PART) < 0.03
    known.failed(address(1).host, 9999, NOW, counts=True)
    drawn = Counter(next(known.draw(NOW)).host for _ in range(1000))
    assert drawn[address(1).host] < 30
    assert {each.host for each in known.draw(NOW)} == {address(1).host, address(2).host}
    assert next(known.draw(NOW + 700, new_first=True)) == address(2)


def test_a_draw_comes_to_everything_in_a_small_book():
    known = book()
    tell(known, *map(neighbour, range(60)))
    assert {each.host for each in known.draw(NOW)} == hosts(known)


# --- what others are told ----------------------------------------------------------------------------------------


def test_nobody_can_ask_for_the_whole_book():
    known = book()
    for n in range(30):
        tell(known, *(address(n * 40 + m) for m in range(40)), source=f"source {n}")
    for n in range(100):
        known.answered(address(2000 + n), NOW)
    assert len(known) > 1000
    samples = AddressSamples(known, random.Random(2))
    heard = {each.address for n in range(200) for each in samples.answer("8.8.8.8", 100, now=n, unix=NOW)}
    heard |= {each.address for each in samples.answer("8.8.4.4", 100, now=0, unix=NOW)}
    assert len(heard) == SAMPLE_SIZE == 100
    assert sum(1 for each in heard if known._known[each.host, each.port].tried) >= 50
    other = {each.address for each in samples.answer("7.7.7.7", 100, now=0, unix=NOW)}
    later = {each.address for each in samples.answer("8.8.8.8", 100, now=4000, unix=NOW)}
    assert other != heard != later
    assert len(samples.answer("8.8.8.8", 8, now=4000, unix=NOW)) == 8


def test_of_a_small_book_a_newcomer_hears_everything_soon_and_nothing_private():
    known, samples = book(), AddressSamples(book(), random.Random(2))
    samples._book = known
    tell(known, address(1), PeerAddress("192.168.0.1", 1), PeerAddress("127.0.0.1", 1))
    assert [each.address for each in samples.answer("8.8.8.8", 8, now=0, unix=NOW)] == [address(1)]
    assert len(samples.answer("192.168.0.7", 8, now=0, unix=NOW)) == 2
    tell(known, address(2))
    assert len(samples.answer("8.8.8.8", 8, now=59, unix=NOW)) == 1
    assert len(samples.answer("8.8.8.8", 8, now=61, unix=NOW)) == 2


# --- what survives a restart -------------------------------------------------------------------------------------


def reloaded(rows: object, key: bytes = b"", now: float = NOW) -> AddressBook:
    again = AddressBook(random.Random(3), key)
    again.load(read_addresses(json.loads(json.dumps(rows))), now)
    return again


def test_the_book_survives_a_restart():
    known = book()
    tell(known, *map(address, range(200)))
    for n in range(100, 300):
        known.answered(address(n), NOW)
        known.failed(address(n).host, 9999, NOW + n, counts=True)
    again = reloaded(known.to_json(), known.key)
    assert again.to_json() == known.to_json()
    assert (again._new, again._tried) == (known._new, known._tried)
    other = reloaded(known.to_json())
    assert len(known) * 0.8 < len(other) <= len(known)


def test_rows_of_earlier_versions_are_read_and_earlier_versions_can_read_the_rows():
    """They have no sender for addresses to which they were connected, and take no notice of what follows."""
    rows = [
        ["8.1.0.1", 9999, 0, 1.0, 2.0],
        ["8.2.0.1", 9999, 0, 1.0, 2.0, "", "peer", ""],
        ["8.3.0.1", 9999, 7, NOW, NOW, SOURCE, "built_in", "node.example"],
    ]
    old = reloaded(rows)
    assert (len(old), old.tried_count) == (3, 2)
    assert [row[:8] for row in old.to_json()] == [rows[0] + ["", "remembered", ""], *rows[1:]]
    poisoned = [[address(n).host, 9999, 0, NOW, NOW, SOURCE, "peer", ""] for n in range(2000)]
    assert len(reloaded(poisoned)) <= BUCKETS_OF_SOURCE * SLOTS


@pytest.mark.parametrize("more", [[], ["peer"], ["who knows", ""], [7, 8], ["peer", "x" * 300], ["peer", "\n"]])
def test_a_row_that_does_not_say_how_it_became_known_is_remembered(more):
    again = reloaded([["8.8.8.8", 9, 0, 1.0, 2.0, "source", *more]])
    assert again.found_by("8.8.8.8", 9) == (NodeOrigin.REMEMBERED, "")


json_values = st.sampled_from([None, True, 2**70, "x", [], {}, [[]], ["8.8.8.8"], ["8.8.8.8", 1, 0, 1.0, []]])
numbers = st.floats() | st.integers(-1, 2**70)
rows = st.tuples(
    st.sampled_from(["1.2.3.4", "::1", "node.example", ""]),
    st.integers(-1, 70000),
    st.sampled_from([-1, 0, 2**64 - 1, 2**64]),
    *(numbers, numbers, st.sampled_from(["", "source"]), st.just("peer"), st.just("")),
    *(numbers, numbers, numbers),
).map(list)


@given(st.one_of(json_values, st.lists(st.one_of(rows, json_values), max_size=6)))
def test_whatever_the_file_holds_what_is_read_can_be_sent_and_drawn(value):
    again = AddressBook(random.Random(3))
    again.load(read_addresses(value), NOW)
    sample = again.sample(100, NOW, to="127.0.0.1")
    assert len(Addrs(tuple(sample)).pack()) == 1 + 34 * len(sample)
    assert {(each.host, each.port) for each in again.draw(NOW)} == set(again._known)


def test_how_a_node_became_known_stays_what_it_was_first_unless_the_operator_names_it():
    known = book()
    tell(known, address(0))
    known.add(address(0), NOW, now=NOW, source="s", found_by=FoundBy(NodeOrigin.PEER))
    assert known.found_by(address(0).host, 9999) == (NodeOrigin.PEER, "")
    known.add(address(0), NOW, now=NOW, source="s", found_by=FoundBy(NodeOrigin.BUILT_IN, "node.example"))
    known.answered(address(0), NOW, found_by=FoundBy(NodeOrigin.INCOMING))
    assert known.found_by(address(0).host, 9999) == (NodeOrigin.BUILT_IN, "node.example")
    assert known.found_by(address(1).host, 9999) is None
    known.forget(address(0).host, 9999)
    known.forget(address(1).host, 9999)
    assert len(known) == 0
    assert known._new == known._tried == known._sources == known._groups == {}


# --- attacks -----------------------------------------------------------------------------------------------------


def test_23_connections_no_longer_fill_the_book():
    """What the issue measured: 10,000 false addresses in 19 s, no room for later ones, 1 of 1,600 draws honest."""
    known, allowances = book(), AddressAllowances()
    for n in range(23):
        source = f"{60 + n // 3}.1.0.0/16"  # three connections for each neighbourhood are accepted
        taken = allowances.of(source, 0.0).take(435, 0.0)
        taken += allowances.of(source, 0.0).take(435, 19.0)
        tell(known, *(PeerAddress(f"{70 + n}.{m % 250}.{m // 250}.1", 1) for m in range(taken)), source=source)
    assert len(known) < 810
    honest = [address(n) for n in range(40)]
    assert tell(known, *honest, source="honest") >= 30
    now = NOW + 60
    drawn = Counter(next(known.draw(now)) in honest for _ in range(1600))
    assert drawn[True] > 100  # one of nine neighbourhoods that send addresses


class Attack:
    """A node among 40 honest ones, and an attacker with 1,000 hosts in 10 neighbourhoods, all of which answer."""

    HONEST, GROUPS, HOSTS, OUTGOING = 40, 10, 1000, 6

    def __init__(self) -> None:
        self.known = book()
        self.chance = random.Random(7)
        self.honest = [address(n) for n in range(self.HONEST)]
        self.groups = [f"200.{n}" for n in range(self.GROUPS)]
        self.evil = [neighbour(n // self.GROUPS, self.groups[n % self.GROUPS]) for n in range(self.HOSTS)]
        self.nobody = [PeerAddress(f"{100 + n % 90}.{n % 250}.{n // 250}.1", 9999) for n in range(4000)]
        self.real = {*self.honest, *self.evil}

    def is_evil(self, place: PeerAddress) -> bool:
        return place.host.startswith("200.")

    def outgoing(self, now: float) -> list[PeerAddress]:
        """Return the connections of a node that starts now: of distinct neighbourhoods, those that answer."""
        chosen: dict[str, PeerAddress] = {}
        for _ in range(60):
            place = next(each for each in self.known.draw(now) if dial_group(each.host, each.port) not in chosen)
            if place in self.real:
                chosen[dial_group(place.host, place.port)] = place
            if len(chosen) == self.OUTGOING:
                break
        return list(chosen.values())

    def day(self, begin: float) -> float:
        """Let the attacker send its own hosts and nobody's, and the honest ones a few; every five minutes the node
        explores. (The allowance of a neighbourhood is five times as many. All are known by then.)"""
        for minute in range(0, 24 * 60, 5):
            now = begin + 60 * minute
            for group in self.groups:
                some = self.chance.choices(self.evil, k=3) + self.chance.choices(self.nobody, k=3)
                tell(self.known, *some, source=f"{group}.0.0/16", now=now)
            if minute % 20 == 0:
                teller = self.chance.choice(self.honest)
                source = dial_group(teller.host, 1)
                tell(self.known, *self.chance.choices(self.honest, k=8), source=source, now=now)
            self.explore(now)
        return begin + DAY

    def explore(self, now: float) -> None:
        contested = self.known.contested()
        place = contested[0] if contested else next(self.known.draw(now, new_first=self.chance.random() < 0.5))
        if place in self.real:
            self.known.answered(place, now)
        else:
            self.known.failed(place.host, place.port, now, counts=True)


def test_an_attacker_who_floods_for_a_day_gets_a_third_of_the_outgoing_connections_at_most():
    """It has 10 of 50 neighbourhoods, and gets 22 %: what it sends gives it hardly more than others have. The six
    nodes that are known at first are as many as the node was connected with."""
    attack = Attack()
    for each in attack.honest[:6]:
        attack.known.answered(each, NOW)
    now = attack.day(NOW)
    sets = [attack.outgoing(now + 700) for _ in range(100)]
    taken = sum(attack.is_evil(place) for each in sets for place in each) / sum(map(len, sets))
    assert 0.1 < taken < 1 / 3
    assert not any(all(map(attack.is_evil, each)) for each in sets)


def test_pages_show_the_table_and_the_senders_of_each():
    known, first, second = book(), neighbour(1), address(2)
    tell(known, first, second, source=SOURCE)
    tell(known, second, source="7.7.0.0/16")
    known.answered(first, NOW)
    shown = {node.host: (node.group, node.answered, node.sources) for node in known.seen()}
    assert shown == {
        first.host: ("8.1.0.0/16", True, ()),
        second.host: ("8.2.0.0/16", False, (SOURCE, "7.7.0.0/16")),
    }
