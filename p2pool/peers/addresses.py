"""Addresses of other nodes, and hosts that are banned. Pure; both can be written to JSON and read back."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from p2pool.base.hosts import host_key, is_global
from p2pool.peers.figures import REMEMBERED, FoundBy, KnownNode, NodeOrigin
from p2pool.peers.messages import PeerAddress, SeenAddress

MAX_ADDRESSES = 10_000
MAX_OF_SOURCE = 1_000
"""Addresses that the peers of one neighbourhood may put into the book: a tenth of it."""
PROVEN = ""
"""The source of addresses to which this node was connected."""
NAMED = "bootstrap"
"""The source of addresses that bootstrap names and lists gave, all together."""
NEWS_AFTER = 600.0
"""Seconds: that a node was seen again is news only if it was not heard of for so long. Addresses that are no news
are not passed on: in a network of fewer nodes than PREFERRED_ADDRESSES they would be told in circles, several a
second at each node."""
MAX_BANS = 10_000
BAN_TIME = 3600.0
_HOUR = 3600.0


@lru_cache(maxsize=4096)
def _parse(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a text is; None if it is none. The same few are asked for again and again."""
    try:
        return ip_address(host)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def group_of(host: str) -> str:
    """Return the neighbourhood of a host, or of a network as `host_key` gives it: /16 of IPv4, /32 of IPv6, the
    text itself if it is not an address."""
    address = _parse(host.partition("/")[0])
    if address is None:
        return host
    return str(ip_network((address, 16 if address.version == 4 else 32), strict=False))


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    address = _parse(host)
    return host == "localhost" if address is None else address.is_loopback


def is_dialable(address: PeerAddress, heard_from: str) -> bool:
    """Return whether a node may listen there. Addresses of private networks are believed only to one of them, so
    that nobody outside makes this node try the addresses of its own network."""
    if not 0 < address.port < 65536:
        return False
    ip, source = _parse(address.host), _parse(heard_from)
    if ip is None or source is None:
        return False
    if ip.is_unspecified or ip.is_multicast:
        return False
    return is_global(ip) or not is_global(source)


_ORIGINS = {origin.value: origin for origin in NodeOrigin}
_MAX_NAME = 260
"""Characters of a name with a port: DNS has 253."""


def _read_found_by(fields: Sequence[object]) -> FoundBy:
    """Read the origin in a file that `to_json`, an earlier version or anything else wrote."""
    match fields:
        case [str(word), str(name), *_] if word in _ORIGINS and len(name) <= _MAX_NAME and name.isprintable():
            return FoundBy(_ORIGINS[word], name)
    return REMEMBERED


@dataclass(slots=True)
class _Known:
    services: int
    first_seen: float
    last_seen: float
    source: str = PROVEN
    found_by: FoundBy = REMEMBERED


