"""A reactor for services with threads of their own: what they hand over runs when the test says so."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock


class ThreadCalls(Clock):
    """A clock that collects the calls of threads."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()

    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Keep a call for `run_until`."""
        self._calls.put(lambda: function(*arguments))

    def run_until(self, condition: Callable[[], Any], patience: float = 20.0) -> None:
        """Make the calls as they come, until a condition holds."""
        deadline = time.monotonic() + patience
        while not condition():
            self._calls.get(timeout=max(0.01, deadline - time.monotonic()))()
