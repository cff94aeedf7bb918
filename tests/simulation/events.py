"""The time of a simulated world: events one after another, on a clock that jumps from one to the next."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Protocol

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

_DONE, _CANCELLED = 0, -1
PENDING = 2**62
"""The sequence of a call that is due while its process is frozen."""


class Owner(Protocol):
    """Whose event it is: events of a process that has ended do not happen."""

    alive: bool
    frozen: bool
    waiting: list[SimulatedCall]


@implementer(IDelayedCall)
class SimulatedCall:
    """A call at a time. What `reactor.callLater` returns."""

    __slots__ = ("_events", "arguments", "function", "named", "owner", "sequence", "time")

    def __init__(
        self,
        events: EventQueue,
        owner: Owner,
        time: float,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> None:
        self._events = events
        self.owner = owner
        self.time = time
        self.function = function
        self.arguments = arguments
        self.named = named
        self.sequence = 0
        """Which entry of the queue is this call's; _DONE or _CANCELLED if none is."""

    def cancel(self) -> None:
        """Prevent the call. Raises AlreadyCalled, AlreadyCancelled."""
        self._check()
        self.sequence = _CANCELLED
        self.function = _nothing
        self.arguments, self.named = (), {}

    def delay(self, seconds: float) -> None:
        """Postpone the call further."""
        self._check()
        self._events.move(self, self.time + seconds)

    def reset(self, seconds: float) -> None:
        """Postpone the call to so many seconds from now."""
        self._check()
        self._events.move(self, self._events.now + seconds)

    def _check(self) -> None:
        if self.sequence == _CANCELLED:
            raise AlreadyCancelled
        if self.sequence == _DONE:
            raise AlreadyCalled

    def active(self) -> bool:
        """Return whether it is still to come."""
        return self.sequence > 0

    def getTime(self) -> float:
        """Return when it is to come, in the world's seconds."""
        return self.time


def _nothing() -> None:
    pass


class World:
    """The owner of what happens to no process: the network, faults, the passage of time."""

    alive = True
    frozen = False
    waiting: list[SimulatedCall] = []  # never used: it is never frozen


WORLD = World()


class EventQueue:
    """All that is going to happen, and `now`, in seconds since the world began."""

    def __init__(self, seed: str) -> None:
        self.now = 0.0
        self.count = 0
        """Events that happened."""
        self.owner: Any = None
        """Whose event is happening."""
        self.failed: Callable[[], None] = _raise
        """Called inside an `except` clause for an exception that an event's function did not catch."""
        self._seed = seed
        self._heap: list[tuple[float, int, SimulatedCall]] = []
        self._soon: deque[tuple[float, int, SimulatedCall]] = deque()
        """Entries that were due at once when they were made, so in the order of their times: half of all."""
        self._later: dict[int, list[tuple[float, int, SimulatedCall]]] = {}
        """By second: entries of seconds that have not begun. So the heap stays small."""
        self._second = 0
        """The last one whose entries are in the heap."""
        self._sequence = 0
        self._at_end: list[Callable[[], None]] = []
        self.watchers: list[Callable[[], None]] = []
        """Called after each event, for what must come between two of them."""

    def chance(self, name: str) -> random.Random:
        """Return random numbers of their own for each name, the same for the same seed."""
        return random.Random(f"{self._seed}/{name}")

    def at(
        self,
        time: float,
        owner: Owner,
        function: Callable[..., Any],
        /,
        *arguments: Any,
        **named: Any,
    ) -> SimulatedCall:
        """Let a function be called at a time that is not over."""
        call = SimulatedCall(self, owner, time, function, arguments, named)
        self._sequence = call.sequence = sequence = self._sequence + 1
        if time == self.now:
            self._soon.append((time, sequence, call))
        else:
            self._add((time, sequence, call))
        return call

    def _add(self, entry: tuple[float, int, SimulatedCall]) -> None:
        second = int(entry[0])
        if second <= self._second:
            heappush(self._heap, entry)
        else:
            self._later.setdefault(second, []).append(entry)

    def _begin_second(self, until: float) -> bool:
        """Put the entries of the next second that has any into the heap; return False if there is none up to
        `until`."""
        while self._later and self._second < until:
            self._second += 1
            entries = self._later.pop(self._second, None)
            if entries is not None:
                heapify(entries)
                self._heap = entries
                return True
        return False

    def move(self, call: SimulatedCall, time: float) -> None:
        """Let a call come at another time. Its former entry is skipped."""
        call.time = time
        self._sequence = call.sequence = sequence = self._sequence + 1
        self._add((time, sequence, call))

    def at_end_of_event(self, function: Callable[[], None]) -> None:
        """Call a function when the event under way is over, still at its time."""
        self._at_end.append(function)

    def run(self, until: float) -> None:
        """Let everything happen up to a time, which is then now."""
        heap, soon, at_end, watchers = self._heap, self._soon, self._at_end, self.watchers
        while True:
            if soon and soon[0][0] <= until and not (heap and heap[0] < soon[0]):
                time, sequence, call = soon.popleft()
            elif heap:
                if heap[0][0] > until:
                    break
                time, sequence, call = heappop(heap)
            elif self._begin_second(until):
                heap = self._heap
                continue
            else:
                break
            if call.sequence != sequence or not call.owner.alive:
                continue
            self.now = time
            if call.owner.frozen:
                call.sequence = PENDING
                call.owner.waiting.append(call)
                continue
            self.count += 1
            self.owner = call.owner
            call.sequence = _DONE
            try:
                if call.named:
                    call.function(*call.arguments, **call.named)
                else:
                    call.function(*call.arguments)
            except Exception:
                self.failed()
            while at_end:
                pending, at_end[:] = list(at_end), []
                for function in pending:
                    function()
            if watchers:
                for watcher in list(watchers):
                    watcher()
        self.owner = None
        self.now = max(self.now, until)


def _raise() -> None:
    raise  # noqa: PLE0704  # called where an exception is handled
