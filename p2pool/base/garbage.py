"""Keeps the garbage collector out of work that miners wait for."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Final

MAX_PAUSE: Final = 1.0
"""Seconds after which a pause ends by itself when it is checked: work that always starts over must not let garbage
grow without a bound."""


class CollectorPause:
    """A pause of the garbage collector. Nothing happens if something else has disabled the collector already."""

    __slots__ = ("_began", "_seconds")

    def __init__(self, seconds: Callable[[], float]) -> None:
        """`seconds` is a clock that never jumps."""
        self._seconds = seconds
        self._began: float | None = None

    def begin(self) -> None:
        """Disable the collector until `end`, or for MAX_PAUSE."""
        if self._began is None and gc.isenabled():
            gc.disable()
            self._began = self._seconds()

    def check(self) -> None:
        """End a pause that has lasted for too long; call it often while one may be on."""
        if self._began is not None and self._seconds() - self._began > MAX_PAUSE:
            self.end()

    def end(self) -> None:
        """Enable the collector again, if `begin` disabled it."""
        if self._began is not None:
            self._began = None
            gc.enable()
