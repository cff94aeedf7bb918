"""Stops the parts of a program one by one, whatever one of them does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

STOP_TIME: Final = 3.0
"""Seconds that each part has to stop."""
_log = Logger(namespace="p2pool")


async def stop_part(reactor: IReactorTime, stop: Callable[[], Any], limit: float = STOP_TIME) -> None:
    """Stop one part; one that fails or hangs must not prevent the others, above all the shares, from being
    stopped."""
    try:
        result = stop()
        if result is not None:
            await ensureDeferred(result).addTimeout(limit, reactor)
    except DeferredTimeoutError:
        _log.warn("{part} takes longer than {time:g} s: not waiting for it", part=stop.__qualname__, time=limit)
    except Exception:
        _log.failure("internal error while stopping")
