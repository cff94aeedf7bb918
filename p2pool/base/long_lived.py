"""Keeps full garbage collections short: what has survived a long one is exempt from the next ones.

A full collection visits every object that `acyclic` does not exempt. For ten thousand connections that takes
140 ms, in which no miner is served. Nearly all objects are freed with their last reference, exempt or not. Only
those in a cycle that is given up meanwhile are not: they are freed when the exemption ends, which is when they may
have become many.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Final

LONG: Final = 0.005
"""Seconds of a full collection after which its survivors are exempt."""
EXEMPT_FOR: Final = 86400.0
"""Seconds after which the next full collection may visit everything again: one long pause a day, at most."""
GROWTH: Final = 1.5
"""It does so if this many times as many objects are exempt as when the exemption began: never in a pool that
neither grows nor leaks. It also bounds garbage in cycles."""
_OLDEST: Final = 2
"""The generation of a full collection."""
_FULL_AFTER: Final = 3
"""Collections of the middle generation before a full one. With Python's 10, ten thousand logins at once lead to
full collections of 30 ms."""


class LongLived:
    """Exempts objects by `gc.freeze`. `clock` is a precise one that never jumps."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began: float | None = None
        self._exempt_since: float | None = None
        self._exempt_then = 0
        """How many objects were exempt when the exemption began."""
        self._thresholds = gc.get_threshold()

    def start(self) -> None:
        """Watch garbage collections from now on."""
        youngest, middle, _ = self._thresholds = gc.get_threshold()
        gc.set_threshold(youngest, middle, _FULL_AFTER)
        gc.callbacks.append(self._ran)

    def exempt(self) -> None:
        """Collect garbage once more, and exempt all objects that are left."""
        gc.collect()
        self._freeze()

    def _freeze(self) -> None:
        gc.freeze()
        if self._exempt_since is None:
            self._exempt_since = self._clock()
            self._exempt_then = gc.get_freeze_count()

    def _ran(self, phase: str, info: dict[str, int]) -> None:
        """Python calls this before and after each collection, in the thread that collects."""
        if info.get("generation") != _OLDEST:
            return
        now = self._clock()
        if phase == "start":
            self._began = now
            if self._exempt_since is not None and now - self._exempt_since >= EXEMPT_FOR:
                self._end_or_prolong(now)
        elif self._began is not None and now - self._began >= LONG:
            self._freeze()

    def _end_or_prolong(self, now: float) -> None:
        """Decide once a day: counting visits all exempt objects, though not what they refer to."""
        if gc.get_freeze_count() < GROWTH * self._exempt_then:
            self._exempt_since = now
        else:
            self._exempt_since = None
            gc.unfreeze()

    def stop(self) -> None:
        """Watch no longer. What is exempt remains so."""
        if self._ran in gc.callbacks:
            gc.callbacks.remove(self._ran)
            gc.set_threshold(*self._thresholds)
