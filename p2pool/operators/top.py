"""`p2pool-dash top`: the running node on a screen that is refreshed, with its miners, from its JSON API."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final

from p2pool.base.errors import OperatorError
from p2pool.operators.arguments import read_arguments
from p2pool.operators.keys import press
from p2pool.operators.node_api import NodeApi, node_api, understood
from p2pool.operators.status import VIEWS
from p2pool.operators.top_screen import Answers, Selection, Shown, Size, render

if TYPE_CHECKING:
    from p2pool.operators.terminal_screen import TerminalScreen

PERIOD: Final = 2.0
"""Seconds from one answer to the next question. The node computes its views once a second."""
_BLOCKS: Final = 3
_MOST_WORKERS: Final = 500
"""On a page of the API."""


def top(arguments: Sequence[str], default_datadir: Path) -> int:
    """Show the screen until the operator quits, or once if the output is no terminal. Return the exit status."""
    given = read_arguments("top", arguments, default_datadir)
    api = node_api(given)
    if find_spec("rich") is None:
        raise OperatorError(
            f"the package rich is missing: install it with {sys.executable} -m pip install rich (status needs no "
            "package)"
        )
    # Imported late: the package is optional.
    from p2pool.operators.terminal_screen import Ended, TerminalScreen, is_interactive

    if not is_interactive():
        with understood(api):
            sys.stdout.write(one_screen(api))
        return 0
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        with understood(api), TerminalScreen(sys.stdout) as terminal:
            return _Top(api, terminal).run()
    except Ended as ended:
        return ended.status


def one_screen(api: NodeApi) -> str:
    """Return one screen as text, in the size that the environment or the terminal says. Raises OperatorError."""
    size = Size(*shutil.get_terminal_size())
    answers = ask(api, Selection(), size.height)
    screen = render(Shown(now=answers.when).answered(answers), size)
    lines = ("".join(text for text, _ in row).rstrip() for row in screen.rows[:-1])
    return "\n".join(lines).rstrip() + "\n"


def ask(api: NodeApi, selection: Selection, height: int) -> Answers:
    """Return what the node answers, with workers for a screen of that height. Raises OperatorError."""
    limit = max(1, min(height, _MOST_WORKERS))
    views = {name: api.get(name) for name in (*VIEWS, "stratum")}
    views["blocks"] = api.get(f"blocks?limit={_BLOCKS}")
    views["workers"] = api.get(f"workers?{selection.order}&offset={selection.offset}&limit={limit}")
    return Answers(views, selection, time.monotonic())


class _Asker:
    """Asks the node in a thread of its own, so that keys are answered although the node is not. One question at
    a time; `wake` is called, in the thread, when it is answered."""

    def __init__(self, api: NodeApi, wake: Callable[[], None]) -> None:
        self._api = api
        self._wake = wake
        self._questions: SimpleQueue[tuple[Selection, int]] = SimpleQueue()
        self._results: SimpleQueue[Answers | BaseException] = SimpleQueue()
        self.busy = False
        Thread(target=self._work, daemon=True).start()

    def ask(self, selection: Selection, height: int) -> None:
        """Begin to ask the node."""
        self.busy = True
        self._questions.put((selection, height))

    def take(self) -> Answers | OperatorError | None:
        """Return the answers, or why there are none; None if they are not there yet."""
        try:
            result = self._results.get_nowait()
        except Empty:
            return None
        self.busy = False
        if isinstance(result, Answers | OperatorError):
            return result
        raise result

    def _work(self) -> None:
        while True:
            selection, height = self._questions.get()
            try:
                result: Answers | BaseException = ask(self._api, selection, height)
            except BaseException as error:
                result = error
            self._results.put(result)
            self._wake()


class _Top:
    """The loop between the node and the terminal."""

    def __init__(self, api: NodeApi, terminal: TerminalScreen) -> None:
        self._terminal = terminal
        self._asker = _Asker(api, terminal.wake)
        self._shown = Shown()
        self._next = time.monotonic()
        """When to ask again."""

    def run(self) -> int:
        """Go on until the operator quits. Return the exit status. Raises Ended."""
        while True:
            size = self._terminal.size
            self._take()
            self._ask(size)
            self._shown = replace(self._shown, now=time.monotonic())
            screen = render(self._shown, size)
            self._terminal.draw(screen.rows, size)
            last = self._shown.last
            total = 0 if last is None else last.views["workers"]["total"]
            for key in self._terminal.wait(self._patience()):
                selection = press(key, self._shown.selection, total=total, room=screen.room)
                if selection is None:
                    return 0
                self._shown = replace(self._shown, selection=selection)

    def _take(self) -> None:
        """Take what was answered, if something was."""
        result = self._asker.take()
        if result is None:
            return
        self._next = time.monotonic() + PERIOD
        if isinstance(result, OperatorError):
            self._shown = replace(self._shown, problem=str(result))
        else:
            self._shown = self._shown.answered(result)

    def _ask(self, size: Size) -> None:
        """Ask the node if it is time to, or if other workers are to be shown than were."""
        selection, last = self._shown.selection, self._shown.last
        other = last is not None and (last.selection.order, last.selection.offset) != (
            selection.order,
            selection.offset,
        )
        due = not selection.paused and time.monotonic() >= self._next
        if (due or (other and not self._shown.problem)) and not self._asker.busy:
            self._asker.ask(selection, size.height)

    def _patience(self) -> float:
        if self._asker.busy or self._shown.selection.paused:
            return PERIOD
        return self._next - time.monotonic()
