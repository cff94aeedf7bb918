"""Stops the parts of a program, whatever one of them does, and ends the process if that takes too long."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import DeferredList, ensureDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from p2pool.base.signals import describe_threads

STOP_TIME: Final = 3.0
"""Seconds that each part has to stop."""
END_TIME: Final = 9.6
"""Seconds after the signal at which the process ends, whatever still hangs: docs/operators.md promises ten."""
LOG_TIME: Final = 0.3
"""Seconds that the log has to take the reason: the disk may be what hangs."""
LEAST_TIME: Final = 0.1
"""Seconds that a part has even if others took its time."""
_log = Logger(namespace="p2pool")


async def stop_part(reactor: IReactorTime, stop: Callable[[], Any], limit: float = STOP_TIME) -> None:
    """Stop one part; one that fails or hangs must not prevent the others, above all the shares, from being
    stopped."""
    try:
        result = stop()
        if result is not None:
            await ensureDeferred(result).addTimeout(limit, reactor)
    except DeferredTimeoutError:
        _log.warn("{part} takes longer than {time:.3g} s: not waiting for it", part=stop.__qualname__, time=limit)
    except Exception:
        _log.failure("internal error while stopping")


class StopTimes:
    """The time of one stop. If it is `bounded`, as after a signal, a part has until `by` seconds after the
    beginning, and the parts before it cannot take more. Else each has its own limit, as while another process
    waits to take over."""

    def __init__(self, reactor: IReactorTime, *, bounded: bool) -> None:
        self._reactor = reactor
        self._began = reactor.seconds() if bounded else None

    def limit(self, limit: float, by: float) -> float:
        """Return the seconds that a part has from now on."""
        if self._began is None:
            return limit
        return max(LEAST_TIME, min(limit, self._began + by - self._reactor.seconds()))

    async def part(self, stop: Callable[[], Any], limit: float = STOP_TIME, *, by: float) -> None:
        """Stop one part, as `stop_part` does."""
        await stop_part(self._reactor, stop, self.limit(limit, by))

    async def together(self, *stops: Callable[[], Any], by: float) -> None:
        """Stop several parts, begun in this order, at the same time: one that hangs takes nobody's time."""
        await DeferredList([ensureDeferred(self.part(stop, by=by)) for stop in stops])


class ForcedEnd:
    """Ends the process some time after it was asked to stop, even if its reactor, its threads or its disk hang.
    What must not be lost (found blocks, solutions of gateways) is on disk by then."""

    def __init__(self, after: float = END_TIME, end: Callable[[int], object] = os._exit) -> None:
        self._after = after
        self._end = end
        self._begun = False

    def begin(self) -> None:
        """Count from now on. May be called in any thread; later calls do nothing."""
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._wait, name="forced end", daemon=True).start()

    def _wait(self) -> None:
        threading.Event().wait(self._after)
        logging = threading.Thread(target=self._log, name="last words", daemon=True)
        logging.start()
        logging.join(LOG_TIME)
        self._end(1)

    def _log(self) -> None:
        _log.error(
            "not stopped within {time:g} s: ending now, with what is on disk; stack of each thread follows",
            time=self._after,
            details=describe_threads(),
        )
