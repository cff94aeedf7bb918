"""Readers of the values that many settings have: paths, ports, addresses, networks, one of several words. Each
takes what was written and returns the value, or raises OperatorError with what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

from p2pool.base.endpoints import HOST, parse_host_and_port
from p2pool.base.errors import ParseError
from p2pool.base.hosts import IpNetwork, parse_address
from p2pool.base.paths import parse_path
from p2pool.base.settings import Given


def read_path(given: Given) -> Path:
    """Return a path, with its ~ resolved."""
    return parse_path(given.source, given.text)


def read_existing_directory(given: Given) -> Path:
    """Return the path of a directory that exists."""
    path = read_path(given)
    if not path.is_dir():
        raise replace(given, text=str(path)).refused("this is not a directory")
    return path


def read_listen_endpoint(given: Given) -> tuple[str, int]:
    """Return (interface, port) of PORT or ADDR:PORT; "" is every interface and port 0 any free one."""
    host, _, port = given.text.rpartition(":")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise given.refused("give PORT or ADDR:PORT")
    address = host[1:-1] if re.fullmatch(r"\[.*:.*\]", host) else host
    if not re.fullmatch(HOST + "?", address) and parse_address(address) is None:
        raise given.refused("give PORT or ADDR:PORT, an IPv6 address in brackets: [::1]:7903")
    return address, int(port)


def read_node_address(given: Given) -> tuple[str, int]:
    """Return (host, port) of ADDR or ADDR:PORT, IPv6 addresses in brackets if a port follows; else port 0."""
    try:
        return parse_host_and_port(given.text)
    except ParseError as error:
        raise given.refused(str(error)) from None


def read_ip_network(given: Given) -> IpNetwork:
    """Return an address or a network in CIDR notation."""
    try:
        return ip_network(given.text, strict=False)
    except ValueError:
        raise given.refused("give an address or a network like 192.168.0.0/16") from None


@dataclass(frozen=True, slots=True)
class OneOf:
    """A reader that takes one of several words."""

    known: tuple[str, ...]

    def __call__(self, given: Given) -> str:
        """Return the word. Raises OperatorError if it is another one."""
        if given.text not in self.known:
            raise given.refused(f"give one of {', '.join(self.known)}")
        return given.text


def one_of(words: Iterable[str]) -> OneOf:
    """Return a reader that takes one of several words."""
    return OneOf(tuple(words))


PORT_LIMITS = (1, 65535)
"""Of a port that something listens on."""
