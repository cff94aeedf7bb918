"""A program that another one starts and watches: it ends with that one, and shows that it is not stuck.

Its standard input is a pipe whose other end is held by the program that started it, and ends when that one is
gone, even if it was killed. Its standard output gets a line every BEAT_PERIOD seconds from the reactor.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from twisted.logger import Logger

_log = Logger(namespace="p2pool")

BEAT: Final = "alive"
"""The line that shows that the program is not stuck."""
BEAT_PERIOD: Final = 5.0
"""Seconds between two of these lines."""
SERVING: Final = "serving"
"""The line that shows that the program has started, and is open for business."""

STOP_TIME: Final = 20.0
"""Seconds that the program has to stop in order before it is killed."""


def stop_at_end_of_input(
    stop: Callable[[], object],
    *,
    descriptor: int = 0,
    patience: float = STOP_TIME,
    kill: Callable[[], object] = lambda: os.kill(os.getpid(), signal.SIGKILL),
) -> threading.Thread:
    """Call `stop`, which must be safe in any thread, when the input ends, and `kill` if the program still runs
    after `patience` seconds. Return the thread that waits for that."""

    def wait() -> None:
        try:
            while os.read(descriptor, 4096):
                pass
        except OSError:  # it was never open
            pass
        _log.warn("standard input has ended: the program that started this one is gone; stopping")
        stop()
        threading.Event().wait(patience)
        kill()

    thread = threading.Thread(target=wait, name="input", daemon=True)
    thread.start()
    return thread


def beat() -> None:
    """Show that the program is not stuck. Nothing happens if nobody reads it any more."""
    _show(BEAT)


def show_serving() -> None:
    """Show that the program has started. Nothing happens if nobody reads it any more."""
    _show(SERVING)


def _show(line: str) -> None:
    with suppress(OSError, ValueError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
