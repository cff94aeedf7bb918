"""The outbox: which entry of a destination is tried next and when, until it is delivered or too old. Pure; changes
are collected for the file that keeps them (`outbox_file`).

Two waits grow with each failure: that of the entry, so that an entry that its server cannot take does not delay
the others, and that of the destination, so that a server that is down is not asked a thousand times.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from p2pool.alerts.channel import DeliveryOutcome, DeliveryResult, OutboxEntry

MAX_WAITING: Final = 1000
"""Entries of one destination of the operator; beyond it the oldest are dropped."""
FIRST_WAIT: Final = 5.0
MAX_WAIT: Final = 3600.0
"""Seconds between two attempts for one entry: FIRST_WAIT, doubled each time, up to this."""
MAX_REST: Final = 300.0
"""Seconds for which a destination rests at most after a failure."""
MAX_UNWRITTEN: Final = 100_000
"""Changes that are kept while the disk takes nothing: more than all entries that may wait."""
MAX_AGE: Final = 86400.0
"""Seconds after which an entry is given up."""
JITTER: Final = 0.25
"""Each wait is longer or shorter by up to this part, so that nodes do not come back all at once."""


@dataclass
class Mailbox:
    """The entries of one destination. Times in Unix seconds, None for never."""

    waiting: dict[str, OutboxEntry] = field(default_factory=dict)
    """By id, the oldest first. Bound: MAX_WAITING."""
    busy: str | None = None
    """The id of the entry that is being tried."""
    failures: int = 0
    """Consecutive failed attempts."""
    rest_until: float = 0.0
    delivered: int = 0
    lost: int = 0
    last_success: float | None = None
    last_failure: float | None = None
    last_reason: str = ""


@dataclass(frozen=True, slots=True)
class LostEntry:
    """An entry that is given up, and why."""

    entry: OutboxEntry
    reason: str


class Outbox:
    """The mailboxes of all destinations. `rng` gives the jitter; `most` entries wait for each destination."""

    def __init__(self, destinations: Iterable[str], rng: random.Random, most: int = MAX_WAITING) -> None:
        self.mailboxes = {name: Mailbox() for name in destinations}
        self._rng = rng
        self._most = most
        self._changed: dict[str, OutboxEntry | None] = {}
        """Since the last `take_changes`: new and changed entries by id, None for removed ones. Bound: as
        many as wait, and MAX_UNWRITTEN that were taken out since the last write, which begins at once."""

    def open(self, destination: str) -> None:
        """Make a mailbox, unless there is one."""
        self.mailboxes.setdefault(destination, Mailbox())

    def close(self, destination: str) -> None:
        """Remove a mailbox with all that waits in it."""
        mailbox = self.mailboxes.pop(destination, Mailbox())
        self._changed.update(dict.fromkeys(mailbox.waiting))

    def put(self, entry: OutboxEntry) -> LostEntry | None:
        """Add an entry to be delivered; return the one that was dropped for it, if there are too many."""
        mailbox = self.mailboxes[entry.destination]
        dropped = None
        if len(mailbox.waiting) >= self._most:
            oldest = next(each for each in mailbox.waiting.values() if each.id != mailbox.busy)
            dropped = self._lose(mailbox, oldest, f"more than {self._most} are waiting")
        self._set(mailbox, entry)
        return dropped

    def restore(self, deliveries: Iterable[OutboxEntry], now: float) -> None:
        """Load the entries that an earlier run left, the oldest first. Those for a destination that was removed
        are dropped; a time too far in the future (the clock was set back) becomes now."""
        for entry in deliveries:
            mailbox = self.mailboxes.get(entry.destination)
            if mailbox is None or len(mailbox.waiting) >= self._most:
                self._changed[entry.id] = None
            else:
                mailbox.waiting[entry.id] = self._sane(entry, now)

    @staticmethod
    def _sane(entry: OutboxEntry, now: float) -> OutboxEntry:
        if entry.next_attempt <= now + MAX_WAIT * (1 + JITTER):
            return entry
        return replace(entry, created=min(entry.created, now), next_attempt=now)

    def next(self, destination: str, now: float) -> OutboxEntry | None:
        """Return the entry to try now, and note that it is being tried; None if none is due, or one is being
        tried."""
        mailbox, due = self.mailboxes[destination], self._due(destination, now)
        if mailbox.busy is not None or due is None:
            return None
        mailbox.busy = due.id
        return due

    def has_due(self, now: float) -> bool:
        """Return whether any entry is due, or is being tried."""
        boxes = self.mailboxes.items()
        return any(box.busy is not None or self._due(name, now) is not None for name, box in boxes)

    def _due(self, destination: str, now: float) -> OutboxEntry | None:
        mailbox = self.mailboxes[destination]
        if now < mailbox.rest_until <= now + MAX_REST * (1 + JITTER):
            return None
        latest = now + MAX_WAIT * (1 + JITTER)  # beyond it: the clock was set back since

        def due_at(entry: OutboxEntry) -> float:
            return entry.next_attempt if entry.next_attempt <= latest else 0.0

        first = min(mailbox.waiting.values(), key=due_at, default=None)
        return first if first is not None and due_at(first) <= now else None

    def answered(self, entry: OutboxEntry, result: DeliveryResult, now: float) -> LostEntry | None:
        """Record the result of an attempt; return the entry if it is given up."""
        mailbox = self.mailboxes[entry.destination]
        mailbox.busy = None
        if result.delivered:
            mailbox.failures, mailbox.rest_until = 0, 0.0
            mailbox.delivered += 1
            mailbox.last_success = now
            self._remove(mailbox, entry.id)
            return None
        mailbox.failures += 1
        mailbox.last_failure, mailbox.last_reason = now, result.text
        if result.outcome is DeliveryOutcome.REJECTED:
            return self._lose(mailbox, entry, result.text)
        if now - entry.created > MAX_AGE:
            return self._lose(mailbox, entry, f"retried for a day; {result.text}")
        attempts = entry.attempts + 1
        wait = max(self._wait(attempts, MAX_WAIT), min(result.wait, MAX_WAIT))
        mailbox.rest_until = now + max(self._wait(mailbox.failures, MAX_REST), min(result.wait, MAX_REST))
        if entry.id in mailbox.waiting:
            self._set(mailbox, replace(entry, attempts=attempts, next_attempt=now + wait))
        return None

    def _wait(self, failures: int, most: float) -> float:
        wait: float = min(FIRST_WAIT * 2.0 ** min(failures - 1, 20), most)
        return wait * self._rng.uniform(1 - JITTER, 1 + JITTER)

    def _set(self, mailbox: Mailbox, entry: OutboxEntry) -> None:
        mailbox.waiting[entry.id] = self._changed[entry.id] = entry

    def _remove(self, mailbox: Mailbox, entry_id: str) -> None:
        if mailbox.waiting.pop(entry_id, None) is not None:
            self._changed[entry_id] = None

    def _lose(self, mailbox: Mailbox, entry: OutboxEntry, reason: str) -> LostEntry:
        self._remove(mailbox, entry.id)
        mailbox.lost += 1
        return LostEntry(entry, reason)

    @property
    def waiting(self) -> int:
        """Return how many entries wait, for all destinations."""
        return sum(len(mailbox.waiting) for mailbox in self.mailboxes.values())

    # --- for the file ------------------------------------------------------------------------------------

    def take_changes(self) -> dict[str, OutboxEntry | None]:
        """Return what changed since the last call."""
        changed, self._changed = self._changed, {}
        return changed

    def give_back(self, changes: dict[str, OutboxEntry | None]) -> None:
        """Take back changes that could not be written: they are in the next ones, unless there are newer ones.
        If the disk takes nothing for weeks, removals are forgotten in the end: those entries come back after a
        restart."""
        self._changed = changes | self._changed
        if len(self._changed) > MAX_UNWRITTEN:
            self._changed = {key: each for key, each in self._changed.items() if each is not None}
