"""Gateways that the node starts on this machine (--gateways): processes that share one port, about one a core.

They are watched: one that ends is started again, after longer and longer waits if it keeps ending; one that is
stuck is killed first. `base.supervised` says how that is noticed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from p2pool.app.config import Config
from p2pool.base.backoff import Backoff
from p2pool.base.endpoints import host_and_port
from p2pool.base.signals import signal_name
from p2pool.base.supervised import BEAT, BEAT_PERIOD
from p2pool.base.timer import Timer

_log = Logger(namespace="p2pool.gateway")

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before a gateway that ended is started again: doubled each time."""
SETTLED_AFTER: Final = 60.0
"""Seconds after which a gateway counts as running: when it ends then, the waits begin again."""
STOP_TIME: Final = 10.0
"""Seconds that gateways have to stop in order before they are killed."""
KILL_TIME: Final = 2.0
"""Seconds in which the end of a killed process is noticed."""


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
    """Starts gateways, watches them, and stops them."""

    def __init__(self, reactor: IReactorTime, count: int, start: StartChild) -> None:
        self._reactor = reactor
        self._start = start
        self._slots = [_Slot(number) for number in range(1, count + 1)]
        self._stopping: Deferred[None] | None = None
        self._deadline: IDelayedCall | None = None
        self._timer: Timer | None = None

    def start(self) -> None:
        """Start all gateways, and watch them."""
        for slot in self._slots:
            self._start_one(slot)
        self._timer = Timer(self._reactor, CHECK, self._check, name="check the gateways", now=False)

    def running(self) -> dict[int, int]:
        """Return the ids of the processes by the numbers of the gateways that run."""
        return {slot.number: slot.child.process_id for slot in self._slots if slot.child is not None}

    def _start_one(self, slot: _Slot) -> None:
        slot.restart = None
        slot.started = self._reactor.seconds()
        slot.missed, slot.has_shown_life = 0, False

        def said(line: str) -> None:
            slot.missed, slot.has_shown_life = 0, True
            if line != BEAT:
                _log.info("gateway {number}: {line}", number=slot.number, line=line)

        try:
            slot.child = self._start(slot.number, said=said, ended=lambda status: self._ended(slot, status))
        except OSError as error:
            self._start_later(slot, f"cannot be started: {error.strerror or error}")
            return
        _log.info(
            "started gateway {number} as process {process}", number=slot.number, process=slot.child.process_id
        )

    def _ended(self, slot: _Slot, status: int) -> None:
        process = None if slot.child is None else slot.child.process_id
        slot.child = None
        why = f"killed by {signal_name(-status)}" if status < 0 else f"exit status {status}"
        if self._stopping is not None:
            _log.info(
                "gateway {number} (process {process}) has ended: {why}",
                number=slot.number,
                process=process,
                why=why,
            )
            self._finish_if_all_ended()
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

    # --- stop --------------------------------------------------------------------------------------------

    def stop(self) -> Deferred[None]:
        """Stop all gateways in order, and kill those that take too long. The Deferred fires when all are gone."""
        if self._stopping is not None:
            return self._stopping
        if self._timer is not None:
            self._timer.stop()
        running = [slot.child for slot in self._slots if slot.child is not None]
        for slot in self._slots:
            if slot.restart is not None:
                slot.restart.cancel()
                slot.restart = None
        if not running:
            self._stopping = succeed(None)
            return self._stopping
        self._stopping = Deferred()
        _log.info("stopping {count} gateways", count=len(running))
        for child in running:
            child.terminate()
        self._deadline = self._reactor.callLater(STOP_TIME, self._kill)
        return self._stopping

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
        self._deadline = self._reactor.callLater(KILL_TIME, self._finish)

    def _finish_if_all_ended(self) -> None:
        if not self.running():
            self._finish()

    def _finish(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None
        if self._stopping is not None and not self._stopping.called:
            self._stopping.callback(None)


def child_arguments(config: Config, number: int, *, port: int, tls_port: int | None) -> list[str]:
    """Return the arguments of a gateway that the node starts: the node's own, so that all settings of miners hold,
    and those that make it a child. A later flag replaces an earlier one."""
    given, words = _split(config.arguments)
    directory = config.datadir / "gateways" / str(number)
    own = [
        *("--gateways", "0", "--share-port", "--supervised", "--no-console"),
        *("--gateway-name", f"{socket.gethostname()}:{port}/{number}"),
        *("--datadir", str(directory), "--logfile", str(directory / "log")),
        *("--worker-port", host_and_port(config.worker_host, port) if config.worker_host else str(port)),
    ]
    if config.stratum_ssl_port is not None and tls_port is not None:
        host = config.stratum_ssl_port[0]
        own += ["--stratum-ssl-port", host_and_port(host, tls_port) if host else str(tls_port)]
        if config.ssl_cert is None:  # one certificate for all
            own += ["--ssl-cert", str(config.datadir / "stratum-cert.pem")]
            own += ["--ssl-key", str(config.datadir / "stratum-key.pem")]
    return ["gateway", *given, *own, *words]


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments before "--", and the rest."""
    words = list(arguments)
    end = words.index("--") if "--" in words else len(words)
    return words[:end], words[end:]
