"""The difficulties at which workers lately submitted work.

A worker that is known to be fast needs no search for a lower difficulty on its second and later connections.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from p2pool.base.fair import FairDict
from p2pool.stratum.vardiff import Vardiff

MAX_WORKERS: Final = 10_000
"""Workers remembered. Beyond it the site with most of them loses the one recorded longest ago."""
MEMORY: Final = 86_400.0
"""Seconds for which a worker is remembered."""


class RecentDifficulties:
    """Worker name -> the last difficulty that it submitted work at, and when. Bound: MAX_WORKERS."""

    def __init__(self) -> None:
        self._known: FairDict[str, tuple[float, float], str] = FairDict(MAX_WORKERS)

    def __len__(self) -> int:
        return len(self._known)

    def record(self, names: Iterable[str], difficulty: float, *, site: str, now: float) -> None:
        """Remember the difficulty of workers that submit work; the workers of a site count together."""
        for name in names:
            self._known.put(name, (difficulty, now), site)

    def known(self) -> list[tuple[str, float, float, str]]:
        """Return (name, difficulty, time, site) of all that is remembered, the oldest first."""
        return [(name, *self._known[name], self._known.group_of(name)) for name in self._known]

    def apply(self, vardiff: Vardiff, name: str, now: float) -> None:
        """Keep a new connection's start difficulty if its worker lately worked at that difficulty or a higher
        one."""
        difficulty, when = self._known.get(name) or (0.0, 0.0)
        if difficulty >= vardiff.difficulty and 0 <= now - when < MEMORY:
            vardiff.stop_search()
