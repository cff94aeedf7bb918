"""The bans of miners' hosts on disk: one small JSON file, written in a thread when the bans have changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2pool.base.errors import ParseError
from p2pool.base.state_file import StateFile, StateFormat
from p2pool.stratum.guard import Guard

_log = Logger(namespace="p2pool.stratum")

BANS_FILE = StateFormat("stratum-bans.json", "the bans of miners", 4 << 20)
"""Ten thousand bans are about one and a half million bytes."""


class BanFile:
    """The file of one guard's bans. A file that cannot be read is quarantined, never overwritten."""

    def __init__(
        self, guard: Guard, path: Path, run_in_thread: Callable[[Callable[[], Any]], Deferred[Any]]
    ) -> None:
        self._guard = guard
        self._file = StateFile(path, BANS_FILE)
        self._run_in_thread = run_in_thread
        self._due = False
        guard.bans_changed.subscribe(self._changed)

    def _changed(self, _: None) -> None:
        self._due = True

    def load(self, now: float) -> None:
        """Restore the bans in the file. Reads on the calling thread, so call it at the start only."""
        rows = self._file.read(_rows)
        count = 0 if rows is None else self._guard.read_json(rows, now)
        if count:
            _log.info("restored {count} bans of miners' hosts from {path}", count=count, path=self._file.path)

    async def save(self) -> None:
        """Write the file if the bans have changed since the last time."""
        if not self._due:
            return
        self._due = False
        document = {"bans": self._guard.to_json()}
        if not await self._run_in_thread(lambda: self._file.save(document)):
            self._due = True


def _rows(document: object) -> list[object]:
    """Return the bans of a document; a bare list is the format before versions."""
    rows = document.get("bans") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise ParseError("it holds no list of bans")
    return rows
