"""The simulated Internet: hosts with addresses, and the routes between them, which delay, lose and cut."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from tests.simulation.events import EventQueue

if TYPE_CHECKING:
    from tests.simulation.tcp import VirtualPort

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
LOOPBACK = 0.00003
"""Seconds from a host to itself."""
JITTER = 0.15
"""By what part a packet may take longer than the route's latency."""
LOST = 0.001
"""The part of packets that are lost on the way, and sent again."""
FIRST_RETRANSMISSION, LAST_RETRANSMISSION = 0.3, 60.0
"""Seconds until a packet without an answer is sent again, at first and at last."""


@dataclass(eq=False)
class Host:
    """A machine's place in the network. `bandwidth` in bytes per second, out of it."""

    name: str
    address: str
    region: str
    bandwidth: float = 2.5e6
    up: bool = True
    """Whether the machine has power."""
    ports: dict[int, VirtualPort] = field(default_factory=dict)
    busy_until: float = 0.0
    """When all that it has sent so far has left it."""


class Internet:
    """All hosts. `latency(from, to)` gives the seconds one way between regions."""

    def __init__(self, events: EventQueue, latency: Callable[[str, str], float]) -> None:
        self.events = events
        self.hosts: dict[str, Host] = {}
        """By address."""
        self.names: dict[str, str] = {}
        """Addresses by host name."""
        self.delivered: Callable[[Host, Host, bytes], None] = lambda source, target, data: None
        """Called for all bytes that arrive."""
        self._latency = lru_cache(latency)
        self._chance: random.Random = events.chance("network")
        self._cut: set[tuple[str, str]] = set()
        """Pairs of addresses from the first of which nothing reaches the second."""

    def add(self, host: Host) -> Host:
        """Connect a host."""
        self.hosts[host.address] = host
        self.names[host.name] = host.address
        return host

    def find(self, source: Host, address: str) -> Host | None:
        """Return the host that an address or a name means to `source`; None if there is none."""
        if address in LOOPBACK_NAMES:
            return source
        return self.hosts.get(self.names.get(address, address))

    # --- cuts --------------------------------------------------------------------------------------------

    def cut(self, source: Host, target: Host) -> None:
        """Let nothing reach `target` from `source` any more; the other way may stay open."""
        self._cut.add((source.address, target.address))

    def mend(self, source: Host, target: Host) -> None:
        """Open a route that was cut."""
        self._cut.discard((source.address, target.address))

    def mend_all(self) -> None:
        """Open all routes."""
        self._cut.clear()

    def is_open(self, source: Host, target: Host) -> bool:
        """Return whether packets arrive."""
        if source is target:
            return source.up
        return source.up and target.up and (source.address, target.address) not in self._cut

    def latency(self, source: Host, target: Host) -> float:
        """Return the seconds that a packet takes at least."""
        return LOOPBACK if source is target else self._latency(source.region, target.region)

    # --- time --------------------------------------------------------------------------------------------

    def delay(self, source: Host, target: Host, size: int) -> float:
        """Return how long so many bytes take from now, all going well."""
        if source is target:
            return LOOPBACK
        now = self.events.now
        start = max(now, source.busy_until)
        source.busy_until = start + size / source.bandwidth
        latency = self._latency(source.region, target.region)
        delay = source.busy_until - now + latency * (1 + JITTER * self._chance.random())
        if self._chance.random() < LOST:
            delay += max(FIRST_RETRANSMISSION, 2 * latency)
        return delay


def retransmission(number: int) -> float:
    """Return the seconds until packet is sent for the `number`th time again, from 0."""
    return min(FIRST_RETRANSMISSION * 2.0**number, LAST_RETRANSMISSION)
