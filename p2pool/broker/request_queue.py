"""Requests that wait for the broker: urgent ones are next, the others in their order."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

_URGENT, _USUAL = 0, 1


@dataclass(order=True, frozen=True, slots=True)
class _Waiting:
    """A request in the order of its first two fields."""

    priority: int
    number: int
    run: Callable[[], None] | None = field(compare=False)


class RequestQueue:
    """A queue between threads, of at most `limit` requests and the urgent ones, which are never refused."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: queue.PriorityQueue[_Waiting] = queue.PriorityQueue()
        """Bound: `limit`, and urgent ones."""
        self._numbers = count()

    def put_nowait(self, run: Callable[[], None] | None, *, urgent: bool = False) -> None:
        """Add a request, or None, which ends those who read. Raises queue.Full."""
        if not urgent and self._waiting.qsize() >= self._limit:
            raise queue.Full
        self._waiting.put(_Waiting(_URGENT if urgent else _USUAL, next(self._numbers), run))

    def get(self) -> Callable[[], None] | None:
        """Return the next request; wait for one."""
        return self._waiting.get().run
