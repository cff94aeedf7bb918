"""Keeps full garbage collections short: what has survived a long one is exempt from the next ones for a day.

A full collection visits every object that `acyclic` does not exempt. For ten thousand connections that takes
140 ms, in which no miner is served. Nearly all objects are freed with their last reference, exempt or not. Only
those in a cycle that is given up meanwhile are not: they are freed when the exemption ends.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Final

LONG: Final = 0.005
"""Seconds of a full collection after which its survivors are exempt."""
EXEMPT_FOR: Final = 86400.0
"""Seconds after which the next full collection visits everything again: one long pause a day, at most."""
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

    def _ran(self, phase: str, info: dict[str, int]) -> None:
        """Python calls this before and after each collection, in the thread that collects."""
        if info.get("generation") != _OLDEST:
            return
        now = self._clock()
        if phase == "start":
            self._began = now
            if self._exempt_since is not None and now - self._exempt_since >= EXEMPT_FOR:
                self._exempt_since = None
                gc.unfreeze()
        elif self._began is not None and now - self._began >= LONG:
            self._freeze()

    def stop(self) -> None:
        """Watch no longer. What is exempt remains so."""
        if self._ran in gc.callbacks:
            gc.callbacks.remove(self._ran)
            gc.set_threshold(*self._thresholds)
