"""Logging: one line an event, on the terminal and in a bounded set of files."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    globalLogBeginner,
)
from twisted.python.logfile import LogFile
from zope.interface import provider

from p2pool.base.errors import OperatorError

LOG_SIZE, LOG_FILES = 10 * 1024 * 1024, 5
"""Bytes of a log file before it is rotated, and how many old ones are kept."""


def format_line(event: LogEvent) -> str:
    """`2026-01-31 12:00:00.123 info  [node] text`; a failure's traceback follows on lines of its own, indented so
    that nothing inside can pass for another event."""
    when = datetime.fromtimestamp(event.get("log_time", 0.0), UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    level = getattr(event.get("log_level"), "name", "info")
    source = str(event.get("log_namespace", "-")).removeprefix("p2pool.")
    text = _one_line(formatEvent(event).replace("\r", " ").replace("\n", " "))
    failure = event.get("log_failure")
    traceback = "" if failure is None else failure.getTraceback().rstrip()
    lines = [f"{when} {level:<5} [{source}] {text}"]
    lines += ["    " + _one_line(line) for line in traceback.split("\n") if line]
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    """`text` with all that is not printable shown escaped: texts from outside must not break a line, write to the
    operator's terminal what they like, or fail to be written (half a surrogate pair has no UTF-8)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def start_logging(logfile: Path, debug: bool, terminal: TextIO = sys.stderr) -> Callable[[str], None]:
    """Send events to the terminal and the file. Returns what sets the least level that is logged, by its name
    (debug, info, warn, error, critical). Raises OperatorError where the file cannot be written."""
    try:
        logfile.parent.mkdir(parents=True, exist_ok=True)
        file = LogFile(logfile.name, str(logfile.parent), rotateLength=LOG_SIZE, maxRotatedFiles=LOG_FILES)
    except OSError as error:
        raise OperatorError(f"--logfile: cannot write {logfile}: {error.strerror}") from None

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        line = format_line(event)
        for stream in (terminal, file):
            # A full disk or a closed terminal must not stop the node; the other stream still has the line.
            with contextlib.suppress(OSError, ValueError):
                stream.write(line)
                stream.flush()

    predicate = LogLevelFilterPredicate(LogLevel.debug if debug else LogLevel.info)
    # Twisted's own lines about ports, factories and retries are noise; its warnings and errors are not. A
    # ClientService speaks under the name of the class that inherits from it.
    for namespace in ("twisted", "-", "log_legacy", "p2pool.dashd.p2p.DashdLink"):
        predicate.setLogLevelForNamespace(namespace, LogLevel.warn)
    globalLogBeginner.beginLoggingTo(
        [FilteringLogObserver(observe, [predicate])], redirectStandardIO=False, discardBuffer=True
    )
    return lambda level: predicate.setLogLevelForNamespace("", LogLevel.levelWithName(level))
