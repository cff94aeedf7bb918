"""News of a new block comes by several roads; the first one counts, and is timed until there is work on it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from p2pool.base.bounded import BoundedDict, BoundedSet


class NotificationSource(StrEnum):
    """How news of a block come."""

    P2P = "p2p"
    """inv or headers of a daemon."""
    ZMQ = "zmq"
    LONG_POLL = "long_poll"
    HEARTBEAT = "heartbeat"
    """The question that tells whether a daemon lives."""
    POLL = "poll"
    """A template that was asked for in its turn."""
    NETWORK = "network"
    """A peer of the Dash network."""
    POOL = "pool"
    """Another node of this pool."""
    SUBMISSION = "submission"
    """A block of our own, which a daemon took."""


MAX_NOTIFICATIONS = 200


class BlockNotifications:
    """The first news of each block. `clock` is monotonic, in seconds; `record(source, seconds)` counts."""

    def __init__(self, clock: Callable[[], float], record: Callable[[str, float], None]) -> None:
        self._clock = clock
        self._record = record
        self._first: BoundedDict[int, tuple[NotificationSource, float]] = BoundedDict(MAX_NOTIFICATIONS)
        self._timed: BoundedSet[int] = BoundedSet(MAX_NOTIFICATIONS)
        self._worked_on: int | None = None

    def received(self, source: NotificationSource, block_hash: int, when: float | None = None) -> None:
        """Record that a block was announced, now or at `when`; only the first announcement counts."""
        if block_hash not in self._first:
            self._first[block_hash] = (source, self._clock() if when is None else when)

    def job_sent(self, block_hash: int) -> None:
        """A job on a block left: the first one is timed. What was the newest block at the start is no news, and
        what comes back in a reorganisation was."""
        if block_hash == self._worked_on:
            return
        self._worked_on = block_hash
        first = None if block_hash in self._timed else self._first.get(block_hash)
        self._timed.add(block_hash)
        if first is not None:
            source, since = first
            self._record(source.value, self._clock() - since)
