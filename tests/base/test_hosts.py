"""Hosts: which addresses are one, and what is no address at all."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.hosts import host_key, is_in, parse_address


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("::FFFF:0a01:0203", "10.1.2.3"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("2001:db8::/64", "2001:db8::/64"),
        ("not\nan address", "not?an address"),
    ],
)
def test_keys(address, key):
    assert host_key(address) == key


@given(st.ip_addresses(), st.integers(0, 2**64 - 1))
def test_a_key_is_its_own_key_and_all_of_a_64_have_the_same(address, change):
    key = host_key(str(address))
    assert host_key(key) == key
    if address.version == 6 and address.ipv4_mapped is None:
        neighbour = type(address)(int(address) ^ change)
        assert neighbour.ipv4_mapped is not None or host_key(str(neighbour)) == key
        assert host_key(str(type(address)(int(address) ^ 1 << 64))) != key


@pytest.mark.parametrize("text", ["", "x", "10.0.0", "10.0.0.256", "1.2.3.4:80", "[::1]", "::1 ", "1.2.3.4, ::1"])
def test_what_is_no_address(text):
    assert parse_address(text) is None
    assert not is_in(text, (ip_network("0.0.0.0/0"), ip_network("::/0")))


def test_networks():
    networks = ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")
    for host in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::5"):
        assert is_in(host, networks)
    for host in ("11.0.0.1", "::ffff:11.0.0.1", "2001:db9::5", "::1"):
        assert not is_in(host, networks)
    assert not is_in("10.1.2.3", ())
    assert parse_address("::ffff:10.1.2.3") == ip_address("10.1.2.3")
