"""Addresses and bans: their bounds, chance, and what survives a restart."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.peers.addresses import (
    BAN_TIME,
    MAX_ADDRESSES,
    MAX_BANS,
    MAX_OF_SOURCE,
    AddressBook,
    Bans,
    group_of,
    is_dialable,
    is_loopback,
)
from p2pool.peers.figures import FoundBy, NodeOrigin
from p2pool.peers.messages import Addrs, PeerAddress, SeenAddress

NOW = 1_700_000_000.0
PUBLIC, PRIVATE = "8.8.8.8", "192.168.1.5"


def address(n: int) -> PeerAddress:
    return PeerAddress(f"8.{n >> 16}.{n >> 8 & 255}.{n & 255}", 9999)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1.2.3.4", "1.2.200.9", True),
        ("1.2.3.4", "1.3.3.4", False),
        ("2001:db8:1::1", "2001:db8:ffff::1", True),
        ("2001:db8::1", "2001:db9::1", False),
        ("::1", "0.0.0.1", False),
        ("node.example", "node.example", True),
        ("node.example", "other.example", False),
    ],
)
def test_groups(one, other, same):
    assert (group_of(one) == group_of(other)) is same


def test_the_loopback():
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("128.0.0.1", "::2", "node.example", "")))


@pytest.mark.parametrize(
    ("host", "port", "heard_from", "dialable"),
    [
        (PUBLIC, 9, PUBLIC, True),
        (PUBLIC, 9, PRIVATE, True),
        (PUBLIC, 0, PUBLIC, False),
        (PRIVATE, 9, PUBLIC, False),
        (PRIVATE, 9, PRIVATE, True),
        ("127.0.0.1", 9, PUBLIC, False),
        ("127.0.0.1", 9, "127.0.0.1", True),
        ("0.0.0.0", 9, PRIVATE, False),
        ("224.0.0.1", 9, PUBLIC, False),
        ("::1", 9, PUBLIC, False),
        ("2606:4700::1", 9, PUBLIC, True),
        ("2002:c0a8:105::1", 9, PUBLIC, False),  # 6to4 of 192.168.1.5
        ("64:ff9b::c0a8:105", 9, PUBLIC, False),  # NAT64
        ("fec0::1", 9, PUBLIC, False),
        ("2002:808:808::1", 9, PUBLIC, True),
        ("fec0::1", 9, PRIVATE, True),
        ("node.example", 9, PUBLIC, False),
    ],
)
def test_what_may_be_dialled(host, port, heard_from, dialable):
    assert is_dialable(PeerAddress(host, port), heard_from) is dialable


def test_the_book_is_bounded_and_keeps_what_it_has():
    book = AddressBook()
    for n in range(MAX_ADDRESSES + 5):
        book.add(address(n), NOW)
    assert len(book) == MAX_ADDRESSES
    book.add(address(0), NOW + 50)
    newest = {seen.address: seen.timestamp for seen in book.good(MAX_ADDRESSES, NOW + 50, random.Random(1))}
    assert newest[address(0)] == NOW + 50
    assert address(MAX_ADDRESSES) not in newest


def test_the_last_time_seen_never_goes_back():
    book = AddressBook()
    book.add(address(1), NOW)
    book.add(PeerAddress(address(1).host, 9999, 7), NOW - 500)
    assert book.good(1, NOW, random.Random(1)) == [
        SeenAddress(int(NOW), PeerAddress(address(1).host, 9999, 7)),
    ]


def test_a_drawing_gives_each_once_and_no_more_than_wanted():
    book = AddressBook()
    for n in range(20):
        book.add(address(n), NOW - n)
    for count in (0, 5, 20, 100):
        drawn = book.good(count, NOW, random.Random(count))
        assert len(drawn) == len({seen.address for seen in drawn}) == min(count, 20)


def test_who_was_seen_for_long_and_lately_is_drawn_more_often():
    book, rng, day = AddressBook(), random.Random(1), 86400.0
    for number, (first, last) in enumerate(
        [(NOW - 300 * day, NOW), (NOW, NOW), (NOW - 300 * day, NOW - 299 * day)]
    ):
        book.add(address(number), first)
        book.add(address(number), last)
    first_drawn = Counter(book.good(1, NOW, rng)[0].address for _ in range(3000))
    faithful, new, gone = (first_drawn[address(n)] for n in range(3))
    assert faithful > 1.5 * new > 1.5 * gone > 0


seconds = st.floats(0, 2e9)
addresses = st.builds(
    PeerAddress,
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str),
    st.integers(1, 65535),
    st.integers(0, 2**64 - 1),
)


@given(st.lists(st.tuples(addresses, seconds, seconds), max_size=8))
def test_the_book_survives_a_restart(seen):
    book, again = AddressBook(), AddressBook()
    for place, first, last in seen:
        book.add(place, first)
        book.add(place, last)
    assert again.read_json(json.loads(json.dumps(book.to_json()))) == len(book)
    assert again.to_json() == book.to_json()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
rows = st.tuples(
    st.sampled_from(["1.2.3.4", "::1", "node.example", ""]),
    st.integers(-1, 70000),
    st.sampled_from([-1, 0, 2**64 - 1, 2**64]),
    st.floats(),
    st.floats(),
).map(list)


@given(st.one_of(json_values, st.lists(st.one_of(rows, json_values), max_size=6)))
def test_whatever_the_file_holds_what_is_read_can_be_sent(value):
    book, bans = AddressBook(), Bans()
    book.read_json(value)
    bans.read_json(value, NOW)
    good = book.good(100, NOW, random.Random(1))
    assert len(Addrs(tuple(good)).pack()) == 1 + 34 * len(book)


def test_a_file_does_not_exceed_the_bound():
    book, rows = AddressBook(), [[address(n).host, 1, 0, 1.0, 2.0] for n in range(MAX_ADDRESSES + 3)]
    assert book.read_json(rows) == len(book) == MAX_ADDRESSES


def test_a_ban_lasts_an_hour():
    bans = Bans()
    bans.ban(PUBLIC, NOW)
    assert bans.is_banned(PUBLIC, NOW)
    assert bans.is_banned(PUBLIC, NOW + 3599.9)
    assert not bans.is_banned("8.8.8.9", NOW)
    assert not bans.is_banned(PUBLIC, NOW + 3600)
    assert len(bans) == 0


def test_a_later_ban_does_not_shorten_an_earlier_one():
    bans = Bans()
    bans.ban(PUBLIC, NOW)
    bans.ban(PUBLIC, NOW, 10)
    assert bans.is_banned(PUBLIC, NOW + 3599)


def test_this_machine_is_never_banned():
    bans = Bans()
    for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
        bans.ban(host, NOW)
        assert not bans.is_banned(host, NOW)
    bans.read_json({"127.0.0.1": NOW + 60}, NOW)
    assert not bans.is_banned("127.0.0.1", NOW)


def test_the_oldest_bans_go():
    bans = Bans()
    for n in range(MAX_BANS):
        bans.ban(address(n).host, NOW)
    bans.ban(address(0).host, NOW + 1)
    bans.ban(PUBLIC, NOW)
    assert len(bans) == MAX_BANS
    assert bans.is_banned(address(0).host, NOW)
    assert not bans.is_banned(address(1).host, NOW)
    again = Bans()
    again.read_json({str(n): NOW + 60 for n in range(MAX_BANS + 5)}, NOW)
    assert len(again) == MAX_BANS


def test_bans_survive_a_restart_but_not_for_longer_than_an_hour():
    bans, again = Bans(), Bans()
    bans.ban(PUBLIC, NOW)
    bans.ban("2001:db8::1", NOW)
    again.read_json(json.loads(json.dumps(bans.to_json())), NOW + 60)
    assert again.is_banned(PUBLIC, NOW + 3599)
    assert again.is_banned("2001:db8::1", NOW + 3599)
    assert not again.is_banned(PUBLIC, NOW + 3600)
    strange = {"a": NOW, "b": NOW + BAN_TIME + 1, "c": "x", "d": None, "e": float("nan"), "f": NOW + 1}
    again = Bans()
    again.read_json(strange, NOW)
    assert [host for host in strange if again.is_banned(host, NOW)] == ["f"]


def test_a_ban_holds_for_all_addresses_of_a_customer():
    """Who has one IPv6 address has 2**64 of them."""
    bans = Bans()
    bans.ban("2001:db8:0:7::1", NOW)
    assert bans.is_banned("2001:db8:0:7:ffff::9", NOW)
    assert not bans.is_banned("2001:db8:0:8::1", NOW)
    bans.ban("::ffff:8.8.4.4", NOW)
    assert bans.is_banned("8.8.4.4", NOW)
    again = Bans()
    again.read_json({"2001:db8:0:9::1": NOW + 60, **bans.to_json()}, NOW)
    assert again.is_banned("2001:db8:0:9::2", NOW)
    assert again.is_banned("2001:db8:0:7::3", NOW)


def test_who_is_banned_many_times_frees_nobody_else():
    """A /48 has 65,536 networks of 64 bits."""
    bans = Bans()
    bans.ban(PUBLIC, NOW)
    for n in range(MAX_BANS + 50):
        bans.ban(f"2001:db8:0:{n:x}::1", NOW + 1)
    assert len(bans) == MAX_BANS
    assert bans.is_banned(PUBLIC, NOW + 2)
    assert not bans.is_banned("2001:db8:0:0::1", NOW + 2)


def test_an_expired_ban_goes_first():
    bans = Bans()
    for n in range(MAX_BANS):
        bans.ban(address(n).host, NOW, 10 if n == 77 else 100)
    bans.ban(PUBLIC, NOW + 50)
    assert not bans.is_banned(address(77).host, NOW + 50)
    assert bans.is_banned(address(0).host, NOW + 50)


def test_one_source_cannot_fill_the_book():
    book = AddressBook()
    for n in range(MAX_ADDRESSES):
        book.add(address(n), NOW, source="9.9.0.0/16")
    assert len(book) == MAX_OF_SOURCE
    kept = {seen.address for seen in book.good(MAX_ADDRESSES, NOW, random.Random(1))}
    assert address(MAX_ADDRESSES - 1) in kept
    assert address(0) not in kept


def test_a_full_book_gives_up_what_the_greediest_source_said():
    book = AddressBook()
    for n in range(MAX_ADDRESSES):
        book.add(address(n), NOW, source=f"source {n % 20}")
    book.add(address(MAX_ADDRESSES), NOW, source="another one")
    book.add(address(MAX_ADDRESSES + 1), NOW)
    places = {host for host, *_ in book.seen()}
    assert len(book) == MAX_ADDRESSES
    assert {address(MAX_ADDRESSES).host, address(MAX_ADDRESSES + 1).host} <= places
    assert address(0).host not in places


def test_what_we_were_connected_to_is_nobodys_to_push_out():
    book = AddressBook()
    book.add(address(0), NOW, source="source")
    book.add(address(0), NOW)
    for n in range(1, 2 * MAX_ADDRESSES):
        book.add(address(n), NOW, source=f"source {n % 20}" if n % 2 else "source")
    assert (address(0).host, 9999) in {(host, port) for host, port, *_ in book.seen()}


def test_sources_survive_a_restart_and_rows_of_earlier_versions_are_read():
    book, again = AddressBook(), AddressBook()
    book.add(address(0), NOW, source="source")
    assert again.read_json([*json.loads(json.dumps(book.to_json())), [address(1).host, 9999, 0, 1.0, 2.0]]) == 2
    for n in range(2, MAX_OF_SOURCE + 2):
        again.add(address(n), NOW, source="source")
    places = {host for host, *_ in again.seen()}
    assert address(0).host not in places
    assert address(1).host in places


def test_how_a_node_became_known_stays_what_it_was_first():
    book = AddressBook()
    book.add(address(0), NOW, found_by=FoundBy(NodeOrigin.REMEMBERED))
    book.add(address(0), NOW, source="peers", found_by=FoundBy(NodeOrigin.BUILT_IN, "node.example"))
    book.add(address(0), NOW, found_by=FoundBy(NodeOrigin.PEER))
    assert book.found_by(address(0).host, 9999) == (NodeOrigin.BUILT_IN, "node.example")
    assert book.found_by(address(1).host, 9999) is None
    book.forget(address(0).host, 9999)
    book.forget(address(1).host, 9999)
    assert len(book) == 0


@pytest.mark.parametrize("more", [[], ["peer"], ["who knows", ""], [7, 8], ["peer", "x" * 300], ["peer", "\n"]])
def test_a_row_that_does_not_say_how_it_became_known_is_remembered(more):
    book = AddressBook()
    assert book.read_json([["8.8.8.8", 9, 0, 1.0, 2.0, "source", *more]]) == 1
    assert book.found_by("8.8.8.8", 9) == (NodeOrigin.REMEMBERED, "")


def test_earlier_versions_can_read_the_rows():
    """They take what comes after the source for nothing."""
    book = AddressBook()
    book.add(address(0), NOW, source="source", found_by=FoundBy(NodeOrigin.BUILT_IN, "node.example"))
    (row,) = json.loads(json.dumps(book.to_json()))
    assert row == [address(0).host, 9999, 0, NOW, NOW, "source", "built_in", "node.example"]
