"""What pages and metrics show of Dash Core as a whole: made by `app.dashd`, read by `web`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from p2pool.dashd.broadcast_counts import BroadcasterTotals
from p2pool.dashd.broadcaster import BroadcasterPeer
from p2pool.dashd.pool import DaemonFigures


@dataclass(frozen=True, slots=True)
class DashCoreFigures:
    """Dash Core as pages show it. `problem` says why there are no fresh templates, None while there are;
    `blocks_waiting` counts found blocks that are not settled yet."""

    problem: str | None
    warnings: Sequence[str] = ()
    daemons: Sequence[DaemonFigures] = ()
    broadcaster: Sequence[BroadcasterPeer] = ()
    blocks_waiting: int = 0
    spool_problem: str | None = None
    """Why the newest found block is not on disk; None while all is well."""
    broadcasting: Callable[[], BroadcasterTotals] = BroadcasterTotals
    links_up: int = 0
    """Daemons that found blocks can be sent to over their own protocol as well."""
