"""Blocking calls that nobody has to wait for when the program ends: name and router look-ups.

The reactor's own threads are waited for when the program ends; one that hangs in a look-up would hold it up for
many seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

T = TypeVar("T")


def run_in_daemon_thread(reactor: IReactorFromThreads, function: Callable[[], T]) -> Deferred[T]:
    """Run `function` in a thread that ends with the program, and return a Deferred of its result."""
    result: Deferred[T] = Deferred()

    def run() -> None:
        try:
            value: T | Failure = function()
        except BaseException:
            value = Failure()
        reactor.callFromThread(result.callback, value)

    threading.Thread(target=run, daemon=True).start()
    return result
