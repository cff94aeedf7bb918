"""Which events people are notified of, and when: grouped, so that a farm that loses power is one message; held
during quiet hours; never more of a kind than a person can read. Pure.

An event waits for others of its kind (`Rules.group` seconds, urgent ones a few), and so becomes one message with
them. Nothing is lost by waiting: messages count their events and name the first ten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from p2pool.base.text import printable
from p2pool.pool_stats import EventKind, EventRecord

NAMED: Final = 10
"""Events of a group that a message names; the others are counted."""
MAX_MESSAGES: Final = 6
"""Messages of one kind within RATE_WINDOW seconds; events in the meantime wait for the next one."""
RATE_WINDOW: Final = 3600.0
GROUP_TIME: Final = 60.0
"""Seconds within which events of one kind are one message, if the operator names no other time."""
MAX_TEXT: Final = 500
_MAX_TIME: Final = 2.0**33
"""The year 2242."""

WAITS: Final[Mapping[EventKind, float]] = {
    EventKind.NODE_UP: 0.0,
    EventKind.NODE_DOWN: 0.0,
    EventKind.BLOCK_FOUND: 1.0,
    EventKind.DASHD_LOST: 1.0,
    EventKind.STORAGE_PROBLEM: 3.0,
    EventKind.HASH_RATE_DROP: 1.0,
    EventKind.OWN_VOTES_REFUSED: 1.0,
    EventKind.HANDSHAKES_CLOSED: 1.0,
    EventKind.CHAIN_SPLIT: 1.0,
}
"""Seconds that the first event of these kinds waits for others; all other kinds wait for `group`."""
DEFAULT_EVENTS: Final = frozenset(EventKind) - {EventKind.WORKER_UP, EventKind.BLOCK_CONFIRMED, EventKind.BAN}
"""The events that people are notified of by default."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Parts of a day in minutes since midnight, each from its first minute to before its last; one whose end is
    not after its beginning goes on past midnight."""

    spans: tuple[tuple[int, int], ...] = ()

    def holds(self, minute: int) -> bool:
        """Return whether a minute of the day is quiet."""
        return any(
            begin <= minute < end if begin < end else minute >= begin or minute < end for begin, end in self.spans
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """What people are notified of: `events`, grouped over `group` seconds; during the `quiet` hours only
    `quiet_except`."""

    events: frozenset[EventKind] = DEFAULT_EVENTS
    group: float = GROUP_TIME
    quiet: QuietHours = QuietHours()
    quiet_except: frozenset[EventKind] = frozenset()

    def wait(self, kind: EventKind) -> float:
        """Return the seconds that the first event of a kind waits for others."""
        return min(WAITS.get(kind, self.group), self.group)


@dataclass(frozen=True, slots=True)
class EventGroup:
    """Events of one kind that become one message: the first NAMED of them, and how many there are. Times in Unix
    seconds; `opened` is when the first one was offered to the grouper."""

    kind: EventKind
    opened: float
    first: float
    last: float
    count: int
    events: tuple[EventRecord, ...]

    def with_event(self, event: EventRecord) -> EventGroup:
        """Return the group with one more event."""
        events = self.events if len(self.events) >= NAMED else (*self.events, event)
        return replace(self, last=max(self.last, event.time), count=self.count + 1, events=events)

    def with_group(self, other: EventGroup) -> EventGroup:
        """Return both groups as one; this one is the older."""
        return replace(
            self,
            last=max(self.last, other.last),
            count=self.count + other.count,
            events=(*self.events, *other.events)[:NAMED],
        )


@dataclass(frozen=True, slots=True)
class Notice:
    """What becomes one message: a group, or, after quiet hours, all groups that were held."""

    groups: tuple[EventGroup, ...]
    held: bool = False


@dataclass
class Grouper:
    """Groups events into notices. `minute_of_day` returns the minute of the local day of a time in Unix
    seconds. Bounds: a group of NAMED events for each kind, once waiting and once held."""

    rules: Rules
    minute_of_day: Callable[[float], int]
    _waiting: dict[EventKind, EventGroup] = field(default_factory=dict)
    _held: dict[EventKind, EventGroup] = field(default_factory=dict)
    _sent: dict[EventKind, deque[float]] = field(default_factory=dict)
    """When messages of a kind were sent, the newest MAX_MESSAGES."""

    def offer(self, event: EventRecord, now: float) -> bool:
        """Take an event; return whether people are notified of its kind."""
        if event.kind not in self.rules.events:
            return False
        event = _cut(event)
        group = self._waiting.get(event.kind)
        if group is None:
            self._waiting[event.kind] = EventGroup(event.kind, now, event.time, event.time, 1, (event,))
        else:
            self._waiting[event.kind] = group.with_event(event)
        return True

    def due(self, now: float, leaving: bool = False) -> list[Notice]:
        """Return the notices to send now. `leaving`: the node is stopping, and no event waits for more of its
        kind."""
        quiet = self.is_quiet(now)
        notices = []
        for kind, group in list(self._waiting.items()):
            if self._waits(group, now, leaving):
                continue
            del self._waiting[kind]
            if quiet and kind not in self.rules.quiet_except:
                held = self._held.get(kind)
                self._held[kind] = group if held is None else held.with_group(group)
            else:
                self._sent.setdefault(kind, deque(maxlen=MAX_MESSAGES)).append(now)
                notices.append(Notice((group,)))
        if self._held and not quiet:
            groups = tuple(sorted(self._held.values(), key=lambda group: group.first))
            self._held.clear()
            notices.append(Notice(groups, held=True))
        return notices

    def _waits(self, group: EventGroup, now: float, leaving: bool) -> bool:
        if now < group.opened:
            return False  # the clock was set back
        sent = [at for at in self._sent.get(group.kind, ()) if at <= now]
        at = 0.0
        if not leaving:
            at = group.opened + self.rules.wait(group.kind)
            if sent:
                at = max(at, sent[-1] + self.rules.group)
        if (
            len(sent) == MAX_MESSAGES
        ):  # also at the end: a node that restarts again and again must not send one each time
            at = max(at, sent[0] + RATE_WINDOW)
        return now < at

    def is_quiet(self, now: float) -> bool:
        """Return whether quiet hours are in effect."""
        return bool(self.rules.quiet.spans) and self.rules.quiet.holds(self.minute_of_day(now))

    @property
    def held(self) -> int:
        """Return how many events are held until the quiet hours end."""
        return sum(group.count for group in self._held.values())

    # --- over a restart ----------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Return the waiting and held groups, and when messages were sent, so that a node that crashes again
        and again does not send one each time."""
        return {
            "waiting": [_plain(group) for group in self._waiting.values()],
            "held": [_plain(group) for group in self._held.values()],
            "sent": {kind.value: list(times) for kind, times in self._sent.items()},
        }

    def restore(self, document: object, now: float) -> None:
        """Load what an earlier run left; malformed parts are ignored."""
        match document:
            case {"waiting": list() as waiting, "held": list() as held}:
                for kept, rows in ((self._waiting, waiting), (self._held, held)):
                    for group in _groups(rows):
                        group = replace(group, opened=min(group.opened, now))
                        newer = kept.get(group.kind)
                        kept[group.kind] = group if newer is None else group.with_group(newer)
        match document:
            case {"sent": dict() as sent}:
                for kind in EventKind:
                    times = [at for at in _numbers(sent.get(kind.value)) if 0 <= at <= now]
                    if times:
                        self._sent[kind] = deque(sorted(times), maxlen=MAX_MESSAGES)


