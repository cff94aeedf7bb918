"""Bans of miners' hosts between runs: one small JSON file, written in a thread when something changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2pool.base.files import write_file
from p2pool.stratum.guard import Guard

_log = Logger(namespace="p2pool.stratum")

MAX_FILE = 4 << 20
"""Bytes: ten thousand bans are about one and a half million."""


class BanFile:
    """The file of one guard. What cannot be read is set aside, never overwritten."""

    def __init__(
        self, guard: Guard, path: Path, run_in_thread: Callable[[Callable[[], Any]], Deferred[Any]]
    ) -> None:
        self._guard = guard
        self._path = path
        self._run_in_thread = run_in_thread
        self._due = False
        self._failed = False
        guard.bans_changed.subscribe(self._changed)

    def _changed(self, _: None) -> None:
        self._due = True

    def load(self, now: float) -> None:
        """Take over what the file says. Reads on the calling thread: at the start only."""
        try:
            if self._path.stat().st_size > MAX_FILE:
                raise ValueError(f"more than {MAX_FILE} bytes")
            rows = json.loads(self._path.read_bytes())
            if not isinstance(rows, list):
                raise ValueError("not a list")
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError) as error:
            self._set_aside(error)
            return
        count = self._guard.read_json(rows, now)
        if count:
            _log.info("{count} hosts of miners are still banned", count=count)

    def _set_aside(self, error: Exception) -> None:
        aside = self._path.with_name(self._path.name + ".damaged")
        _log.warn(
            "{path} cannot be read ({error}): set aside as {aside}", path=self._path, error=error, aside=aside
        )
        try:
            self._path.replace(aside)
        except OSError as reason:
            _log.warn("{path} cannot be set aside: {reason}", path=self._path, reason=reason)

    async def save(self) -> None:
        """Write the file, where something changed since the last time."""
        if not self._due:
            return
        self._due = False
        data = json.dumps(self._guard.to_json(), indent=0).encode()
        try:
            await self._run_in_thread(lambda: write_file(self._path, data))
            self._failed = False
        except OSError as error:
            self._due = True
            if not self._failed:
                self._failed = True
                _log.warn("bans cannot be written to {path}: {error}", path=self._path, error=error)
