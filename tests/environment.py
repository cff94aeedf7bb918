"""The environment of services under test: a clock that stands still until it is advanced, and no threads."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock

from p2pool.base.environment import Environment


class ThreadlessClock(Clock):
    """A clock for services that threads call back: they are on the reactor thread already."""

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function at once."""
        function(*arguments)


class PostponingReactor(Clock):
    """A clock that hands calls for the next turn of the reactor to a function of the test."""

    def __init__(self, call_soon: Callable[[Callable[..., Any]], Any]) -> None:
        super().__init__()
        self._call_soon = call_soon

    def callLater(self, delay: float, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:  # type: ignore[override]
        """Postpone a call: by some time, or until the test does what is due."""
        if delay:
            return super().callLater(delay, function, *arguments, **named)
        return self._call_soon(function)


def make_environment(reactor: Any = None, **changes: Any) -> Environment:
    """Return an environment around a reactor, by default a new `Clock`, whose seconds are all its times.

    Work for threads is done at once, and random numbers are the same each time.
    """
    reactor = Clock() if reactor is None else reactor
    parts: dict[str, Any] = {
        "reactor": reactor,
        "clock": reactor.seconds,
        "monotonic": reactor.seconds,
        "run_in_thread": maybeDeferred,
        "run_in_daemon_thread": maybeDeferred,
        "chance": random.Random(1),
    }
    return Environment(**{**parts, **changes})
