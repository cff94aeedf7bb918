"""What happens in a world, as one hash to compare runs by, and as the last events for people."""

from __future__ import annotations

import hashlib
import traceback
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.logger import LogLevel, formatEvent

from tests.simulation.events import EventQueue
from tests.simulation.network import Host

KEPT = 2_000
"""Log lines that are kept for a failure's report."""
AT_ONCE = 500
"""Lines that are hashed together: hashing each by itself takes longer than making it."""


class Trace:
    """The log of all processes, and a hash over it and over all bytes that arrived anywhere."""

    def __init__(self, events: EventQueue, *, show: Callable[[str], None] | None = None) -> None:
        self._events = events
        self._hash = hashlib.blake2b(digest_size=16)
        self._unhashed: list[str] = []
        self._show = show
        self.directory = "-"
        """Where the world's disks are: another place in each run, which the hash must not depend on."""
        self.lines: deque[str] = deque(maxlen=KEPT)
        self.heard: list[Callable[[str, str, dict[str, Any]], None]] = []
        """Called with (process, text, event) for each log line."""

    def delivered(self, source: Host, target: Host, data: bytes) -> None:
        """Take bytes that arrived."""
        unhashed = self._unhashed
        unhashed.append(f"{self._events.now!r} {source.name} {target.name} {zlib.crc32(data)}\n")
        if len(unhashed) >= AT_ONCE:
            self._hash_lines()

    def _hash_lines(self) -> None:
        self._hash.update("".join(self._unhashed).encode())
        self._unhashed.clear()

    def log(self, event: dict[str, Any]) -> None:
        """Take a log event of Twisted."""
        owner = self._events.owner
        if owner is None or not owner.alive:
            return  # what is destroyed after its process has ended
        level: Any = event.get("log_level", LogLevel.info)
        namespace = event.get("log_namespace") or ""
        if not namespace.startswith(("p2pool", "simulation")) and level < LogLevel.error:
            return
        text = formatEvent(event)
        if "log_failure" in event:
            text += "\n" + event["log_failure"].getTraceback()
        self.note(getattr(getattr(owner, "host", None), "name", "world"), text, event)

    def note(self, process: str, text: str, event: dict[str, Any] | None = None) -> None:
        """Note something that happened."""
        line = f"{_clock(self._events.now)} {process:<6} {text}"
        if event is None or "log_failure" not in event:
            self._unhashed.append(line.replace(self.directory, "") + "\n")
        self.lines.append(line)
        if self._show is not None:
            self._show(line)
        for listener in self.heard:
            listener(process, text, event or {})

    def failed(self) -> None:
        """Note an exception that an event did not catch. To be called inside an `except` clause."""
        owner = self._events.owner
        name = getattr(getattr(owner, "host", None), "name", "world")
        self.note(name, "Unhandled error\n" + traceback.format_exc(), {"log_level": LogLevel.critical})

    @property
    def digest(self) -> str:
        """Return the hash so far."""
        self._hash_lines()
        return self._hash.hexdigest()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes // 60):02d}:{int(minutes % 60):02d}:{rest:06.3f}"
