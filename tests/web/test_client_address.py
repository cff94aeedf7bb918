"""Who asks: X-Forwarded-For counts where a trusted proxy wrote it, and nowhere else."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.hosts import parse_address
from p2pool.web.client_address import MAX_HOPS, client_address

PROXY, INNER = "10.0.0.1", "2001:db8::1"
TRUSTED = ip_network("10.0.0.0/24"), ip_network("2001:db8::/64")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        (PROXY, [], PROXY),
        (PROXY, ["198.51.100.7"], "198.51.100.7"),
        (PROXY, ["2001:db9::5"], "2001:db9::5"),
        (PROXY, [" 198.51.100.7\t"], "198.51.100.7"),
        (PROXY, ["198.51.100.7:4711"], "198.51.100.7"),
        (PROXY, ["[2001:db9::5]:4711"], "2001:db9::5"),
        (PROXY, ["[2001:db9::5]"], "2001:db9::5"),
        (PROXY, ["::ffff:198.51.100.7"], "198.51.100.7"),
        (PROXY, [f"198.51.100.7, {INNER}"], "198.51.100.7"),
        (PROXY, ["198.51.100.7", INNER], "198.51.100.7"),  # one header each
        # What stands left of the first address that is not trusted is the client's invention.
        (PROXY, ["127.0.0.1, 198.51.100.7"], "198.51.100.7"),
        (PROXY, ["203.0.113.9, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        (PROXY, ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        (PROXY, ["<script>, 198.51.100.7"], "198.51.100.7"),
        # All are trusted: the one farthest away.
        (PROXY, ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        # What is no address ends the walk.
        (PROXY, ["unknown"], PROXY),
        (PROXY, ["198.51.100.7, unknown"], PROXY),
        (PROXY, ["198.51.100.7, , 10.0.0.2"], "10.0.0.2"),
        (PROXY, [""], PROXY),
        (PROXY, ["198.51.100.7,"], PROXY),
        (PROXY, ["198.51.100.256"], PROXY),
        (PROXY, ["fe80::1%eth0"], PROXY),
        (PROXY, ["198.51.100.7:"], PROXY),
        (PROXY, ["[198.51.100.7"], PROXY),
        (PROXY, ["1" * 5000], PROXY),
        # Nobody else is believed.
        ("198.51.100.9", ["127.0.0.1"], "198.51.100.9"),
        ("10.0.1.1", ["127.0.0.1"], "10.0.1.1"),
        ("", ["127.0.0.1"], ""),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
    ],
)
def test_whom_a_request_comes_from(peer, forwarded, client):
    assert client_address(peer, forwarded, TRUSTED) == client


def test_without_trusted_proxies_nothing_is_believed():
    assert client_address(PROXY, ["198.51.100.7"], ()) == PROXY


def test_a_chain_of_proxies_is_followed_so_far_and_no_farther():
    hops = [f"10.0.0.{number}" for number in range(2, 200)]
    assert client_address(PROXY, [", ".join(["198.51.100.7", *hops[: MAX_HOPS - 1]])], TRUSTED) == "198.51.100.7"
    assert client_address(PROXY, [", ".join(["198.51.100.7", *hops])], TRUSTED) == hops[-MAX_HOPS]


@given(st.lists(st.text(max_size=40) | st.ip_addresses().map(str), max_size=6))
def test_whatever_is_sent_the_client_is_an_address(forwarded):
    assert parse_address(client_address(PROXY, forwarded, TRUSTED)) is not None
    assert client_address("198.51.100.9", forwarded, TRUSTED) == "198.51.100.9"


@given(st.lists(st.text(max_size=40), max_size=6))
def test_what_a_client_sends_itself_never_changes_who_it_is(invented):
    assert client_address(PROXY, [*invented, "198.51.100.7"], TRUSTED) == "198.51.100.7"
