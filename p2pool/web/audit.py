"""The audit log: which key did what, one line of JSON for each action, in a bounded set of files.

Lines are written in a thread, in order. A full or read-only disk prevents no action: the newest lines are kept in
memory, and a warning is logged.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.text import printable
from p2pool.base.write_problem import WriteProblem
from p2pool.web.rendering import RunInThread

MAX_FILE = 1 << 20
"""Bytes of the file before it is rotated: some five thousand actions."""
OLD_FILES = 5
MAX_WAITING = 1000
"""Pending lines; beyond it the oldest are lost, which is logged."""
MAX_LINE = 4096
"""Bytes; parameters that are longer are left out."""
_log = Logger(namespace="p2pool.web")


class AuditLog:
    """The file `path`, and `path`.1 to `path`.5 before it."""

    def __init__(self, path: Path, clock: Callable[[], float], run_in_thread: RunInThread) -> None:
        self._path = path
        self._clock = clock
        self._run_in_thread = run_in_thread
        self._waiting: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._under_way: list[bytes] = []
        """The lines that are being written."""
        self._ended: Deferred[None] | None = None
        """Fires when the last line is written."""
        self._problem = WriteProblem(path)

    def record(
        self, *, client: str, key: str, action: str, parameters: Mapping[str, object], outcome: str
    ) -> None:
        """Record that an action was tried: by whom (address, fingerprint of the key), what, with which
        parameters, and with what outcome."""
        entry: dict[str, Any] = {
            "time": round(self._clock(), 3),
            "client": printable(client),
            "key": key,
            "action": action,
            "parameters": dict(parameters),
            "outcome": printable(outcome, 200),
        }
        try:
            line = orjson.dumps(entry)
        except TypeError:  # nested more deeply than orjson allows
            line = b""
        if not 0 < len(line) <= MAX_LINE:
            line = orjson.dumps(entry | {"parameters": None})
        self._keep(line + b"\n")
        self._write()

    def _keep(self, line: bytes) -> None:
        if len(self._waiting) == MAX_WAITING:
            lost = self._waiting[0].decode("utf-8", "replace").strip()
            _log.warn("cannot write the audit log; too many lines are pending, and one is lost: {line}", line=lost)
        self._waiting.append(line)

    def _write(self) -> None:
        if self._under_way or not self._waiting:
            return
        self._under_way = list(self._waiting)
        self._waiting.clear()
        data = b"".join(self._under_way)
        writing = self._run_in_thread(lambda: append_rotated(self._path, data))
        writing.addCallbacks(self._written, self._failed)

    def _written(self, _: object) -> None:
        self._under_way = []
        self._problem.succeeded()
        self._write()
        self._notify_end()

    def _failed(self, failure: Failure) -> None:
        lines = [*self._under_way, *self._waiting]
        self._under_way = []
        self._waiting.clear()
        for line in lines:
            self._keep(line)
        if isinstance(failure.value, OSError):
            self._problem.failed(failure.value)
        else:
            _log.failure("internal error: writing the audit log failed", failure)
        self._notify_end()

    def _notify_end(self) -> None:
        if self._ended is not None and not self._under_way:
            self._ended.callback(None)
            self._ended = None

    async def stop(self) -> None:
        """Write all pending lines, if the disk takes them; they are on disk afterwards."""
        self._write()
        if self._under_way:
            self._ended = Deferred()
            await self._ended


def append_rotated(path: Path, data: bytes) -> None:
    """Append `data` to a file that only its owner may read. If it would grow beyond MAX_FILE, the file is
    rotated first, and the oldest one is deleted. On disk at return. Blocks; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size + len(data) > MAX_FILE:
        for number in range(OLD_FILES - 1, 0, -1):
            old = path.with_name(f"{path.name}.{number}")
            if old.exists():
                os.replace(old, path.with_name(f"{path.name}.{number + 1}"))
        os.replace(path, path.with_name(f"{path.name}.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(descriptor, "ab", buffering=0) as file:
        size = os.fstat(descriptor).st_size
        try:
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        except OSError:
            # Half a line would spoil the one that comes after it.
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
