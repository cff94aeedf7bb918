"""Addresses of other nodes, and hosts that are banned. Pure; both can be written to JSON and read back."""

from __future__ import annotations

import ipaddress
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from p2pool.peers.messages import PeerAddress, SeenAddress

MAX_ADDRESSES = 10_000
MAX_BANS = 10_000
BAN_TIME = 3600.0
_HOUR = 3600.0


def group_of(host: str) -> str:
    """The neighbourhood of a host: /16 of IPv4, /32 of IPv6, the host itself where it is no address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 16 if address.version == 4 else 32), strict=False))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_dialable(address: PeerAddress, heard_from: str) -> bool:
    """Whether a node may listen there. Addresses of private networks are believed only to one of them, so that
    nobody outside makes us knock at the doors of our own network."""
    if not 0 < address.port < 65536:
        return False
    try:
        ip, source = ipaddress.ip_address(address.host), ipaddress.ip_address(heard_from)
    except ValueError:
        return False
    if ip.is_unspecified or ip.is_multicast:
        return False
    return ip.is_global or not source.is_global


@dataclass(slots=True)
class _Known:
    services: int
    first_seen: float
    last_seen: float


class AddressBook:
    """At most MAX_ADDRESSES places where nodes listen. Times are Unix seconds."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], _Known] = {}

    def __len__(self) -> int:
        return len(self._known)

    def add(self, address: PeerAddress, seen: float) -> None:
        """A node was seen there. A full book takes no more new ones."""
        key = (address.host, address.port)
        known = self._known.get(key)
        if known is not None:
            known.services = address.services
            known.last_seen = max(known.last_seen, seen)
        elif len(self._known) < MAX_ADDRESSES:
            self._known[key] = _Known(address.services, seen, seen)

    def seen(self) -> Iterator[tuple[str, int, float, float]]:
        """(host, port, first seen, last seen) of all, in no order."""
        for (host, port), known in self._known.items():
            yield host, port, known.first_seen, known.last_seen

    def good(self, count: int, now: float, rng: random.Random) -> list[SeenAddress]:
        """Up to `count` of them by chance, those seen for long and lately more often."""

        def rank(item: tuple[tuple[str, int], _Known]) -> float:
            known = item[1]
            lasted = math.log(max(_HOUR, known.last_seen - known.first_seen))
            return -lasted / math.log(max(_HOUR, now - known.last_seen)) * rng.expovariate(1)

        chosen = sorted(self._known.items(), key=rank)[:count]
        return [SeenAddress(int(k.last_seen), PeerAddress(host, port, k.services)) for (host, port), k in chosen]

    def to_json(self) -> list[list[object]]:
        """For a file."""
        return [[*key, known.services, known.first_seen, known.last_seen] for key, known in self._known.items()]

    def read_json(self, rows: object) -> int:
        """Take over what `to_json` gave; what is not of that form is passed over. Returns how many."""
        before = len(self._known)
        for row in rows if isinstance(rows, list) else []:
            match row:
                case [str(host), int(port), int(services), int() | float() as first, int() | float() as last]:
                    fits = _is_ip(host) and 0 < port < 65536 and 0 <= services < 2**64
                    if fits and len(self._known) < MAX_ADDRESSES and 0 <= first <= last < 2**63:
                        self._known[host, port] = _Known(services, float(first), float(last))
        return len(self._known) - before


class Bans:
    """Hosts that are kept out, until when (Unix seconds). At most MAX_BANS; the oldest go first."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def ban(self, host: str, now: float, seconds: float = BAN_TIME) -> None:
        """Keep a host out. Never this machine."""
        if is_loopback(host):
            return
        self._until[host] = max(self._until.pop(host, 0.0), now + seconds)
        if len(self._until) > MAX_BANS:
            del self._until[next(iter(self._until))]

    def is_banned(self, host: str, now: float) -> bool:
        """Whether it is kept out now."""
        until = self._until.get(host)
        if until is None:
            return False
        if now >= until:
            del self._until[host]
            return False
        return True

    def to_json(self) -> dict[str, float]:
        """For a file."""
        return dict(self._until)

    def read_json(self, value: object, now: float) -> None:
        """Take over what `to_json` gave."""
        items: Iterable[tuple[object, object]] = value.items() if isinstance(value, dict) else ()
        for host, until in items:
            if isinstance(host, str) and isinstance(until, int | float) and now < until <= now + BAN_TIME:
                self.ban(host, now, until - now)
