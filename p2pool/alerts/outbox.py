"""What is on its way, by destination: which delivery is tried next and when, until it is there or too old.
Pure; what changes is collected for the file that keeps it (`outbox_file`).

Two waits grow with each failure: that of the delivery, so that one which its server cannot stand does not hold
up the others, and that of the destination, so that a server that is down is not asked a thousand times.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from p2pool.alerts.channel import Answer, Delivery

MAX_WAITING: Final = 1000
"""Deliveries of one destination; beyond it the oldest are dropped."""
FIRST_WAIT: Final = 5.0
MAX_WAIT: Final = 3600.0
"""Seconds between two attempts of one delivery: FIRST_WAIT, and twice as long each time, up to this."""
MAX_REST: Final = 300.0
"""Seconds for which a destination rests at most after a failure."""
MAX_UNWRITTEN: Final = 100_000
"""Changes that are kept for a disk that takes nothing: more than all that may wait."""
MAX_AGE: Final = 86400.0
"""Seconds after which a delivery is given up."""
JITTER: Final = 0.25
"""Each wait is longer or shorter by up to this part, so that nodes do not come back all at once."""


@dataclass
class Mailbox:
    """One destination's part. Times in Unix seconds, None for never."""

    waiting: dict[str, Delivery] = field(default_factory=dict)
    """By id, the oldest first. Bound: MAX_WAITING."""
    busy: str | None = None
    """The id of the delivery that is being tried."""
    failures: int = 0
    """One after another."""
    rest_until: float = 0.0
    delivered: int = 0
    lost: int = 0
    last_success: float | None = None
    last_failure: float | None = None
    last_reason: str = ""


@dataclass(frozen=True, slots=True)
class Lost:
    """A delivery that is given up, and why."""

    delivery: Delivery
    reason: str


class Outbox:
    """All destinations. `rng` gives the jitter."""

    def __init__(self, destinations: Iterable[str], rng: random.Random) -> None:
        self.mailboxes = {name: Mailbox() for name in destinations}
        self._rng = rng
        self._changed: dict[str, Delivery | None] = {}
        """Since the last `take_changes`: new and changed deliveries by id, None for those that are gone. Bound: as
        many as wait, and MAX_UNWRITTEN that were taken out since the last write, which begins at once."""

    def put(self, delivery: Delivery) -> Lost | None:
        """Have something delivered; what was dropped for it, where there is too much."""
        mailbox = self.mailboxes[delivery.destination]
        dropped = None
        if len(mailbox.waiting) >= MAX_WAITING:
            oldest = next(each for each in mailbox.waiting.values() if each.id != mailbox.busy)
            dropped = self._lose(mailbox, oldest, f"more than {MAX_WAITING} are waiting")
        self._set(mailbox, delivery)
        return dropped

    def restore(self, deliveries: Iterable[Delivery], now: float) -> None:
        """What an earlier run left, the oldest first. What is for a destination that is no more is forgotten; a
        time that lies too far ahead (the clock was set back) is now."""
        for delivery in deliveries:
            mailbox = self.mailboxes.get(delivery.destination)
            if mailbox is None or len(mailbox.waiting) >= MAX_WAITING:
                self._changed[delivery.id] = None
            else:
                mailbox.waiting[delivery.id] = self._sane(delivery, now)

    @staticmethod
    def _sane(delivery: Delivery, now: float) -> Delivery:
        if delivery.next_attempt <= now + MAX_WAIT * (1 + JITTER):
            return delivery
        return replace(delivery, created=min(delivery.created, now), next_attempt=now)

    def next(self, destination: str, now: float) -> Delivery | None:
        """What is to be tried now; None where nothing is due, or something is being tried."""
        mailbox, due = self.mailboxes[destination], self._due(destination, now)
        if mailbox.busy is not None or due is None:
            return None
        mailbox.busy = due.id
        return due

    def has_due(self, now: float) -> bool:
        """Whether anything is due, or is being tried."""
        boxes = self.mailboxes.items()
        return any(box.busy is not None or self._due(name, now) is not None for name, box in boxes)

    def _due(self, destination: str, now: float) -> Delivery | None:
        mailbox = self.mailboxes[destination]
        if now < mailbox.rest_until <= now + MAX_REST * (1 + JITTER):
            return None
        latest = now + MAX_WAIT * (1 + JITTER)  # what lies beyond: the clock was set back since

        def due_at(delivery: Delivery) -> float:
            return delivery.next_attempt if delivery.next_attempt <= latest else 0.0

        first = min(mailbox.waiting.values(), key=due_at, default=None)
        return first if first is not None and due_at(first) <= now else None

    def answered(self, delivery: Delivery, answer: Answer, now: float) -> Lost | None:
        """What came of an attempt; the delivery where it is given up."""
        mailbox = self.mailboxes[delivery.destination]
        mailbox.busy = None
        if answer.delivered:
            mailbox.failures, mailbox.rest_until = 0, 0.0
            mailbox.delivered += 1
            mailbox.last_success = now
            self._remove(mailbox, delivery.id)
            return None
        mailbox.failures += 1
        mailbox.last_failure, mailbox.last_reason = now, answer.text
        if not answer.again:
            return self._lose(mailbox, delivery, answer.text)
        if now - delivery.created > MAX_AGE:
            return self._lose(mailbox, delivery, f"it was tried for a day; {answer.text}")
        attempts = delivery.attempts + 1
        wait = max(self._wait(attempts, MAX_WAIT), min(answer.wait, MAX_WAIT))
        mailbox.rest_until = now + max(self._wait(mailbox.failures, MAX_REST), min(answer.wait, MAX_REST))
        if delivery.id in mailbox.waiting:
            self._set(mailbox, replace(delivery, attempts=attempts, next_attempt=now + wait))
        return None

    def _wait(self, failures: int, most: float) -> float:
        wait: float = min(FIRST_WAIT * 2.0 ** min(failures - 1, 20), most)
        return wait * self._rng.uniform(1 - JITTER, 1 + JITTER)

    def _set(self, mailbox: Mailbox, delivery: Delivery) -> None:
        mailbox.waiting[delivery.id] = self._changed[delivery.id] = delivery

    def _remove(self, mailbox: Mailbox, delivery_id: str) -> None:
        if mailbox.waiting.pop(delivery_id, None) is not None:
            self._changed[delivery_id] = None

    def _lose(self, mailbox: Mailbox, delivery: Delivery, reason: str) -> Lost:
        self._remove(mailbox, delivery.id)
        mailbox.lost += 1
        return Lost(delivery, reason)

    @property
    def waiting(self) -> int:
        """Deliveries on their way, to all destinations."""
        return sum(len(mailbox.waiting) for mailbox in self.mailboxes.values())

    # --- for the file ------------------------------------------------------------------------------------

    def take_changes(self) -> dict[str, Delivery | None]:
        """What changed since the last call."""
        changed, self._changed = self._changed, {}
        return changed

    def give_back(self, changes: dict[str, Delivery | None]) -> None:
        """These could not be written: they are in the next changes, unless there are newer ones. On a disk that
        takes nothing for weeks those that are gone are forgotten in the end: they come again after a restart."""
        self._changed = changes | self._changed
        if len(self._changed) > MAX_UNWRITTEN:
            self._changed = {key: each for key, each in self._changed.items() if each is not None}