class AddressBook:
    """Places where nodes listen. Times are Unix seconds.

    Bound: MAX_ADDRESSES, of which MAX_OF_SOURCE from one source. A full book gives up an address of the source
    that has most of them; those that are proven stay.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], _Known] = {}
        self._of_source: dict[str, dict[tuple[str, int], None]] = {}
        """The addresses of each source, oldest first."""

    def __len__(self) -> int:
        return len(self._known)

    def add(
        self, address: PeerAddress, seen: float, *, source: str = PROVEN, found_by: FoundBy = REMEMBERED
    ) -> bool:
        """Take an address where a node was seen. `source` is the neighbourhood of the peer that says so; how a
        node became known stays what it was first. Return whether that is news: see NEWS_AFTER."""
        key = (address.host, address.port)
        known = self._known.get(key)
        if known is not None:
            is_news = seen >= known.last_seen + NEWS_AFTER
            known.services = address.services
            known.last_seen = max(known.last_seen, seen)
            if known.found_by.origin is NodeOrigin.REMEMBERED:
                known.found_by = found_by
            if source == PROVEN != known.source:
                self._forget(key)
                self._insert(key, known, PROVEN)
            return is_news
        if self._makes_room(source):
            self._insert(key, _Known(address.services, seen, seen, found_by=found_by), source)
        return True

    def _makes_room(self, source: str) -> bool:
        """Return whether one more address of this source may be added. A source beyond its share gives up its own
        oldest."""
        if source != PROVEN and len(self._of_source.get(source, ())) >= MAX_OF_SOURCE:
            self._forget(next(iter(self._of_source[source])))
        elif len(self._known) >= MAX_ADDRESSES:
            others = [name for name in self._of_source if name != PROVEN]
            if not others:
                return False
            greediest = max(others, key=lambda name: len(self._of_source[name]))
            self._forget(next(iter(self._of_source[greediest])))
        return True

    def _insert(self, key: tuple[str, int], known: _Known, source: str) -> None:
        known.source = source
        self._known[key] = known
        self._of_source.setdefault(source, {})[key] = None

    def _forget(self, key: tuple[str, int]) -> None:
        known = self._known.pop(key)
        addresses = self._of_source[known.source]
        del addresses[key]
        if not addresses:
            del self._of_source[known.source]

    def forget(self, host: str, port: int) -> None:
        """Forget an address, if it is known."""
        if (host, port) in self._known:
            self._forget((host, port))

    def found_by(self, host: str, port: int) -> FoundBy | None:
        """Return how a node became known; None if it is not."""
        known = self._known.get((host, port))
        return None if known is None else known.found_by

    def seen(self) -> Iterator[KnownNode]:
        """Yield all nodes, in no order."""
        for (host, port), known in self._known.items():
            yield KnownNode(host, port, known.first_seen, known.last_seen, known.found_by)

    def good(self, count: int, now: float, rng: random.Random) -> list[SeenAddress]:
        """Return up to `count` random addresses, preferring those seen for long and recently."""

        def rank(item: tuple[tuple[str, int], _Known]) -> float:
            known = item[1]
            lasted = math.log(max(_HOUR, known.last_seen - known.first_seen))
            return -lasted / math.log(max(_HOUR, now - known.last_seen)) * rng.expovariate(1)

        chosen = sorted(self._known.items(), key=rank)[:count]
        return [SeenAddress(int(k.last_seen), PeerAddress(host, port, k.services)) for (host, port), k in chosen]

    def to_json(self) -> list[list[object]]:
        """Return the addresses as they are in the file."""
        return [
            [
                *(*key, known.services, known.first_seen, known.last_seen, known.source),
                *(known.found_by.origin.value, known.found_by.name),
            ]
            for key, known in self._known.items()
        ]

    def read_json(self, rows: object) -> int:
        """Load what `to_json` gave; malformed entries are skipped. Return how many were loaded."""
        before = len(self._known)
        for row in rows if isinstance(rows, list) else []:
            match row:
                case [
                    str(host),
                    int(port),
                    int(services),
                    int() | float() as first,
                    int() | float() as last,
                    *rest,
                ]:
                    source = rest[0] if rest and isinstance(rest[0], str) else PROVEN
                    fits = 0 < port < 65536 and 0 <= services < 2**64 and len(source) <= 64
                    new = len(self._known) < MAX_ADDRESSES and (host, port) not in self._known
                    if fits and new and _parse(host) is not None and 0 <= first <= last < 2**63:
                        node = _Known(services, float(first), float(last), found_by=_read_found_by(rest[1:]))
                        self._insert((host, port), node, source)
        return len(self._known) - before


class Bans:
    """Banned hosts, and until when (Unix seconds). A host is what `host_key` says: an IPv4 address, or the network
    of 64 bits of an IPv6 one.

    Bound: MAX_BANS. Beyond it the oldest of the neighbourhood with most bans goes, so that nobody who has many
    addresses frees others by being banned.
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._groups: dict[str, dict[str, None]] = {}
        """The hosts of each neighbourhood, those banned last at the end."""

    def __len__(self) -> int:
        return len(self._until)

    def ban(self, host: str, now: float, seconds: float = BAN_TIME) -> None:
        """Ban a host, but never this machine."""
        if is_loopback(host):
            return
        key = host_key(host)
        until = max(self._until.get(key, 0.0), now + seconds)
        self._lift(key)
        self._until[key] = until
        self._groups.setdefault(group_of(key), {})[key] = None
        if len(self._until) > MAX_BANS:
            expired = next((each for each, until in self._until.items() if until <= now), None)
            greediest = max(self._groups, key=lambda group: len(self._groups[group]))
            self._lift(expired or next(iter(self._groups[greediest])))

    def _lift(self, key: str) -> None:
        if self._until.pop(key, None) is not None:
            group = group_of(key)
            del self._groups[group][key]
            if not self._groups[group]:
                del self._groups[group]

    def is_banned(self, host: str, now: float) -> bool:
        """Return whether the host is banned now."""
        key = host_key(host)
        until = self._until.get(key)
        if until is None:
            return False
        if now >= until:
            self._lift(key)
            return False
        return True

    def to_json(self) -> dict[str, float]:
        """Return the bans as they are in the file."""
        return dict(self._until)

    def read_json(self, value: object, now: float) -> None:
        """Load what `to_json` gave."""
        items: Iterable[tuple[object, object]] = value.items() if isinstance(value, dict) else ()
        for host, until in items:
            if isinstance(host, str) and isinstance(until, int | float) and now < until <= now + BAN_TIME:
                self.ban(host, now, until - now)
