"""Which workers submit faster than any miner should: counted over ten seconds, for pages. Pure."""

from __future__ import annotations

import heapq
from typing import Final

from p2pool.pool_stats import PoolSnapshot

PERIOD: Final = 10.0
"""Seconds over which submissions are counted."""
SUSPICIOUS_PACE: Final = 10.0
"""Submissions a second of one worker: vardiff aims at one in some seconds."""
SHOWN_WORKERS: Final = 20


class SubmissionPace:
    """Counts of all workers at the start of the period. Bound: the workers of one snapshot."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._since: float | None = None
        self._fast: list[tuple[str, float]] = []

    def fast_workers(self, snapshot: PoolSnapshot) -> list[tuple[str, float]]:
        """Return (name, submissions a second) of those above SUSPICIOUS_PACE in the last full period, the fastest
        first, at most SHOWN_WORKERS."""
        elapsed = PERIOD if self._since is None else snapshot.time - self._since
        if 0 <= elapsed < PERIOD:
            return self._fast
        counts = {worker.name: worker.accepted + worker.refused for worker in snapshot.workers}
        before, self._counts = self._counts, counts
        fast = []
        if self._since is not None and elapsed > 0:
            most = elapsed * SUSPICIOUS_PACE
            fast = [
                (name, (count - before.get(name, 0)) / elapsed)
                for name, count in counts.items()
                if count - before.get(name, 0) > most
            ]
        self._fast = heapq.nlargest(SHOWN_WORKERS, fast, key=lambda each: each[1])
        self._since = snapshot.time
        return self._fast
