"""Signal handling: which signals stop the program in order, which reopen the log and have settings read again, and
which are ignored.

The system's default for most signals is to end the process at once. A closed terminal sends SIGHUP to what runs
in it, tools for rotating logs send SIGHUP or SIGUSR1, Ctrl-\\ sends SIGQUIT. The node waits for signals in a
thread of its own: each is acted on, and SIGQUIT logs its dump, whatever the main thread is doing.
"""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Final

from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from p2pool.base.environment import IReactor

STOPPING: Final = frozenset((signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGXCPU))
"""SIGXCPU: the limit of processor time (`ulimit -t`) is reached; SIGKILL follows."""
REOPENING: Final = frozenset((signal.SIGHUP, signal.SIGUSR1))
RELOADING: Final = signal.SIGHUP
"""The one of them at which settings are read again as well."""
REPLACING: Final = signal.SIGUSR2
"""Starts a new process that takes over; without one that can, the signal is ignored."""
_HARMLESS_NAMES: Final = ("SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO", "SIGPWR", "SIGSTKFLT")
_log = Logger(namespace="p2pool")


def harmless_signals() -> Iterator[int]:
    """Yield the other signals whose default is to end a healthy process; not every system has each."""
    for name in _HARMLESS_NAMES:
        if hasattr(signal, name):
            yield getattr(signal, name)
    if hasattr(signal, "SIGRTMIN"):
        yield from range(signal.SIGRTMIN, signal.SIGRTMAX + 1)


def survive_signals() -> None:
    """Ignore signals that are not meant to end the program. Called first, before the slow imports."""
    for number in (*map(int, REOPENING), *harmless_signals()):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.SIG_IGN):
            signal.signal(number, lambda *_: None)
    # Writing to the terminal from the background (`stty tostop`) must not suspend the process.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)


class SignalWatch:
    """Calls `stop(name)`, `reopen(name)` or `replace(name)` in the reactor's thread with the name of a signal that
    asks for it."""

    def __init__(
        self,
        reactor: IReactorFromThreads,
        *,
        stop: Callable[[str], object],
        reopen: Callable[[str], object],
        replace: Callable[[str], object] | None = None,
        stopping: Callable[[], object] = lambda: None,
    ) -> None:
        """Take what is called; `stopping` is called first if the program is to stop, in the thread of the
        signals."""
        self._reactor = reactor
        self._stop = stop
        self._reopen = reopen
        self._replace = replace
        self._stopping = stopping

    def start(self) -> None:
        """Block the signals in this thread and those that it starts, and wait for them in one of their own.

        SIGINT and SIGQUIT that were ignored before (a job in a shell's background) stay ignored.
        """
        stopping = {int(number) for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN}
        watched = stopping.union(map(int, REOPENING), harmless_signals())
        signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        threading.Thread(target=self._watch, args=(watched,), name="signals", daemon=True).start()

    def _watch(self, watched: set[int]) -> None:
        while True:
            try:
                self.received(signal.sigwait(watched))
            except Exception:  # without this thread nothing but SIGKILL would end the program
                _log.failure("internal error: handling a signal failed")

    def received(self, number: int) -> None:
        """Act on a signal; may be called in any thread."""
        name = signal_name(number)
        if number == signal.SIGQUIT:
            # Logged here, not by the reactor: it may hang.
            _log.warn("SIGQUIT received: stack of each thread follows", details=describe_threads())
        if number in STOPPING:
            self._stopping()
            self._reactor.callFromThread(self._stop, name)
        elif number in REOPENING:
            self._reactor.callFromThread(self._reopen, name)
        elif number == REPLACING and self._replace is not None:
            self._reactor.callFromThread(self._replace, name)
        else:
            _log.info("{name} received: ignored", name=name)


def stop_at_hangup(reactor: IReactor) -> None:
    """Let SIGHUP and SIGQUIT stop a program that is not a daemon in order, as SIGINT and SIGTERM do, unless they
    were ignored before (`nohup`)."""
    ending = [
        number for number in (signal.SIGHUP, signal.SIGQUIT) if signal.getsignal(number) is not signal.SIG_IGN
    ]
    survive_signals()
    for number in ending:
        signal.signal(number, lambda *_: reactor.callFromThread(_stop_if_running, reactor))


def _stop_if_running(reactor: IReactor) -> None:
    if reactor.running:
        reactor.stop()


def describe_threads() -> str:
    """Return the stacks of all threads but the calling one, innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"thread {names.get(ident, ident)}:\n" + "".join(traceback.format_stack(frame))
        for ident, frame in sys._current_frames().items()
        if ident != threading.get_ident()
    )


def signal_name(number: int) -> str:
    """Return the name of a signal: "SIGHUP" for 1."""
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"
