"""Lets the reactor serve others while a coroutine has much to do."""

from __future__ import annotations

from typing import Final

from twisted.internet.task import deferLater

from p2pool.base.environment import Environment

SLICE_TIME: Final = 0.010
"""Seconds of the reactor that a coroutine takes at a time. The last step may take longer."""


class TimeSlice:
    """The time that a coroutine has in this turn of the reactor, from its creation on."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._end = environment.monotonic() + SLICE_TIME

    async def pause_if_over(self) -> None:
        """Wait for a later turn of the reactor if the time is used up."""
        if self._environment.monotonic() >= self._end:
            await deferLater(self._environment.reactor, 0.0, lambda: None)
            self._end = self._environment.monotonic() + SLICE_TIME
