"""Ends a program when its standard input ends: the other end of the pipe is held by the program that started it,
which may have been killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

_log = Logger(namespace="p2pool")

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
