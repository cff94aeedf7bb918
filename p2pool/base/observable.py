"""Events: how one layer is notified by another without importing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.logger import Logger

T = TypeVar("T")


class Event(Generic[T]):
    """A list of callbacks that are all called with each value fired.

    A callback that raises is a bug: it is logged with its traceback, and the others are still called.
    """

    # Bound: subscribers are wired once by `app`, never by anything from outside.
    __slots__ = ("_callbacks", "_log")

    def __init__(self) -> None:
        self._callbacks: dict[object, Callable[[T], object]] = {}
        """In the order of subscription; the key is the subscription's own, as a callback may subscribe twice."""
        self._log = Logger(namespace="p2pool.event")

    def subscribe(self, callback: Callable[[T], object]) -> Callable[[], None]:
        """Call `callback(value)` for every value fired from now on. Returns the function that unsubscribes it."""
        key = object()
        self._callbacks[key] = callback

        def unsubscribe() -> None:
            self._callbacks.pop(key, None)

        return unsubscribe

    def fire(self, value: T) -> None:
        """Call every subscriber, in the order in which they subscribed."""
        for callback in tuple(self._callbacks.values()):
            try:
                callback(value)
            except Exception:
                self._log.failure("internal error: subscriber {callback} failed", callback=callback)
