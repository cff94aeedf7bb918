"""Requests that wait for the broker: the most urgent ones are next, those of one urgency in their order."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count


class Urgency(IntEnum):
    """How soon the broker is asked. A slow broker has hundreds of usual requests in front of each other."""

    USUAL = 0
    SHARE = 1
    BLOCK = 2


@dataclass(order=True, frozen=True, slots=True)
class _Waiting:
    """A request in the order of its first two fields."""

    rank: int
    number: int
    run: Callable[[], None] | None = field(compare=False)


class RequestQueue:
    """A queue between threads. Usual requests are refused beyond `limit`, shares beyond twice as many, blocks
    never."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: queue.PriorityQueue[_Waiting] = queue.PriorityQueue()
        """Bound: twice `limit`, and the blocks."""
        self._numbers = count()

    def put_nowait(self, run: Callable[[], None] | None, *, urgent: Urgency = Urgency.USUAL) -> None:
        """Add a request, or None, which ends those who read. Raises queue.Full."""
        if urgent is not Urgency.BLOCK and self._waiting.qsize() >= (1 + urgent) * self._limit:
            raise queue.Full
        self._waiting.put(_Waiting(-urgent, next(self._numbers), run))

    def get(self) -> Callable[[], None] | None:
        """Return the next request; wait for one."""
        return self._waiting.get().run
