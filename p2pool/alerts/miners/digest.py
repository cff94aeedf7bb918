"""Collects the events of one subscription into messages: few enough for a person, and none lost. Pure.

The first event waits a little for others. Once the messages of an hour are used up, further events wait for the
next one, which names the first of them and counts the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from p2pool.alerts.miners.subscriptions import MinerEventKind

GATHER: Final = 15.0
"""Seconds that an event waits for others: a farm that loses power is one message."""
MAX_MESSAGES: Final = 4
"""Messages in an hour."""
NAMED: Final = 10
"""Events that a message names."""
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class MinerEvent:
    """Something that happened to the workers or the payouts of an address. `text` is one sentence for people
    without a full stop, `details` are JSON values for programs."""

    time: float
    kind: MinerEventKind
    address: str
    text: str
    details: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class EventList:
    """The events of one message: the first NAMED of them, and how many there are."""

    events: tuple[MinerEvent, ...]
    count: int


class Digest:
    """The events of one subscription that are not sent yet. Bound: NAMED, the others are counted."""

    __slots__ = ("_count", "_events", "_since", "_times")

    def __init__(self) -> None:
        self._events: list[MinerEvent] = []
        self._count = 0
        self._since = 0.0
        self._times: deque[float] = deque(maxlen=MAX_MESSAGES)
        """When messages were sent."""

    def offer(self, event: MinerEvent, now: float) -> None:
        """Take an event for the next message."""
        if not self._count:
            self._since = now
        if len(self._events) < NAMED:
            self._events.append(event)
        self._count += 1

    def due(self, now: float, *, leaving: bool = False) -> EventList | None:
        """Return the events to send now; None if there are none. `leaving`: the node is stopping, and what is not
        sent is lost."""
        if not self._count or not (leaving or self._may_send(now)):
            return None
        found = EventList(tuple(self._events), self._count)
        self._events, self._count = [], 0
        self._times.append(now)
        return found

    def _may_send(self, now: float) -> bool:
        if 0 <= now - self._since < GATHER:
            return False
        return len(self._times) < MAX_MESSAGES or not 0 <= now - self._times[0] < HOUR

    @property
    def is_idle(self) -> bool:
        """Return whether nothing waits."""
        return not self._count
