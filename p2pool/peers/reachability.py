"""Whether other nodes can connect to this one, as far as it knows. Pure. `hub` says who came, `port_mapping` what
routers forward.

Nobody can be asked: p2pool's protocol has no question for it. What proves it is a node that connects from a public
address; a router's answer makes it likely; that nobody comes for a day, though others are told where this node
listens, speaks against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from p2pool.base.hosts import is_global, parse_address
from p2pool.peers.figures import KnownBy, MappedPort, Reachable, ReachableFigures

RECENT: Final = 86_400.0
"""Seconds for which an incoming connection counts after it was made, and after which silence does."""


@dataclass(slots=True)
class Reachability:
    """What speaks for it. Times are Unix seconds."""

    first_incoming: float | None = None
    """The first of the incoming connections of which the last is recent."""
    last_incoming: float = 0.0
    advertised_since: float | None = None
    """Since when other nodes are told where this one listens."""

    def came(self, host: str, now: float) -> None:
        """Take note of an incoming connection of another node; only one from a public address counts."""
        address = parse_address(host)
        if address is None or not is_global(address):
            return
        if self.first_incoming is None or now - self.last_incoming > RECENT:
            self.first_incoming = now
        self.last_incoming = now

    def advertised(self, now: float) -> None:
        """Take note that others are told where this node listens."""
        if self.advertised_since is None:
            self.advertised_since = now

    def figures(
        self, now: float, mapped: Sequence[MappedPort], *, open_outside: bool, connected: bool
    ) -> ReachableFigures:
        """Return the answer. `mapped` are the ports that routers forward, `open_outside` says whether the port is
        open to more than this machine, and `connected` whether a node from a public address is connected now."""
        if not open_outside:
            return ReachableFigures(Reachable.NO, None, KnownBy.SETTINGS)
        if self.first_incoming is not None and (connected or now - self.last_incoming <= RECENT):
            return ReachableFigures(Reachable.YES, self.first_incoming, KnownBy.INCOMING)
        for answer, is_public in ((Reachable.YES, True), (Reachable.NO, False)):
            for port in mapped:
                if _is_public(port) is is_public:
                    return ReachableFigures(answer, port.since, KnownBy.ROUTER)
        since = self.advertised_since
        if since is not None and now - max(since, self.last_incoming) > RECENT:
            return ReachableFigures(Reachable.NO, max(since, self.last_incoming), KnownBy.SILENCE)
        return ReachableFigures()


def _is_public(port: MappedPort) -> bool | None:
    """Return whether the router's address is public; None if what it says is no address."""
    address = parse_address(port.host)
    return None if address is None else is_global(address)
