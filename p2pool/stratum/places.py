"""Who makes room when all places for connections are taken: the idle that never worked. `guard` keeps it."""

from __future__ import annotations

from typing import Final

from p2pool.base.fair import FairQueue
from p2pool.stratum.conduct import Conduct

LOGIN_PATIENCE: Final = 10.0
"""Seconds after which a connection that is not authorized yet goes before any other."""


class Places:
    """The connections without an accepted submission, by site. Bound: the server's connections.

    A connection with an accepted submission is never among them. Of the others, those that do not log in go first,
    then the site with most of them loses one: the newcomer's own, where no other has more.
    """

    def __init__(self) -> None:
        self._pending: FairQueue[Conduct, str] = FairQueue()
        """Those that are not authorized yet."""
        self._unproven: FairQueue[Conduct, str] = FairQueue()
        """These, and the authorized ones."""

    def __len__(self) -> int:
        return len(self._unproven)

    def opened(self, conduct: Conduct) -> None:
        """Add a connection that begins."""
        self._pending.add(conduct, conduct.host.site)
        self._unproven.add(conduct, conduct.host.site)

    def authorized(self, conduct: Conduct) -> None:
        """Note that a connection is authorized."""
        self._pending.discard(conduct)

    def worked(self, conduct: Conduct) -> None:
        """Note that a connection had its first submission accepted: it keeps its place."""
        self._pending.discard(conduct)
        self._unproven.discard(conduct)

    closed = worked

    def candidate(self, site: str, now: float) -> Conduct | None:
        """Return the connection to close so that one from `site` has a place; None where all have worked."""
        late = self._pending.candidate(site)
        if late is not None and abs(now - late.connected_at) >= LOGIN_PATIENCE:
            return late
        group = self._unproven.largest_group(site)
        if group is None:
            return None
        return next(iter(self._pending.group(group) or self._unproven.group(group)))
