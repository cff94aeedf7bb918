"""Logging: one line an event, as text or JSON, on the terminal and in a bounded set of files, or to standard
output alone."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, Final, TextIO

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    globalLogBeginner,
)
from zope.interface import provider

from p2pool.app.settings import STANDARD_OUTPUT
from p2pool.base.errors import OperatorError
from p2pool.base.terminal import missing_lines, open_terminal

LOG_SIZE, LOG_FILES = 10 * 1024 * 1024, 5
"""Bytes of a log file before it is rotated, and how many old ones are kept."""
_log = Logger(namespace="p2pool")


def format_line(event: LogEvent) -> str:
    """Return `2026-01-31 12:00:00.123Z info  [node] text`, in UTC. A failure's traceback and the field `details`
    follow on lines of their own, indented so that nothing inside can pass for another event."""
    when = _time(event).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
    level = _level(event)
    source = str(event.get("log_namespace", "-")).removeprefix("p2pool.")
    text = _one_line(formatEvent(event).replace("\r", " ").replace("\n", " "))
    failure = event.get("log_failure")
    traceback = "" if failure is None else failure.getTraceback().rstrip()
    lines = [f"{when} {level:<5} [{source}] {text}"]
    below = f"{traceback}\n{event.get('details', '')}"
    lines += ["    " + _one_line(line) for line in below.split("\n") if line]
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    """Return `text` with all that is not printable escaped: texts from outside must not break a line, control
    the operator's terminal, or fail to be written (half a surrogate pair has no UTF-8)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def format_json(event: LogEvent) -> str:
    """Return an event as a JSON object on one line, in ASCII: `time` (UTC), `level`, `namespace`, `message`, and,
    if there are any, `fields` (those of the event that are text, numbers, true, false or null), `details` and
    `traceback`."""
    failure = event.get("log_failure")
    line: dict[str, Any] = {
        "time": _time(event).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": _level(event),
        "namespace": str(event.get("log_namespace", "-")),
        "message": formatEvent(event),
    }
    fields = {name: value for name, value in event.items() if _is_own(name) and _is_plain(value)}
    if fields:
        line["fields"] = fields
    if "details" in event:
        line["details"] = str(event["details"])
    if failure is not None:
        line["traceback"] = failure.getTraceback().rstrip()
    return json.dumps(line).replace("\x7f", "\\u007f") + "\n"


def _time(event: LogEvent) -> datetime:
    return datetime.fromtimestamp(event.get("log_time", 0.0), UTC)


def _level(event: LogEvent) -> str:
    return str(getattr(event.get("log_level"), "name", "info"))


def _is_own(name: str) -> bool:
    """Return whether an event's field is its own, not the logger's."""
    return not name.startswith("log_") and name != "details"


def _is_plain(value: object) -> bool:
    """Return whether a value is the same in JSON."""
    return value is None or type(value) in (str, int, bool) or (type(value) is float and math.isfinite(value))


@dataclass(frozen=True, slots=True)
class LogFormat:
    """How lines look: those of events, and the one in place of others that could not be written, of their number
    and the reason."""

    event: Callable[[LogEvent], str]
    missing: Callable[[int, str], str]


def _missing_json(count: int, why: str) -> str:
    return json.dumps({"level": "warn", "message": f"{count} lines are missing here: {why}"}) + "\n"


FORMATS: Final = {"text": LogFormat(format_line, missing_lines), "json": LogFormat(format_json, _missing_json)}
"""By the name that --log-format takes."""