def _cut(event: EventRecord) -> EventRecord:
    """Return the event with texts of bounded length and without details, which messages for people do not show."""
    return EventRecord(
        event.time, event.kind, printable(event.subject, MAX_TEXT), printable(event.text, MAX_TEXT), {}
    )


def _plain(group: EventGroup) -> dict[str, Any]:
    return {
        "kind": group.kind.value,
        "opened": group.opened,
        "first": group.first,
        "last": group.last,
        "count": group.count,
        "events": [[event.time, event.subject, event.text] for event in group.events],
    }


def _groups(rows: Iterable[object]) -> Iterable[EventGroup]:
    kinds = {kind.value: kind for kind in EventKind}
    for row in rows:
        match row:
            case {
                "kind": str(kind),
                "opened": int() | float() as opened,
                "first": int() | float() as first,
                "last": int() | float() as last,
                "count": int(count),
                "events": list(events),
            } if kind in kinds and 0 < len(events) <= NAMED and _are_times(opened, first, last):
                records = []
                for event in events:
                    match event:
                        case [int() | float() as time, str(subject), str(text)] if _are_times(time):
                            records.append(_cut(EventRecord(float(time), kinds[kind], subject, text)))
                if len(records) == len(events) <= count:
                    yield EventGroup(kinds[kind], float(opened), float(first), float(last), count, tuple(records))


def _numbers(value: object) -> list[float]:
    return [float(each) for each in value if isinstance(each, int | float)] if isinstance(value, list) else []


def _are_times(*times: float) -> bool:
    """Return whether these are plausible Unix seconds."""
    return all(0 <= time < _MAX_TIME for time in times)
