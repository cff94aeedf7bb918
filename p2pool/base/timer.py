"""Periodic tasks: a function that is called again and again, whatever it raises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

_log = Logger(namespace="p2pool")


class Timer:
    """Calls `function` every `seconds`, the next time not before an awaitable that it returned is done.

    An exception is logged with the `name` of the task and does not end it. The first call is made at once, or with
    `now=False` after `seconds`.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        seconds: float,
        function: Callable[[], Awaitable[None] | None],
        *,
        name: str,
        now: bool = True,
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._function = function
        self._loop = LoopingCall(self._run)
        self._loop.clock = reactor
        self._loop.start(seconds, now)

    async def _run(self) -> None:
        try:
            result = self._function()
            if result is not None:
                await result
        except Exception:
            _log.failure(
                'periodic task "{name}" failed; retrying in {seconds:g} s', name=self._name, seconds=self._seconds
            )

    def stop(self) -> None:
        """End the periodic calls; one under way is not interrupted."""
        if self._loop.running:
            self._loop.stop()
