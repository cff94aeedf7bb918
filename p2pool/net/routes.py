"""Where this machine's default routes lead: the routers that may be asked to forward a port. Linux only: elsewhere
there are none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final, NamedTuple

MAX_TEXT: Final = 1 << 20
"""Bytes of a routing table that are read: some ten thousand routes. The default ones come first, or nearly so."""
_UP, _GATEWAY, _REJECT = 0x1, 0x2, 0x200
_ROUTES = Path("/proc/net")


class Gateway(NamedTuple):
    """A router on a default route, and the interface that leads to it."""

    host: IPv4Address | IPv6Address
    interface: str


def default_gateways(directory: Path = _ROUTES) -> list[Gateway]:
    """Return the router of IPv4's default route and that of IPv6's, as far as there are any. Blocks shortly."""
    found = (parse_route(_text(directory / "route")), parse_ipv6_route(_text(directory / "ipv6_route")))
    return [each for each in found if each is not None]


def _text(path: Path) -> str:
    with suppress(OSError), open(path, "rb") as file:
        return file.read(MAX_TEXT).decode("ascii", "replace")
    return ""


def parse_route(text: str) -> Gateway | None:
    """Return the router of the best default route in the kernel's /proc/net/route; None without one."""
    return _best(_routes(text))


def _routes(text: str) -> Iterator[tuple[int, Gateway]]:
    for line in text.splitlines():
        with suppress(ValueError):
            interface, destination, gateway, flags, _, _, metric, mask, *_ = line.split()
            if int(destination, 16) == int(mask, 16) == 0 and _leads_on(int(flags, 16)):
                host = IPv4Address(int(gateway, 16).to_bytes(4, sys.byteorder))
                yield int(metric), Gateway(host, interface)


def parse_ipv6_route(text: str) -> Gateway | None:
    """Return the router of the best default route in the kernel's /proc/net/ipv6_route; None without one."""
    return _best(_ipv6_routes(text))


def _ipv6_routes(text: str) -> Iterator[tuple[int, Gateway]]:
    for line in text.splitlines():
        with suppress(ValueError):
            destination, length, _, _, gateway, metric, _, _, flags, interface = line.split()
            if int(destination, 16) == int(length, 16) == 0 and _leads_on(int(flags, 16)):
                yield int(metric, 16), Gateway(IPv6Address(int(gateway, 16)), interface)


def _leads_on(flags: int) -> bool:
    return flags & (_UP | _GATEWAY | _REJECT) == _UP | _GATEWAY


def _best(routes: Iterator[tuple[int, Gateway]]) -> Gateway | None:
    best = min(routes, key=lambda each: each[0], default=None)
    return None if best is None else best[1]
