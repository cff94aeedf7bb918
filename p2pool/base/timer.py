"""Doing something again and again, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

_log = Logger(namespace="p2pool")


class Timer:
    """Calls `function` every `seconds`, the next time not before an awaitable that it gave is done.

    An exception is logged and does not end it.
    """

    def __init__(
        self, reactor: Any, seconds: float, function: Callable[[], Awaitable[None] | None], now: bool = True
    ) -> None:
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
            _log.failure("something done regularly failed; it is tried again")

    def stop(self) -> None:
        """No more calls."""
        if self._loop.running:
            self._loop.stop()
