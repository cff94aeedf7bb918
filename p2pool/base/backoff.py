"""How long to wait before the next attempt at something that failed."""

from __future__ import annotations

import random
from collections.abc import Callable

from twisted.application.internet import backoffPolicy


class Backoff:
    """The waits between attempts at one thing: the first takes `first` seconds, each one twice as long as the one
    before it, and none longer than `longest`."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._wait = first

    def next_wait(self, longest: float | None = None) -> float:
        """Return the seconds to wait now. The wait after this one takes at most `longest`, if that is given."""
        wait = self._wait
        self._wait = min(wait * 2, self._longest if longest is None else longest)
        return wait

    def skip_to_longest(self) -> None:
        """Let the next wait be the longest one."""
        self._wait = self._longest

    def reset(self) -> None:
        """Begin again with the first wait, after a success."""
        self._wait = self._first


def reconnect_policy(
    chance: random.Random, *, first: float = 1.0, longest: float = 60.0
) -> Callable[[int], float]:
    """Return the `retryPolicy` of a Twisted ClientService. Waits grow by half with each failure, up to `longest`
    seconds. A random part of a second is added, lest everybody reconnects at the same moment."""
    return backoffPolicy(initialDelay=first, maxDelay=longest, jitter=chance.random)
