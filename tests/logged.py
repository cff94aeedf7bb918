"""What is logged while a test runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.logger import LogLevel, formatEvent, globalLogPublisher


class Log(list[dict[str, Any]]):
    """The events, oldest first."""

    @property
    def lines(self) -> list[str]:
        """Our own lines of level info and above, as people read them."""
        return [
            formatEvent(event)
            for event in self
            if event["log_namespace"].startswith("p2pool") and event["log_level"] >= LogLevel.info
        ]

    @property
    def tracebacks(self) -> list[dict[str, Any]]:
        """Events that carry one, whoever logged them."""
        return [event for event in self if event.get("log_failure") is not None or event.get("isError")]


@contextmanager
def logged() -> Iterator[Log]:
    """`with logged() as log:` everything that is logged meanwhile."""
    log = Log()
    globalLogPublisher.addObserver(log.append)
    try:
        yield log
    finally:
        globalLogPublisher.removeObserver(log.append)
