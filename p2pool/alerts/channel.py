"""What all ways out have in common: a destination, what is delivered to it, and what it answered."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from p2pool.base.text import printable
from p2pool.pool_stats import EventKind

MIN_SECRET: Final = 4
"""Characters of a part of a URL that is left out of what is shown."""
MAX_ANSWER: Final = 500
"""Characters of an answer that are kept."""


class DestinationKind(StrEnum):
    """How a destination is reached."""

    WEBHOOK = "webhook"
    """Each event, as JSON."""
    EMAIL = "email"
    SERVICE = "service"
    """What the library apprise reaches."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where something is delivered. `id` names it in files, in the log and for people, and holds no secret;
    `shown` is the part of `target` (a URL, an address) that anybody may see."""

    id: str
    kind: DestinationKind
    shown: str
    target: str = field(repr=False)
    events: frozenset[EventKind] | None = None
    """What it wants to hear of; None for what people are told."""

    @property
    def for_people(self) -> bool:
        """Whether it takes messages in words; a webhook takes each event by itself."""
        return self.kind is not DestinationKind.WEBHOOK


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something on its way to one destination. `id` is its own, however often it is tried; `content` is a
    webhook's object, or {"subject", "body"} of a message; `created` in Unix seconds."""

    id: str
    destination: str
    content: Mapping[str, Any]
    created: float
    attempts: int = 0
    next_attempt: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one attempt. `text` is the answer's beginning, or why there was none; `status` what the
    server calls it (HTTP's or SMTP's code); `again` whether another attempt makes sense, not before `wait`
    seconds."""

    delivered: bool
    text: str
    status: int | None = None
    again: bool = False
    wait: float = 0.0


class Channel(Protocol):
    """A way to one destination. Takes a bounded time; raises nothing but for defects of ours."""

    def deliver(self, delivery: Delivery, now: float) -> Awaitable[Answer]:
        """One attempt."""


def failed(text: str, status: int | None = None, again: bool = True, wait: float = 0.0) -> Answer:
    """An attempt that failed."""
    return Answer(False, shortened(text), status, again, wait)


def without_secrets(text: str, secret: str) -> str:
    """What a server or a library said, without any part of `secret` (of a URL, what may hold one): it is shown to
    people and stands in the log."""
    parts = {part for part in re.split(r"[^A-Za-z0-9_-]+", secret) if len(part) >= MIN_SECRET}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "...")
    return shortened(text)


def shortened(text: str) -> str:
    """The beginning of what a server said, fit for logs and pages."""
    return printable(" ".join(text.split()), MAX_ANSWER)
