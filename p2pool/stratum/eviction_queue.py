"""Which connection is closed for a new one when the server is full: an idle one that never worked.

`guard` owns the queue.
"""

from __future__ import annotations

from typing import Final

from p2pool.base.fair import FairQueue
from p2pool.stratum.reputation import ConnectionReputation

LOGIN_PATIENCE: Final = 10.0
"""Seconds after which a connection that is not authorized yet is evicted before any other."""


class EvictionQueue:
    """The connections without an accepted submission, by site. Bound: the server's connections.

    A connection with an accepted submission is never evicted. Of the others, those that do not log in are evicted
    first, then one of the site that has most of them: the newcomer's own site, if no other has more.
    """

    def __init__(self) -> None:
        self._pending: FairQueue[ConnectionReputation, str] = FairQueue()
        """The connections that are not authorized yet."""
        self._unproven: FairQueue[ConnectionReputation, str] = FairQueue()
        """All connections without an accepted submission, authorized or not."""

    def __len__(self) -> int:
        return len(self._unproven)

    def opened(self, connection: ConnectionReputation) -> None:
        """Add a new connection to the queue."""
        self._pending.add(connection, connection.host.site)
        self._unproven.add(connection, connection.host.site)

    def authorized(self, connection: ConnectionReputation) -> None:
        """Note that a connection is authorized."""
        self._pending.discard(connection)

    def remove(self, connection: ConnectionReputation) -> None:
        """Remove a connection that had its first submission accepted, or that ended."""
        self._pending.discard(connection)
        self._unproven.discard(connection)

    def candidate(self, site: str, now: float) -> ConnectionReputation | None:
        """Return the connection to close for one from `site`; None if all connections have worked."""
        late = self._pending.candidate(site)
        if late is not None and abs(now - late.connected_at) >= LOGIN_PATIENCE:
            return late
        group = self._unproven.largest_group(site)
        if group is None:
            return None
        return next(iter(self._pending.group(group) or self._unproven.group(group)))
