"""A daemon's own idea of the time, which tests can make wrong."""

from __future__ import annotations

from collections.abc import Callable


class ShiftedClock:
    """A daemon's own idea of the time: that of the machine, and `offset` seconds more."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self.offset = 0.0

    def now(self) -> float:
        """Return Unix time in seconds."""
        return self._seconds() + self.offset
