"""What the two sides of a gateway need of others; `app` plugs it in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred

from p2pool.broker.operations import Action, Entry, Reader
from p2pool.broker.request_queue import Urgency

T = TypeVar("T")


class NotStored(Exception):
    """Shares could not be written to disk."""


class BrokerPort(Protocol):
    """The broker: see `broker.connection.Broker`, which says what each method does."""

    problem: str | None

    def ask(self, action: Action[T], *, urgent: Urgency = Urgency.USUAL) -> Deferred[T]: ...

    def follow(self, read: Reader, take: Callable[[list[Entry]], Any]) -> None: ...


StoreShares = Callable[[], Awaitable[None]]
"""Write all shares that are not on disk yet; done when they are. Raises NotStored."""
