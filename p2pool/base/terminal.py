"""Standard input, output and error: the program goes on when they are closed, broken or not read.

Called by the programs (`cli`, the simulated daemon, the miner, the swarm) and by `logs`.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from collections.abc import Callable
from typing import TextIO, cast

from typing_extensions import override

_PIECE = 4096
"""Bytes written at once: a pipe that is ready takes so many without blocking (PIPE_BUF)."""


def missing_lines(count: int, why: str) -> str:
    """Return the line in place of others, of their number and the reason."""
    return f"({count} lines are missing here: {why})\n"


def open_terminal(stream: TextIO | None, missing: Callable[[int, str], str] = missing_lines) -> TextIO:
    """Return a `Terminal` that writes to `stream`; None means a closed one. `missing` makes the line in place
    of texts that were dropped, of their number and the reason."""
    return cast(TextIO, Terminal(stream, missing))


class Terminal(io.TextIOBase):
    """A text stream whose `write` neither raises nor blocks.

    Text that a stopped terminal (Ctrl-S) or a reader that does not read would block on is dropped; the number of
    dropped texts is shown when the stream takes some again.
    """

    def __init__(self, stream: TextIO | None, missing: Callable[[int, str], str] = missing_lines) -> None:
        self._stream = stream
        self._missing = missing
        self._dropped = 0
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._descriptor: int | None = None
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if stream is not None:
                self._descriptor = stream.fileno()

    @override
    def writable(self) -> bool:
        return True

    @override
    def isatty(self) -> bool:
        """Return whether the stream is a terminal; False if it is closed."""
        try:
            return self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    @override
    def write(self, text: str) -> int:
        """Write `text` if the stream takes it now. Returns its length."""
        with contextlib.suppress(OSError, ValueError):
            if self._descriptor is None:
                self._write_object(text)
            else:
                self._write_descriptor(self._descriptor, text)
        return len(text)

    def _write_object(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()

    def _write_descriptor(self, descriptor: int, text: str) -> None:
        if self._dropped:
            text = self._missing(self._dropped, "the output was not read") + text
        data = memoryview(text.encode(self._encoding, "backslashreplace"))
        while data:
            if not _takes_more(descriptor):
                self._dropped += 1
                return
            data = data[os.write(descriptor, data[:_PIECE]) :]
        self._dropped = 0


def _takes_more(descriptor: int) -> bool:
    """Return whether a write would not block; one to a broken stream fails at once."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


def open_standard_streams() -> None:
    """Open /dev/null in place of each standard stream that is closed.

    Otherwise the next file that the program opens gets the free descriptor, and what libraries and the interpreter
    print about errors is written into it.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number: `descriptor`
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, closefd=False, encoding="utf-8"))  # noqa: SIM115


def flush_standard_streams() -> None:
    """Write out what is buffered. If nobody reads it, discard it: otherwise the interpreter would complain and
    change the exit status."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)
