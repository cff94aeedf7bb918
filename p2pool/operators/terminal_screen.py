"""The terminal of `top`: its keys one by one, signals, and rows on the alternate screen, which is always left.
The only module that needs the package `rich`, which knows what colours and attributes a terminal has."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, TextIO

from rich.console import Console, ConsoleDimensions
from rich.control import Control
from rich.screen import Screen as WholeScreen
from rich.text import Text

from p2pool.operators.keys import KeyReader
from p2pool.operators.top_screen import FAINT, LABEL, PLAIN, SELECTED, TITLE, WARNING, Row, Size

_LOOKS: Final = {
    PLAIN: "",
    TITLE: "reverse",
    LABEL: "bold",
    WARNING: "bold red",
    SELECTED: "bold reverse",
    FAINT: "dim",
}
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_SIGNALS: Final = (*_ENDING, signal.SIGTSTP, signal.SIGWINCH)
_WOKEN: Final = b"\0"
"""In the pipe in place of a signal's number."""
_PIECE: Final = 4096


class Ended(Exception):
    """The operator, or a signal, has ended the program: with the exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def is_interactive() -> bool:
    """Return whether there is a terminal that shows screens and sends keys."""
    try:
        both = os.isatty(sys.stdin.fileno()) and os.isatty(sys.stdout.fileno())
    except (OSError, ValueError):
        return False
    return both and os.environ.get("TERM", "dumb") != "dumb"


class TerminalScreen:
    """A context in which the terminal shows rows and nothing else. On leaving it, also by an error, the terminal
    is as it was before."""

    def __init__(self, output: TextIO) -> None:
        self._input, self._output = sys.stdin.fileno(), output.fileno()
        self._console = Console(file=output, highlight=False, markup=False, emoji=False)
        self._keys = KeyReader()
        self._former_signals: dict[int, Any] = {}
        self._woken, self._waker = os.pipe()

    def __enter__(self) -> TerminalScreen:
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        for number in _SIGNALS:
            self._former_signals[number] = signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self._former_mode = termios.tcgetattr(self._input)
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        signal.set_wakeup_fd(-1)
        for number, former in self._former_signals.items():
            signal.signal(number, former)
        # The pipe stays: a thread may still wake. It ends with the process.

    def _take(self) -> None:
        with suppress(OSError, termios.error):
            tty.setcbreak(self._input, termios.TCSADRAIN)
            self._console.set_alt_screen(True)
            self._console.show_cursor(False)

    def _leave(self) -> None:
        with suppress(OSError, termios.error):
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)
        with suppress(OSError, termios.error):
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._former_mode)

    @property
    def size(self) -> Size:
        """Return how large the terminal is now."""
        with suppress(OSError):
            found = os.get_terminal_size(self._output)
            if found.columns and found.lines:
                return Size(found.columns, found.lines)
        return Size(80, 24)

    def draw(self, rows: Sequence[Row], size: Size) -> None:
        """Show the rows, and nothing below them."""
        self._console.size = ConsoleDimensions(size.width, size.height)
        lines = Text("\n", no_wrap=True, overflow="crop").join(_text(row) for row in rows)
        with suppress(OSError):  # a terminal that is gone has no keys either
            self._console.print(Control.home(), WholeScreen(lines), end="")

    def wake(self) -> None:
        """Let `wait` return. Any thread may call this."""
        with suppress(BlockingIOError):
            os.write(self._waker, _WOKEN)

    def wait(self, seconds: float) -> list[str]:
        """Return the keys that were pressed, if any, when there are some, something wakes, or the time is over.
        Raises Ended."""
        ready, _, _ = select.select([self._input, self._woken], [], [], max(0.0, seconds))
        if self._woken in ready:
            for number in os.read(self._woken, _PIECE):
                self._signalled(number)
        if self._input not in ready:
            return []
        try:
            data = os.read(self._input, _PIECE)
        except OSError:
            data = b""
        if not data:
            raise Ended(0)
        return list(self._keys.feed(data))

    def _signalled(self, number: int) -> None:
        if number in _ENDING:
            raise Ended(128 + number)
        if number == signal.SIGTSTP:
            self._leave()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._take()


def _text(row: Row) -> Text:
    return Text.assemble(*((text, _LOOKS[style]) for text, style in row))