class WatchedLogFile:
    """A log file that is rotated at a size, and that follows its name: it is reopened when another program
    renamed or removed it, and by `reopen`. Until a new one can be opened the old one is used. Lines that a full
    disk does not take are dropped whole, and counted."""

    def __init__(
        self,
        path: Path,
        *,
        rotate_at: int,
        keep: int,
        missing: Callable[[int, str], str] = missing_lines,
    ) -> None:
        """Open or make the file at `path`; beyond `rotate_at` bytes it becomes `path`.1, and `keep` of those are
        kept. `missing` makes the line in place of others. Raises OSError."""
        self.path = path
        self._missing = missing
        self._rotate_at = rotate_at
        self._keep = keep
        self._lock = threading.RLock()
        """Other threads log as well; a signal handler does so in the middle of anything."""
        self._dropped = 0
        self._open()

    def _open(self) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._file: FileIO = FileIO(descriptor, "a")
        self._take_size(os.fstat(descriptor))

    def _take_size(self, status: os.stat_result) -> None:
        self._identity = (status.st_dev, status.st_ino)
        self._size = status.st_size

    def reopen(self) -> None:
        """Open the file by its name again. Raises OSError, and goes on with the file that is open."""
        with self._lock:
            former = self._file
            self._open()
            former.close()

    def write(self, text: str) -> None:
        """Append lines. Never raises: there is nobody to report to."""
        with self._lock, contextlib.suppress(OSError):
            if self._follow_name() and self._size >= self._rotate_at:
                with contextlib.suppress(OSError):
                    self._rotate()
            if self._dropped:
                text = self._missing(self._dropped, "they could not be written") + text
            self._append(text.encode("utf-8", "backslashreplace"))

    def _rotate(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(self._numbered(number), self._numbered(number + 1))
        os.replace(self.path, self._numbered(1))
        self.reopen()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _follow_name(self) -> bool:
        """Reopen the file by its name if another file has it now; return whether the open file has it then. One
        that was rotated already, without space for the next, must not be rotated again: each time would delete
        an older file."""
        try:
            status = os.stat(self.path)
        except OSError:
            status = None
        if status is not None and (status.st_dev, status.st_ino) == self._identity:
            self._size = status.st_size  # another program may have truncated it (logrotate's copytruncate)
            return True
        try:
            self.reopen()
        except OSError:  # the directory is gone, say: the open file still takes lines
            self._size = os.fstat(self._file.fileno()).st_size
            return False
        return True

    def _append(self, data: bytes) -> None:
        before = self._size
        try:
            written = self._file.write(data)
            if written != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._dropped += 1
            with contextlib.suppress(OSError):  # half a line would corrupt the next; a pipe cannot be truncated
                os.ftruncate(self._file.fileno(), before)
            raise
        self._dropped = 0


class Logging:
    """The logging of this program, which can be changed while it runs."""

    def __init__(self, file: WatchedLogFile | None, predicate: LogLevelFilterPredicate) -> None:
        self._file = file
        self._predicate = predicate

    def set_level(self, level: str) -> None:
        """Set the least level that is logged, by its name: debug, info, warn, error or critical."""
        self._predicate.setLogLevelForNamespace("", LogLevel.levelWithName(level))

    def reopen(self) -> None:
        """Open the log file by its name again, after a rotation by another program."""
        if self._file is None:
            return
        try:
            self._file.reopen()
        except OSError as error:
            _log.warn(
                "cannot reopen the log file {path}: {error}; still writing to the file that is open",
                path=self._file.path,
                error=error.strerror,
            )


def start_logging(
    logfile: Path, debug: bool, terminal: TextIO | None = None, *, form: LogFormat = FORMATS["text"]
) -> Logging:
    """Send events to the terminal (standard error unless given) and the file; for STANDARD_OUTPUT only there.
    Raises OperatorError when the file cannot be written."""
    file: WatchedLogFile | None = None
    if logfile == STANDARD_OUTPUT:
        stream = sys.stdout
    else:
        stream = sys.stderr if terminal is None else terminal
        try:
            file = WatchedLogFile(logfile, rotate_at=LOG_SIZE, keep=LOG_FILES, missing=form.missing)
        except OSError as error:
            raise OperatorError(f"--logfile: cannot write {logfile}: {error.strerror}") from None
    screen = open_terminal(stream, form.missing)

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        line = form.event(event)
        if file is not None:
            file.write(line)
        screen.write(line)

    predicate = LogLevelFilterPredicate(LogLevel.debug if debug else LogLevel.info)
    # Twisted's own lines about ports, factories and retries are noise; its warnings and errors are not. A
    # ClientService logs under the name of its subclass.
    for namespace in ("twisted", "-", "log_legacy", "p2pool.dashd.p2p.DashdLink"):
        predicate.setLogLevelForNamespace(namespace, LogLevel.warn)
    globalLogBeginner.beginLoggingTo(
        [FilteringLogObserver(observe, [predicate])], redirectStandardIO=False, discardBuffer=True
    )
    return Logging(file, predicate)
