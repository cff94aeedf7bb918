"""A computer of the simulated world: its place in the network, its clock, its disk, and the end of what runs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred

from p2pool.app.config import Config
from tests.simulation.dash_daemon import SimulatedDaemon
from tests.simulation.disk import Disk
from tests.simulation.events import WORLD, EventQueue
from tests.simulation.network import Host, Internet
from tests.simulation.reactor import SimulatedReactor

DISK_TIME: Final = 0.004
"""Seconds that a healthy disk takes for a sync."""
STOP_TIME: Final = 10.0
"""Seconds after SIGTERM until SIGKILL."""


class Clock:
    """The system clock of a machine: `offset` seconds from the truth, and `drift` seconds more each second."""

    def __init__(self, events: EventQueue, epoch: float) -> None:
        self._events = events
        self._epoch = epoch
        self.offset = 0.0
        self.drift = 0.0

    def __call__(self) -> float:
        """Return Unix seconds."""
        now = self._events.now
        return self._epoch + now * (1 + self.drift) + self.offset


class Process(Protocol):
    """A run of a program."""

    reactor: SimulatedReactor

    def stop(self) -> Coroutine[Any, Any, None]:
        """Stop as on SIGTERM."""


P = TypeVar("P", bound=Process)


class Computer(Generic[P]):
    """A computer with one program of ours. `process` is None while that does not run."""

    def __init__(
        self,
        internet: Internet,
        host: Host,
        *,
        clock: Clock,
        disk: Disk,
        daemon: SimulatedDaemon | None,
        config: Config,
    ) -> None:
        self.internet = internet
        self.host = host
        self.clock = clock
        self.disk = disk
        self.daemon = daemon
        self.config = config
        self.process: P | None = None
        self.runs = 0
        self.started: Callable[[Any], None] = lambda machine: None
        """Called with this computer at a start, before anything of the new process happens."""
        self.ending: Callable[[Any], None] = lambda machine: None
        """Called with this computer before the process ends."""

    @property
    def name(self) -> str:
        """Return what logs call it."""
        return self.host.name

    @property
    def events(self) -> EventQueue:
        """Return the events of its world."""
        return self.internet.events

    def kill(self) -> None:
        """End the program as SIGKILL does."""
        if self.process is not None:
            self.ending(self)
            self.process.reactor.kill()
            self.process = None
            self.disk.killed()

    def stop(self) -> None:
        """End the program as SIGTERM does."""
        process = self.process
        if process is None:
            return

        def ended(result: object) -> None:
            if self.process is process:
                self.kill()

        stopping: Deferred[None] = process.reactor.call(lambda: Deferred.fromCoroutine(process.stop()))
        stopping.addBoth(ended)
        self.events.at(self.events.now + STOP_TIME, WORLD, ended, None)

    def cut_power(self) -> None:
        """End everything on the computer at once; what is not on the disk is lost."""
        if not self.host.up:
            return
        self.host.up = False
        if self.process is not None:
            self.ending(self)
            self.process.reactor.kill(power=True)
            self.process = None
        self.disk.cut_power()
        if self.daemon is not None:
            self.daemon.stop()
