"""Child processes of this program: each ends when this one does, and its output is read line by line."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from twisted.internet.interfaces import IReactorFromThreads

import p2pool

MAX_LINE: Final = 1_000
"""Characters of a line of output; longer ones are cut into several."""


class ChildProcess:
    """The program with other arguments and this environment, in a session of its own: signals from the terminal do
    not reach it. Its standard input is a pipe that ends when this process ends, however that happens.

    `said` is called with each line of its output, and `ended` with its exit status (minus the number of the signal
    that killed it), both on the reactor thread. Raises OSError if it cannot be started.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        said: Callable[[str], None],
        ended: Callable[[int], None],
    ) -> None:
        self._reactor = reactor
        self._said = said
        self._ended = ended
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "p2pool", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**environment, "PYTHONPATH": _python_path()},
        )
        threading.Thread(target=self._watch, name="child", daemon=True).start()

    @property
    def process_id(self) -> int:
        """Return the id of the process."""
        return self._process.pid

    def terminate(self) -> None:
        """Ask the process to stop in order."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """End the process at once."""
        with suppress(ProcessLookupError):
            self._process.kill()

    def _watch(self) -> None:
        output = self._process.stdout
        if output is not None:
            with suppress(OSError, ValueError):
                while line := output.readline(MAX_LINE):
                    text = line.decode("utf-8", "replace").strip()
                    if text:
                        self._reactor.callFromThread(self._said, text)
        status = self._process.wait()
        self._reactor.callFromThread(self._ended, status)


def _python_path() -> str:
    """Return where the child finds this very program: it may run from a checkout."""
    own = str(Path(p2pool.__file__).resolve().parents[1])
    return os.pathsep.join([own, *filter(None, [os.environ.get("PYTHONPATH")])])
