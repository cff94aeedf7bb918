"""Addresses of nodes of the Dash network that found blocks can be sent to: learned, scored, remembered."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any

from p2pool.base.errors import ParseError

Address = tuple[str, int]
"""IP address as text, port."""

MAX_KNOWN = 2000
MAX_SCORE = 10.0
FIRST_PAUSE, LAST_PAUSE = 60.0, 86400.0
"""Seconds before an address that failed is tried again, doubled with each failure."""
MAX_FAILURES = 10
"""An address that failed so often without ever having worked is forgotten."""


@dataclass(slots=True)
class KnownPeer:
    """What is known of an address. `score` rises with each good turn; times in Unix seconds."""

    score: float = 0.0
    failures: int = 0
    worked: bool = False
    next_try: float = 0.0


def parse_address(text: str, allow_local: bool) -> Address | None:
    """An IP address and port ("1.2.3.4:9999", "[2001:db8::1]:9999"); None for what cannot be dialled: names,
    hidden services, and addresses that are not of the public network unless `allow_local`."""
    host, _, port = text.rpartition(":")
    return usable_address(host.strip("[]"), int(port) if port.isascii() and port.isdigit() else 0, allow_local)


def usable_address(host: str, port: int, allow_local: bool) -> Address | None:
    """The same for a host and a port."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    address = mapped or address
    if not 0 < port < 65536 or address.is_multicast or address.is_unspecified:
        return None
    return (str(address), port) if address.is_global or allow_local else None


class PeerBook:
    """The addresses. Bound: MAX_KNOWN; the worst is forgotten for a new one."""

    def __init__(self, allow_local: bool, rng: random.Random) -> None:
        self.known: dict[Address, KnownPeer] = {}
        self.allow_local = allow_local
        self._rng = rng

    def learn(self, address: Address | None) -> None:
        """Somebody named an address."""
        if address is None or address in self.known:
            return
        if len(self.known) >= MAX_KNOWN:
            del self.known[min(self.known, key=lambda each: self.known[each].score)]
        self.known[address] = KnownPeer()

    def worked(self, address: Address) -> None:
        """A handshake was done."""
        peer = self.known.setdefault(address, KnownPeer())
        peer.worked, peer.failures = True, 0
        self.credit(address, 1.0)

    def credit(self, address: Address, amount: float) -> None:
        """It did something good, or bad where the amount is negative."""
        peer = self.known.get(address)
        if peer is not None:
            peer.score = max(-MAX_SCORE, min(MAX_SCORE, peer.score + amount))

    def failed(self, address: Address, now: float) -> None:
        """No connection, no handshake, or an end that was its own fault."""
        peer = self.known.get(address)
        if peer is None:
            return
        peer.failures += 1
        self.credit(address, -1.0)
        if peer.failures >= MAX_FAILURES and not peer.worked:
            del self.known[address]
        else:
            peer.next_try = now + min(LAST_PAUSE, FIRST_PAUSE * 2 ** (peer.failures - 1))

    def pick(self, count: int, without: Collection[Address], now: float) -> list[Address]:
        """Addresses to dial: the best first, with some luck, so that others get their chance, too."""
        due = [
            (peer.score + self._rng.uniform(0.0, 3.0), address)
            for address, peer in self.known.items()
            if address not in without and (peer.next_try <= now or peer.next_try > now + 2 * LAST_PAUSE)
        ]
        return [address for _, address in sorted(due, reverse=True)[:count]]

    def dump(self) -> dict[str, Any]:
        """As JSON; those that worked, and as many of the others as there is room for."""
        return {
            "version": 1,
            "peers": [
                {"host": host, "port": port, "score": peer.score, "worked": peer.worked}
                for (host, port), peer in self.known.items()
            ],
        }

    def restore(self, document: Any) -> None:
        """What `dump` gave in an earlier run. Raises ParseError; nothing is taken over then."""
        try:
            entries = [
                (
                    usable_address(str(entry["host"]), int(entry["port"]), self.allow_local),
                    KnownPeer(score=float(entry["score"]), worked=entry["worked"] is True),
                )
                for entry in document["peers"][:MAX_KNOWN]
            ]
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise ParseError(f"not a list of peers: {error!r}") from None
        for address, peer in entries:
            if address is not None and abs(peer.score) <= MAX_SCORE:
                self.known[address] = peer
