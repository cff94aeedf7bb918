"""What all delivery channels share: a destination, what is delivered to it, and the result."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Any, Final, Protocol

from p2pool.base.text import printable
from p2pool.pool_stats import EventKind

MIN_SECRET: Final = 4
"""Characters of a part of a URL from which on it is replaced in what is shown."""
MAX_ANSWER: Final = 500
"""Characters of an answer that are kept."""


class DestinationKind(StrEnum):
    """How a destination is reached."""

    WEBHOOK = "webhook"
    """Each event is posted as JSON."""
    EMAIL = "email"
    SERVICE = "service"
    """A service that the library apprise reaches."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A place that alerts are delivered to. `id` names it in files, in the log and for people, and holds no
    secret; `shown` is the part of `target` (a URL, an address) that anybody may see."""

    id: str
    kind: DestinationKind
    shown: str
    target: str = field(repr=False)
    events: frozenset[EventKind] | None = None
    """The events that it is sent; None for those that people are notified of."""

    @property
    def for_people(self) -> bool:
        """Return whether it takes messages for people; a webhook takes each event by itself."""
        return self.kind is not DestinationKind.WEBHOOK


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """What is to be delivered to one destination. `id` stays the same over all attempts; `content` is a webhook's
    object, or {"subject", "body"} of a message; `created` in Unix seconds."""

    id: str
    destination: str
    content: Mapping[str, Any]
    created: float
    attempts: int = 0
    next_attempt: float = 0.0


class DeliveryOutcome(Enum):
    """How an attempt to deliver an outbox entry ended.

    waiting ----> attempt ----> DELIVERED
       ^             |
       +--- RETRY ---+--------> REJECTED

    An entry that is tried for too long, or has no room, is lost as a rejected one is.
    """

    DELIVERED = auto()
    RETRY = auto()
    """It failed; another attempt may succeed."""
    REJECTED = auto()
    """It failed, and another attempt would fail in the same way."""


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The result of one attempt. `text` is the beginning of the server's answer, or why there was none;
    `status` is its HTTP or SMTP code; another attempt is made after `wait` seconds at the earliest."""

    outcome: DeliveryOutcome
    text: str
    status: int | None = None
    wait: float = 0.0

    @property
    def delivered(self) -> bool:
        """Return whether the attempt succeeded."""
        return self.outcome is DeliveryOutcome.DELIVERED


class Channel(Protocol):
    """Delivers to one destination. Takes a bounded time; raises only for internal errors."""

    def deliver(self, delivery: OutboxEntry, now: float) -> Awaitable[DeliveryResult]:
        """Make one attempt, and return its result."""


def delivered(text: str, status: int | None = None) -> DeliveryResult:
    """Return the result of an attempt that succeeded."""
    return DeliveryResult(DeliveryOutcome.DELIVERED, text, status)


def failed(
    text: str, status: int | None = None, *, outcome: DeliveryOutcome = DeliveryOutcome.RETRY, wait: float = 0.0
) -> DeliveryResult:
    """Return the result of an attempt that failed."""
    return DeliveryResult(outcome, shortened(text), status, wait)


def without_secrets(text: str, secret: str) -> str:
    """Return what a server or a library said, without any part of `secret` (a URL that may hold one): it is
    shown to people and logged."""
    parts = {part for part in re.split(r"[^A-Za-z0-9_-]+", secret) if len(part) >= MIN_SECRET}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "...")
    return shortened(text)


def shortened(text: str) -> str:
    """Return the beginning of what a server said, fit for logs and pages."""
    return printable(" ".join(text.split()), MAX_ANSWER)
