"""Addresses of nodes of the Dash network that found blocks can be sent to: learned, scored, kept on disk."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from p2pool.base.errors import ParseError
from p2pool.base.hosts import EVERY_KIND, NetworkKind, is_global, kinds_of

Address = tuple[str, int]
"""IP address as text, port."""

MAX_KNOWN = 2000
_FORGOTTEN_AT_ONCE = MAX_KNOWN // 10
MIN_PORT = 1024
"""Others must not be able to make this node connect to, say, a mail server."""
MAX_SCORE = 10.0
FIRST_PAUSE, LAST_PAUSE = 60.0, 86400.0
"""Seconds before an address that failed is tried again, doubled with each failure."""
MAX_RESTING = 50
"""Addresses that failed recently, for pages."""
FROM_DASHD, FROM_NETWORK, REMEMBERED = "dashd", "network", "remembered"
"""Where an address comes from: dashd, another node, an earlier run."""
MAX_FAILURES = 10
"""An address that failed so often without ever having worked is forgotten."""


@dataclass(slots=True)
class KnownPeer:
    """What is known of an address. `score` rises with each useful message; `failures` are those since the last
    one; times in Unix seconds."""

    score: float = 0.0
    failures: int = 0
    worked: bool = False
    next_try: float = 0.0
    source: str = FROM_NETWORK


@dataclass(frozen=True, slots=True)
class RestingAddress:
    """An address that failed, `failures` times in a row, and is tried again in `remaining` of `pause` seconds."""

    host: str
    port: int
    failures: int
    remaining: float
    pause: float


def parse_address(text: str, allow_local: bool) -> Address | None:
    """Return an IP address and port ("1.2.3.4:9999", "[2001:db8::1]:9999"); None for what cannot be dialled:
    names, hidden services, and addresses that are not of the public network unless `allow_local`."""
    host, _, port = text.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    return usable_address(host.strip("[]"), number, allow_local)


def usable_address(host: str, port: int, allow_local: bool) -> Address | None:
    """Return the address of a host and a port; None for one that must not be dialled (see `parse_address`)."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        address = address.ipv4_mapped or address
    if not MIN_PORT <= port < 65536 or address.is_multicast or address.is_unspecified:
        return None
    return (str(address), port) if allow_local or is_global(address) else None


def _neighbourhood(address: Address) -> str:
    """Return the /16 of IPv4 or /32 of IPv6: whoever has one address of it gets more of them cheaply."""
    host, _ = address
    return str(ip_network((host, 32 if ":" in host else 16), strict=False))


def _pause(failures: int) -> float:
    """Return the seconds before the next attempt after so many failures in a row."""
    return min(LAST_PAUSE, FIRST_PAUSE * 2.0 ** min(max(0, failures - 1), 32))


class PeerBook:
    """The known addresses. Bound: MAX_KNOWN; the worst are evicted for new ones."""

    def __init__(self, allow_local: bool, rng: random.Random, kinds: frozenset[NetworkKind] = EVERY_KIND) -> None:
        """Take the networks whose addresses may be dialled."""
        self._kinds = kinds
        self.known: dict[Address, KnownPeer] = {}
        self.allow_local = allow_local
        self._rng = rng

    def learn(self, address: Address | None, source: str = FROM_NETWORK) -> None:
        """Add an address that somebody named: FROM_DASHD, FROM_NETWORK or REMEMBERED."""
        if address is not None:
            self._peer(address, source)

    def sources(self) -> dict[str, int]:
        """Return how many addresses are known, by who named them first."""
        return dict(Counter(peer.source for peer in self.known.values()))

    def resting(self, now: float) -> tuple[RestingAddress, ...]:
        """Return addresses that failed and wait for their next attempt, the soonest first, at most MAX_RESTING."""
        waiting = ((peer.next_try, address) for address, peer in self.known.items() if peer.next_try > now)
        return tuple(
            RestingAddress(*address, peer.failures, when - now, _pause(peer.failures))
            for when, address in heapq.nsmallest(MAX_RESTING, waiting)
            if (peer := self.known[address]).failures
        )

    def _peer(self, address: Address, source: str = FROM_NETWORK) -> KnownPeer:
        """Return what is known of an address, which is added if it is new."""
        peer = self.known.get(address)
        if peer is None:
            if len(self.known) >= MAX_KNOWN:
                # Many at once, as finding them takes a while: the untried and the bad, the oldest first.
                for worst in sorted(self.known, key=self._worth)[:_FORGOTTEN_AT_ONCE]:
                    del self.known[worst]
            peer = self.known[address] = KnownPeer(source=source)
        return peer

    def _worth(self, address: Address) -> tuple[bool, float]:
        peer = self.known[address]
        return peer.worked and peer.failures < MAX_FAILURES, peer.score

    def worked(self, address: Address) -> None:
        """Record a handshake. Only a useful message makes up for failures: the node may disconnect at once."""
        self._peer(address).worked = True

    def useful(self, address: Address) -> None:
        """Record that the node was useful: it announced a new block."""
        peer = self._peer(address)
        peer.failures, peer.score = 0, min(MAX_SCORE, peer.score + 1.0)

    def failed(self, address: Address, now: float) -> None:
        """Record a failure: no connection, no handshake, or an end that was its own fault."""
        peer = self.known.get(address)
        if peer is None:
            return
        peer.failures += 1
        peer.score = max(-MAX_SCORE, peer.score - 1.0)
        if peer.failures >= MAX_FAILURES and not peer.worked:
            del self.known[address]
        else:
            peer.next_try = now + _pause(peer.failures)

    def pick(self, count: int, without: Collection[Address], now: float) -> list[Address]:
        """Return addresses to dial: the best first, with some randomness, so that others get a chance; one of a
        neighbourhood, counting those `without`, unless all are local."""
        due = [
            (peer.score + self._rng.uniform(0.0, 3.0), address)
            for address, peer in self.known.items()
            if address not in without
            and kinds_of(address[0]) <= self._kinds
            and (peer.next_try <= now or peer.next_try > now + 2 * LAST_PAUSE)
        ]
        chosen: list[Address] = []
        taken = set() if self.allow_local else {_neighbourhood(address) for address in without}
        for _, address in sorted(due, reverse=True):
            if len(chosen) >= count:
                break
            if not self.allow_local:
                neighbourhood = _neighbourhood(address)
                if neighbourhood in taken:
                    continue
                taken.add(neighbourhood)
            chosen.append(address)
        return chosen

    def dump(self) -> dict[str, Any]:
        """Return what `restore` takes, for a file."""
        return {
            "peers": [
                {"host": host, "port": port, "score": peer.score, "worked": peer.worked}
                for (host, port), peer in self.known.items()
            ],
        }

    def restore(self, entries: list[Any]) -> None:
        """Take over the entries of an earlier run; unusable ones are skipped."""
        for entry in entries[:MAX_KNOWN]:
            match entry:
                case {"host": str(host), "port": int(port), "score": int() | float() as score, "worked": worked}:
                    address = usable_address(host, port, self.allow_local)
                    if address is not None and abs(score) <= MAX_SCORE:
                        peer = self._peer(address, REMEMBERED)
                        peer.score, peer.worked = float(score), worked is True


def peer_entries(document: object) -> list[Any]:
    """Return the entries in what `dump` gave. Raises ParseError."""
    entries = document.get("peers") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ParseError("it holds no list of peers")
    return entries
