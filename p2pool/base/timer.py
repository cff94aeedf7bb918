"""Periodic tasks: a function that is called again and again, whatever it raises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger(namespace="p2pool")


class Timer:
    """Calls `function` every `seconds`, the next time not before an awaitable that it returned is done.

    An exception is logged with the `name` of the task and does not end it. The first call is made at once, or with
    `now=False` after `seconds`; the calls keep to that rhythm, and those that come too late are left out. (A
    LoopingCall would do; it costs ten times as much, and a node has a dozen timers.)
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
        self._reactor = reactor
        self._seconds = seconds
        self._function = function
        self._next = reactor.seconds()
        """When the next call is due."""
        self._stopped = False
        self._call: IDelayedCall | None = None
        if now:
            self._run()
        else:
            self._schedule()

    def _schedule(self) -> None:
        if self._stopped:
            return
        now = self._reactor.seconds()
        self._next += self._seconds
        if self._next <= now:
            self._next += self._seconds * ((now - self._next) // self._seconds + 1)
        self._call = self._reactor.callLater(self._next - now, self._run)

    def _run(self) -> None:
        self._call = None
        try:
            result = self._function()
        except Exception:
            self._failed(Failure())
            result = None
        if result is None:
            self._schedule()
            return
        done: Deferred[None] = ensureDeferred(result)  # type: ignore[arg-type]  # a coroutine or a Deferred
        done.addErrback(self._failed)
        done.addCallback(lambda _: self._schedule())

    def _failed(self, failure: Failure) -> None:
        _log.failure(
            'periodic task "{name}" failed; retrying in {seconds:g} s',
            failure,
            name=self._name,
            seconds=self._seconds,
        )

    def stop(self) -> None:
        """End the periodic calls; one under way is not interrupted."""
        self._stopped = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
