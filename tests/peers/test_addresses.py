"""Neighbourhoods of addresses, what may be dialled and told, and bans."""

from __future__ import annotations

import json

import pytest

from p2pool.peers.addresses import (
    BAN_TIME,
    MAX_BANS,
    Bans,
    dial_group,
    group_of,
    is_dialable,
    is_loopback,
    may_be_told,
    source_group,
)
from p2pool.peers.messages import PeerAddress

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


def test_private_hosts_and_ports_of_this_machine_are_groups_of_their_own():
    """Test networks, and pools within one network, have many nodes in one neighbourhood."""
    assert dial_group("8.8.8.8", 1) == dial_group("8.8.4.4", 2) == source_group("8.8.1.1") == "8.8.0.0/16"
    assert dial_group("192.168.0.1", 1) == dial_group("192.168.0.1", 2) == source_group("192.168.0.1")
    assert dial_group("192.168.0.1", 1) != dial_group("192.168.0.2", 1)
    assert dial_group("127.0.0.1", 1) != dial_group("127.0.0.1", 2)
    assert source_group("127.0.0.1") == "127.0.0.1"
    assert dial_group("a.onion", 1) != dial_group("b.onion", 1)


@pytest.mark.parametrize(
    ("host", "to", "may"),
    [
        (PUBLIC, PUBLIC, True),
        (PUBLIC, PRIVATE, True),
        (PRIVATE, PUBLIC, False),
        (PRIVATE, PRIVATE, True),
        ("127.0.0.1", PRIVATE, False),
        ("127.0.0.1", "127.0.0.1", True),
        ("fc00::1", "2606:4700::1", False),
        ("a.onion", PUBLIC, False),
    ],
)
def test_private_addresses_are_told_within_a_private_network_only(host, to, may):
    assert may_be_told(host, to) is may


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
