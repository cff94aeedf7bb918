"""What the broadcaster counts since the start, and what pages show of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from twisted.internet.error import ConnectionRefusedError, TimeoutError
from twisted.python.failure import Failure

from p2pool.dashd.network_peers import RestingAddress


@dataclass(slots=True)
class BroadcastCounts:
    """`attempts` to connect end as `connected` (the handshake was done) or `failed`; of the latter, some as
    `timeouts` or `refused`. `deliveries` are blocks given to single connections; `refreshes` are dashd's answers
    about its own peers, the newest at `refreshed` (Unix seconds)."""

    attempts: int = 0
    connected: int = 0
    failed: int = 0
    timeouts: int = 0
    refused: int = 0
    deliveries: int = 0
    failed_deliveries: int = 0
    refreshes: int = 0
    refreshed: float | None = None

    def count_failure(self, failure: Failure) -> None:
        """Count an attempt that failed before there was a connection."""
        self.failed += 1
        self.timeouts += failure.check(TimeoutError) is not None
        self.refused += failure.check(ConnectionRefusedError) is not None


@dataclass(frozen=True, slots=True)
class BroadcasterTotals:
    """The broadcaster as a whole. `known` addresses, by where they are from; `resting` are those that failed and
    are not tried now. Times in seconds."""

    counts: BroadcastCounts = field(default_factory=BroadcastCounts)
    known: int = 0
    sources: Mapping[str, int] = field(default_factory=dict)
    resting: tuple[RestingAddress, ...] = ()
    max_peers: int = 0
    dials_at_once: int = 0
    connect_time: float = 0.0
    refresh_period: float = 0.0
