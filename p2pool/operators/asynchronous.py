"""Runs a coroutine of the node's own code, such as a call of dashd's RPC, in a command that otherwise blocks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from p2pool.base.environment import Environment, IReactor, real_environment

T = TypeVar("T")


def run_async(make: Callable[[Environment], Coroutine[Any, Any, T]]) -> T:
    """Return the result of a coroutine, which gets the real world's environment. Once in a process: a reactor does
    not run twice. Raises what the coroutine raises, and KeyboardInterrupt if it is interrupted."""
    from twisted.internet import reactor as global_reactor

    reactor = cast(IReactor, global_reactor)
    results: list[T | Failure] = []

    def start() -> None:
        Deferred.fromCoroutine(make(real_environment(reactor))).addBoth(end)

    def end(result: T | Failure) -> None:
        results.append(result)
        reactor.stop()

    reactor.callWhenRunning(start)
    reactor.run()
    if not results:
        raise KeyboardInterrupt
    (result,) = results
    if isinstance(result, Failure):
        result.raiseException()
    return result
