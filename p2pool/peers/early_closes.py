"""Peers that close the connection soon after it was made: what a node sees whose protocol is below the lowest that
the others accept. Pure. Called by `peer_watch`.

Only hosts that spoke the p2pool protocol, or were a peer in this run, count: ports that are open for something
else, and port scanners, say nothing about this node.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.base.bounded import BoundedDict, BoundedSet
from p2pool.peers.addresses import group_of
from p2pool.pool_stats import EarlyCloses

EARLY = 10.0
"""Seconds from the connection to its end, at most."""
WINDOW = 3600.0
"""Seconds for which the last early close of a host counts."""
MAX_HOSTS = 256
MAX_PEERS = 1024
"""Hosts that are remembered as peers of this run."""


@dataclass(slots=True)
class _Closer:
    first: float
    last: float
    closes: int = 0
    protocol: int | None = None


class EarlyCloseWatch:
    """The hosts that closed early, and did not stay since. Bound: MAX_HOSTS, the first one heard goes first."""

    def __init__(self) -> None:
        self._closers: BoundedDict[str, _Closer] = BoundedDict(MAX_HOSTS)
        self._peers: BoundedSet[str] = BoundedSet(MAX_PEERS)

    def closed(self, host: str, protocol: int | None, now: float) -> None:
        """Record that a host closed the connection at once; `protocol` is what it had announced, None if nothing
        yet."""
        if protocol is None and host not in self._peers:
            return
        closer = self._closers.get(host)
        if closer is None or now - closer.last > WINDOW:
            closer = self._closers[host] = _Closer(now, now)
        closer.last = now
        closer.closes += 1
        closer.protocol = protocol if protocol is not None else closer.protocol

    def stayed(self, host: str) -> None:
        """Record that a connection with the host has lasted for longer."""
        self._peers.add(host)
        self._closers.pop(host, None)

    def figures(self, now: float, unix: float) -> EarlyCloses:
        """Return what counts at present. `now` is the clock of `closed`, `unix` the same moment in Unix
        seconds."""
        counted = {host: c for host, c in self._closers.items() if now - c.last <= WINDOW}
        if not counted:
            return EarlyCloses()
        first = min(closer.first for closer in counted.values())
        last = max(closer.last for closer in counted.values())
        protocols = [closer.protocol for closer in counted.values() if closer.protocol is not None]
        return EarlyCloses(
            hosts=len(counted),
            sites=len({group_of(host) for host in counted}),
            closes=sum(closer.closes for closer in counted.values()),
            lasting=last - first,
            since=unix - (now - first),
            lowest=min(protocols, default=None),
            highest=max(protocols, default=None),
        )
