"""A machine of the simulated world: its place in the network, its clock, its disk, its Dash Core and its node."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from p2pool.app.config import Config
from tests.simulation.dash_daemon import DaemonState, SimulatedDaemon
from tests.simulation.disk import Disk
from tests.simulation.events import WORLD, EventQueue
from tests.simulation.network import Host, Internet
from tests.simulation.pool_node import PoolProcess
from tests.simulation.reactor import SimulatedReactor

DISK_TIME = 0.004
"""Seconds that a healthy disk takes for a sync."""
STOP_TIME = 10.0
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


class Machine:
    """A computer with a node. `process` is None while no node runs."""

    def __init__(
        self, internet: Internet, host: Host, *, clock: Clock, disk: Disk, daemon: SimulatedDaemon, config: Config
    ) -> None:
        self.internet = internet
        self.host = host
        self.clock = clock
        self.disk = disk
        self.daemon = daemon
        self.config = config
        self.process: PoolProcess | None = None
        self.runs = 0
        self.honest = True
        self.started: Callable[[Machine], None] = lambda machine: None
        """Called at a start, before anything of the new process happens."""
        self.ending: Callable[[Machine], None] = lambda machine: None
        """Called before the process ends."""
        self.data_lost: Callable[[Machine], None] = lambda machine: None
        """Called when the files of the node are lost, or are replaced by old ones."""
        self.crashed: Callable[[], None] = lambda: None
        """Called when it has ended in the middle of a call to the system."""

    @property
    def name(self) -> str:
        """Return what logs call it."""
        return self.host.name

    @property
    def events(self) -> EventQueue:
        """Return the events of its world."""
        return self.internet.events

    def start(self) -> None:
        """Start the node, if none runs and the machine has power."""
        if self.process is not None or not self.host.up:
            return
        self.runs += 1
        reactor = SimulatedReactor(self.internet, self.host)
        reactor.thread_time = self._disk_time
        reactor.in_thread = self.disk.run
        reactor.crashed = self._crashed
        chance = self.events.chance(f"{self.name}, run {self.runs}")
        self.process = PoolProcess(reactor, self.config, clock=self.clock, chance=chance)
        self.started(self)
        reactor.call(self.process.start)

    def _disk_time(self) -> float:
        return DISK_TIME + self.disk.delay + max(0.0, self.disk.hangs_until - self.events.now)

    def _crashed(self) -> None:
        self.kill()
        self.disk.end_crash()
        self.crashed()

    def kill(self) -> None:
        """End the node as SIGKILL does."""
        if self.process is not None:
            self.ending(self)
            self.process.reactor.kill()
            self.process = None
            self.disk.killed()

    def stop(self) -> None:
        """End the node as SIGTERM does."""
        process = self.process
        if process is None:
            return

        def ended(result: Any) -> None:
            if self.process is process:
                self.kill()

        stopping: Deferred[None] = process.reactor.call(lambda: Deferred.fromCoroutine(process.stop()))
        stopping.addBoth(ended)
        self.events.at(self.events.now + STOP_TIME, WORLD, ended, None)

    def cut_power(self) -> None:
        """End everything on the machine at once; what is not on the disk is lost."""
        if not self.host.up:
            return
        self.host.up = False
        if self.process is not None:
            self.ending(self)
            self.process.reactor.kill(power=True)
            self.process = None
        self.disk.cut_power()
        self.daemon.stop()

    def power_on(self) -> None:
        """Start the machine, its Dash Core, and the node."""
        if self.host.up:
            return
        self.host.up = True
        self.daemon.start()
        self.start()

    def lose_data(self) -> None:
        """Start with an empty disk the next time; the node must not run."""
        self.data_lost(self)
        shutil.rmtree(self.disk.directory, ignore_errors=True)
        self.disk.directory.mkdir(parents=True)

    @property
    def works(self) -> bool:
        """Return whether the node and its Dash Core run, and the machine is connected."""
        return self.process is not None and self.host.up and self.daemon.state is DaemonState.RUNNING

    def reconfigure(self, **changes: Any) -> None:
        """Change settings from the next start on."""
        self.config = replace(self.config, **changes)
