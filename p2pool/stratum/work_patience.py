"""When miners are better off at their backup pools: after some time without fresh work."""

from __future__ import annotations

from enum import Enum
from typing import Final

WORK_PATIENCE: Final = 120.0
"""Seconds without fresh work after which miners are disconnected, so that they switch to their backup pools."""


class WorkState(Enum):
    """Whether there is fresh work for miners; WorkPatience has the drawing."""

    FRESH = "there is fresh work"
    OVERDUE = "there is no fresh work, but miners may stay"
    SUSPENDED = "there has been no fresh work for too long: miners are disconnected"


class WorkPatience:
    """Decides when miners are disconnected because there is no fresh work, and when they are accepted again.

    ::

        FRESH --no fresh work--> OVERDUE --for longer than WORK_PATIENCE--> SUSPENDED
          ^                         |                                          |
          +------ fresh work -------+------------- fresh work -----------------+
    """

    def __init__(self) -> None:
        self.state = WorkState.FRESH
        self._fresh_at: float | None = None
        """When there was fresh work last; None before the first check."""

    def check(self, problem: str | None, now: float, *, missing: float = 0.0) -> WorkState:
        """Return the state at `now`; `problem` is why there is no fresh work, None if there is. Call it every
        second or so. A clock that jumps is treated like time that passed. `missing` is for how many seconds there
        has been none at least: a process that just started may find work that is old already."""
        if problem is None or self._fresh_at is None:
            self._fresh_at = now
        if problem is None:
            self.state = WorkState.FRESH
        elif max(abs(now - self._fresh_at), missing) > WORK_PATIENCE:
            self.state = WorkState.SUSPENDED
        elif self.state is WorkState.FRESH:
            self.state = WorkState.OVERDUE
        return self.state
