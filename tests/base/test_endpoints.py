"""Hosts with ports as people read them, and sentences for addresses that a machine does not have."""

from __future__ import annotations

import errno
import os
import re
import socket

import pytest
from twisted.internet.error import CannotListenError, ConnectError

from p2pool.base import endpoints
from p2pool.base.endpoints import (
    cannot_listen,
    host_and_port,
    host_in_url,
    loopback_address,
    reachable_host,
    unreachable_hint,
)
from tests.support import ROOT


def test_ipv6_addresses_have_brackets():
    assert [host_in_url(host) for host in ("::1", "127.0.0.1", "x")] == ["[::1]", "127.0.0.1", "x"]
    assert [host_and_port(host, 7) for host in ("::1", "127.0.0.1", "x")] == ["[::1]:7", "127.0.0.1:7", "x:7"]


def test_no_other_place_puts_hosts_and_ports_together():
    """One helper: a place of its own forgets the brackets."""
    found = [
        f"{path.relative_to(ROOT)}: {match}"
        for path in sorted((ROOT / "p2pool").rglob("*.py"))
        if path.name != "endpoints.py"
        for match in re.findall(r"\{[\w.]*(?:host|address)\}:\{[^}]*\}", path.read_text("utf-8"))
    ]
    assert found == []


class Machine:
    """The sockets of a machine with some addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    def socket(self, family, kind):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def bind(self, where):
        if where[0] not in self.addresses:
            raise OSError(errno.EADDRNOTAVAIL, "no")


@pytest.fixture
def on(monkeypatch):
    """Be on a machine with some addresses."""

    def machine(*addresses: str) -> None:
        made = Machine(*addresses)
        monkeypatch.setattr(endpoints.socket, "socket", made.socket)
        loopback_address.cache_clear()

    yield machine
    loopback_address.cache_clear()


def test_a_machine_reaches_itself_by_what_it_has(on):
    for addresses, expected in ((("127.0.0.1", "::1"), "127.0.0.1"), (("::1",), "::1"), ((), "127.0.0.1")):
        on(*addresses)
        assert loopback_address() == expected
        assert [reachable_host(interface) for interface in ("", "::")] == [expected] * 2
        assert reachable_host("0.0.0.0") == "127.0.0.1"
        assert reachable_host("192.0.2.1") == "192.0.2.1"


@pytest.mark.parametrize(
    ("host", "problem", "words"),
    [
        ("10.0.0.7", OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "no IPv4 address 10.0.0.7"),
        ("::1", OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "no IPv6 address ::1"),
        ("::1", OSError(errno.EAFNOSUPPORT, "Address family not supported"), "no IPv6 address ::1"),
        ("", OSError(errno.EAFNOSUPPORT, "Address family not supported"), "neither IPv4 nor IPv6"),
        ("nosuch", socket.gaierror(-2, "Name or service not known"), "nosuch is not an address of this machine"),
        ("", OSError(errno.EADDRINUSE, "Address already in use"), "Address already in use"),
    ],
)
def test_a_port_that_cannot_be_opened_is_a_sentence_that_names_the_address(host, problem, words):
    text = str(
        cannot_listen(
            CannotListenError(host, 77, problem), (host, 77), purpose="other nodes", flag="--p2pool-port"
        )
    )
    assert text.startswith("cannot listen on port 77 for other nodes (")
    assert text.endswith("): choose another one with --p2pool-port")
    assert words in text


def test_a_connection_to_an_address_of_a_kind_that_the_machine_lacks():
    gone = ConnectError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
    assert unreachable_hint(gone, "127.0.0.1") == (
        " This machine has no IPv4 route to 127.0.0.1: give an IPv6 address if it has one."
    )
    assert "no IPv6 route to ::1: give an IPv4 address" in unreachable_hint(gone, "::1")
    assert unreachable_hint(ConnectError(errno.ECONNREFUSED, "refused"), "127.0.0.1") == ""
