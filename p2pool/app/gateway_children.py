"""Gateways that the node starts on this machine (--gateways): processes that share one port, about one a core.

They are watched: one that ends is started again, after longer and longer waits if it keeps ending; one that is
stuck is killed first. `base.supervised` says how that is noticed.

Gateways are started with --take-over: when a node takes over from another one, each takes over from the gateway of
the other node that uses the same data directory. The other node stays until then, since its gateways end with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from p2pool.base.backoff import Backoff
from p2pool.base.process import process_exists
from p2pool.base.signals import signal_name
from p2pool.base.supervised import BEAT, BEAT_PERIOD, SERVING
from p2pool.base.timer import Timer

_log = Logger(namespace="p2pool.gateway")

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before a gateway that ended is started again: doubled each time."""
SETTLED_AFTER: Final = 60.0
"""Seconds after which a gateway counts as running: when it ends then, the waits begin again."""
STOP_TIME: Final = 4.0
"""Seconds that gateways have to stop in order before they are killed."""
KILL_TIME: Final = 1.0
"""Seconds in which the end of a killed process is noticed."""
LEAVE_TIME: Final = 600.0
"""Seconds in which the gateways of a process that took over from the node can take over from this node's."""
PATIENCE: Final = 30.0
"""Seconds in which a gateway should serve miners; if it does not, the next one is started all the same."""

CHECK: Final = BEAT_PERIOD
"""Seconds between two checks whether gateways are stuck."""
MAX_MISSED: Final = 6
"""Checks in a row without a sign of life after which a gateway counts as stuck. Checks are counted, not seconds:
the node may have been stopped meanwhile."""
MAX_MISSED_AT_START: Final = 24
"""Checks before the first sign of life after which it does: a start may take long on a busy machine."""


class Child(Protocol):
    """A process that was started: see `child_process.ChildProcess`."""

    @property
    def process_id(self) -> int:
        """Return the id of the process."""

    def terminate(self) -> None:
        """Ask the process to stop in order."""

    def kill(self) -> None:
        """End the process at once."""


class StartChild(Protocol):
    """Start the gateway of a number, from 1 on. Raises OSError."""

    def __call__(self, number: int, *, said: Callable[[str], None], ended: Callable[[int], None]) -> Child:
        """Return the process; `said` gets the lines of its output, `ended` its exit status."""


