"""The reactor of this program on Linux: Twisted's epoll reactor with less work for each event. `cli` installs it.

Twisted builds a logging context for each event, so that messages of its former logging system name the connection
that they are about. This program logs with `twisted.logger`, which does not use that context; building it takes
longer than reading from the socket.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, cast

from twisted.internet.error import ConnectionFdescWentAway
from twisted.internet.main import installReactor
from twisted.logger import Logger
from typing_extensions import override

try:
    from select import EPOLLIN

    from twisted.internet.epollreactor import EPollReactor
except ImportError:  # not Linux
    AVAILABLE = False
else:
    AVAILABLE = True

MAX_EVENTS: Final = 256
"""Events handled in one turn: some milliseconds of work. epoll reports the others in the next turn, before new
ones of the same connections, so none of them starves."""
_NO_DESCRIPTOR: Final = ConnectionFdescWentAway("Filedescriptor went away")
_log = Logger(namespace="p2pool.reactor")

AfterEvents = Callable[[Callable[[], None]], None]
"""Has a function called once all events of the present turn of the reactor are handled, in the same turn."""


def install() -> None:
    """Make a lean reactor Twisted's global one, unless there is one already, or no epoll. Call it before anything
    imports the global reactor, since that import installs Twisted's own choice."""
    if AVAILABLE and "twisted.internet.reactor" not in sys.modules:
        installReactor(cast(Any, LeanReactor()))


def after_events(reactor: object) -> AfterEvents | None:
    """Return the method by which a reactor calls functions after the events of a turn; None if it has none."""
    return reactor.call_after_events if AVAILABLE and isinstance(reactor, LeanReactor) else None


if AVAILABLE:

    class LeanReactor(EPollReactor):
        """An epoll reactor that handles events without a logging context, at most MAX_EVENTS in a turn."""

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self._after_events: list[Callable[[], None]] = []

        def call_after_events(self, function: Callable[[], None]) -> None:
            """Call `function` once all events of the present turn are handled, or those of the next turn if this
            is not called during an event."""
            self._after_events.append(function)

        @override
        def timeout(self) -> float | None:
            return 0 if self._after_events else super().timeout()

        @override
        def doPoll(self, timeout: float | None) -> None:
            # Python's poll resumes after a signal by itself.
            events = self._poller.poll(timeout, MAX_EVENTS)
            selectables = self._selectables
            for descriptor, event in events:
                selectable = selectables.get(descriptor)
                if selectable is None:
                    continue  # an event before this one ended it
                if event != EPOLLIN:
                    self._handle(selectable, descriptor, event)
                    continue
                try:
                    why = selectable.doRead() if selectable.fileno() != -1 else _NO_DESCRIPTOR
                except Exception as error:
                    _log.failure("internal error while reading from a connection, which is closed")
                    why = error
                if why:
                    self._end(selectable, why)
            if self._after_events:
                self._call_after_events()

        doIteration = doPoll

        def _handle(self, selectable: Any, descriptor: int, event: int) -> None:
            """Handle an event that is more than input: room to write, or the end of a connection."""
            try:
                self._doReadOrWrite(selectable, descriptor, event)  # type: ignore[no-untyped-call]
            except Exception:
                _log.failure("internal error while handling an event of a connection")

        def _end(self, selectable: Any, why: Exception) -> None:
            """End a connection, since reading from it said `why`."""
            try:
                self._disconnectSelectable(selectable, why, True)  # type: ignore[no-untyped-call]
            except Exception:
                _log.failure("internal error at the end of a connection")

        def _call_after_events(self) -> None:
            functions, self._after_events = self._after_events, []
            for function in functions:
                try:
                    function()
                except Exception:
                    _log.failure("internal error after the events of a turn")
