"""Notifications of new blocks: they come from several sources; the first of a block is timed until there is work
on the block."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from p2pool.base.bounded import BoundedDict, BoundedSet


class NotificationSource(StrEnum):
    """Where a notification of a new block comes from."""

    P2P = "p2p"
    """An inv or headers message of a daemon."""
    ZMQ = "zmq"
    LONG_POLL = "long_poll"
    HEARTBEAT = "heartbeat"
    """The request that shows whether a daemon is alive."""
    POLL = "poll"
    """A template that was requested at its regular time."""
    NETWORK = "network"
    """A peer of the Dash network."""
    POOL = "pool"
    """Another node of this pool."""
    SUBMISSION = "submission"
    """A block of this pool that a daemon took."""


MAX_NOTIFICATIONS = 200


class BlockNotifications:
    """The first notification of each block. `clock` is monotonic, in seconds; `record(source, seconds)` counts."""

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
        """Record that a job on a block was sent: the first one is timed. Not that on the newest block at the
        start, nor one on a block that comes back in a reorganisation."""
        if block_hash == self._worked_on:
            return
        self._worked_on = block_hash
        first = None if block_hash in self._timed else self._first.get(block_hash)
        self._timed.add(block_hash)
        if first is not None:
            source, since = first
            self._record(source.value, self._clock() - since)