class _Slot:
    """The place of one gateway, and the process that has it now."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.child: Child | None = None
        self.started = 0.0
        self.backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        self.restart: IDelayedCall | None = None
        self.missed = 0
        """Checks since the last sign of life."""
        self.has_shown_life = False

    @property
    def is_stuck(self) -> bool:
        """Return whether there was no sign of life for too long."""
        return self.missed >= (MAX_MISSED if self.has_shown_life else MAX_MISSED_AT_START)


class GatewayChildren:
    """Starts gateways, watches them, and stops them. When another process takes over from the node, they run until
    its gateways have taken over from them, one by one.

    `is_running` returns whether a process runs.
    """

    def __init__(
        self, reactor: IReactorTime, count: int, *, is_running: Callable[[int], bool] = process_exists
    ) -> None:
        self._reactor = reactor
        self._is_running = is_running
        self._start: StartChild | None = None
        self._slots = [_Slot(number) for number in range(1, count + 1)]
        self._queue: deque[_Slot] = deque()
        """Gateways that are started one by one, when the former serves miners."""
        self._starting: _Slot | None = None
        """The gateway that those in the queue wait for."""
        self._next: IDelayedCall | None = None
        self._keeping = False
        """Whether another process may take over: gateways that end are not started again."""
        self._successor: int | None = None
        """The process that took over from the node."""
        self._left = 0.0
        self._stopping = False
        self._waiting: list[Deferred[None]] = []
        """What fires when all gateways have ended."""
        self._deadline: IDelayedCall | None = None
        self._timer: Timer | None = None

    def start(self, start: StartChild, *, one_by_one: bool = False) -> None:
        """Start the gateways that do not run, and watch all of them."""
        self._start, self._keeping = start, False
        missing = [slot for slot in self._slots if slot.child is None and slot.restart is None]
        if one_by_one:
            self._queue.extend(missing)
            self._start_next()
        else:
            for slot in missing:
                self._start_one(slot)
        if self._timer is None:
            self._timer = Timer(self._reactor, CHECK, self._check, name="check the gateways", now=False)

    def running(self) -> dict[int, int]:
        """Return the ids of the processes by the numbers of the gateways that run."""
        return {slot.number: slot.child.process_id for slot in self._slots if slot.child is not None}

    def _start_next(self) -> None:
        """Start the next gateway of the queue."""
        self._cancel_next()
        if self._queue:
            self._starting = slot = self._queue.popleft()
            self._next = self._reactor.callLater(PATIENCE, self._start_next)
            self._start_one(slot)

    def _cancel_next(self) -> None:
        self._starting = None
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None

    def _start_one(self, slot: _Slot) -> None:
        slot.restart = None
        slot.started = self._reactor.seconds()
        slot.missed, slot.has_shown_life = 0, False
        if self._start is None:
            raise RuntimeError("nothing says how gateways are started")
        try:
            slot.child = self._start(
                slot.number,
                said=lambda line: self._said(slot, line),
                ended=lambda status: self._ended(slot, status),
            )
        except OSError as error:
            self._start_later(slot, f"cannot be started: {error.strerror or error}")
            return
        _log.info(
            "started gateway {number} as process {process}", number=slot.number, process=slot.child.process_id
        )

    def _said(self, slot: _Slot, line: str) -> None:
        slot.missed, slot.has_shown_life = 0, True
        if line == SERVING:
            _log.info(
                "gateway {number} serves miners, {time:.1f} s after its start",
                number=slot.number,
                time=self._reactor.seconds() - slot.started,
            )
            if slot is self._starting:
                self._start_next()
        elif line != BEAT:
            _log.info("gateway {number}: {line}", number=slot.number, line=line)

    def _ended(self, slot: _Slot, status: int) -> None:
        process = None if slot.child is None else slot.child.process_id
        slot.child = None
        why = f"killed by {signal_name(-status)}" if status < 0 else f"exit status {status}"
        if self._stopping or self._keeping:
            _log.info(
                "gateway {number} (process {process}) has ended: {why}",
                number=slot.number,
                process=process,
                why="another process has its miners" if status == 0 and not self._stopping else why,
            )
            if not self.running():
                self._all_ended()
            return
        if self._reactor.seconds() - slot.started >= SETTLED_AFTER:
            slot.backoff.reset()
        self._start_later(slot, f"(process {process}) has ended: {why}")

    def _start_later(self, slot: _Slot, what: str) -> None:
        wait = slot.backoff.next_wait()
        _log.error(
            "gateway {number} {what}; starting it again in {wait:g} s",
            number=slot.number,
            what=what,
            wait=wait,
        )
        slot.restart = self._reactor.callLater(wait, self._start_one, slot)
        if slot is self._starting:
            self._start_next()

    def _check(self) -> None:
        """Kill the gateways that are stuck: their miners get no work, and connect to others then."""
        for slot in self._slots:
            if slot.child is None:
                continue
            if slot.is_stuck:
                _log.error(
                    "gateway {number} (process {process}) is stuck: no sign of life for {time:g} s; killing it",
                    number=slot.number,
                    process=slot.child.process_id,
                    time=CHECK * slot.missed,
                )
                slot.missed = 0
                slot.child.kill()
            slot.missed += 1
        self._check_successor()

    # --- another process takes over ----------------------------------------------------------------------

    def keep(self) -> None:
        """Start none again for now: another process may take over."""
        self._keeping = True
        self._start_no_more()

    def leave(self, process: int) -> Deferred[None]:
        """Let the gateways of `process`, which has taken over from the node, take over from these. The Deferred
        fires when all of these have ended. Those that nobody takes over from are stopped: after LEAVE_TIME, or
        when `process` has ended."""
        self.keep()
        self._successor, self._left = process, self._reactor.seconds()
        if self.running():
            _log.info(
                "{count} gateways serve their miners until those of process {process} take over",
                count=len(self.running()),
                process=process,
            )
        return self._wait_for_end()

    def _check_successor(self) -> None:
        """Stop the gateways that nobody takes over from."""
        if self._successor is None or self._stopping or not self.running():
            return
        if not self._is_running(self._successor):
            why = f"process {self._successor} has ended"
        elif self._reactor.seconds() - self._left >= LEAVE_TIME:
            why = f"nobody took over from them within {LEAVE_TIME:g} s"
        else:
            return
        numbers = ", ".join(map(str, self.running()))
        _log.error("stopping gateways that are left ({numbers}): {why}", numbers=numbers, why=why)
        self.stop()

    # --- stop --------------------------------------------------------------------------------------------

    def stop(self) -> Deferred[None]:
        """Stop all gateways in order, and kill those that take too long. The Deferred fires when all are gone."""
        if self._stopping:
            return self._wait_for_end()
        self._stopping = True
        self._start_no_more()
        running = [slot.child for slot in self._slots if slot.child is not None]
        if running:
            _log.info("stopping {count} gateways", count=len(running))
            for child in running:
                child.terminate()
            self._deadline = self._reactor.callLater(STOP_TIME, self._kill)
        elif self._timer is not None:
            self._timer.stop()
        return self._wait_for_end()

    def _start_no_more(self) -> None:
        self._queue.clear()
        self._cancel_next()
        for slot in self._slots:
            if slot.restart is not None:
                slot.restart.cancel()
                slot.restart = None

    def _kill(self) -> None:
        for slot in self._slots:
            if slot.child is not None:
                _log.error(
                    "gateway {number} (process {process}) did not stop within {time:g} s: killing it",
                    number=slot.number,
                    process=slot.child.process_id,
                    time=STOP_TIME,
                )
                slot.child.kill()
        self._deadline = self._reactor.callLater(KILL_TIME, self._all_ended)

    def _wait_for_end(self) -> Deferred[None]:
        """Return a Deferred that fires when all gateways have ended."""
        if not self.running():
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def _all_ended(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None
        if self._timer is not None and self._stopping:
            self._timer.stop()
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)
