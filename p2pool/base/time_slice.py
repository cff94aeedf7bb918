"""Lets the reactor serve others while a coroutine or an iterator has much to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.task import Cooperator, deferLater

from p2pool.base.environment import Environment

SLICE_TIME: Final = 0.010
"""Seconds of the reactor that such work takes at a time. The last step may take longer."""


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


def cooperator(environment: Environment) -> Cooperator:
    """Return what runs iterators in slices of SLICE_TIME. (Twisted's own one belongs to the global reactor, and
    measures slices by the system's clock, which may be set back.)"""

    def slice_over() -> Callable[[], bool]:
        end = environment.monotonic() + SLICE_TIME
        return lambda: environment.monotonic() >= end

    return Cooperator(terminationPredicateFactory=slice_over, scheduler=environment.call_soon)
