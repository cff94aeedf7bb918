"""A computer of the simulated world with a node and its Dash Core."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from p2pool.app.config import Config
from tests.simulation.computer import DISK_TIME, Clock, Computer
from tests.simulation.dash_daemon import DaemonState, SimulatedDaemon
from tests.simulation.disk import Disk
from tests.simulation.network import Host, Internet
from tests.simulation.pool_node import PoolProcess
from tests.simulation.reactor import SimulatedReactor


class Machine(Computer[PoolProcess]):
    """A computer with a node and its Dash Core."""

    def __init__(
        self, internet: Internet, host: Host, *, clock: Clock, disk: Disk, daemon: SimulatedDaemon, config: Config
    ) -> None:
        super().__init__(internet, host, clock=clock, disk=disk, daemon=daemon, config=config)
        self.daemon: SimulatedDaemon = daemon
        self.surroundings = False
        """Whether the node has history, alerts and pages."""
        self.honest = True
        self.data_lost: Callable[[Machine], None] = lambda machine: None
        """Called when the files of the node are lost, or are replaced by old ones."""
        self.crashed: Callable[[], None] = lambda: None
        """Called when it has ended in the middle of a call to the system."""

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
        self.process = PoolProcess(
            reactor, self.config, clock=self.clock, chance=chance, surroundings=self.surroundings
        )
        self.started(self)
        reactor.call(self.process.start)

    def _disk_time(self) -> float:
        return DISK_TIME + self.disk.delay + max(0.0, self.disk.hangs_until - self.events.now)

    def _crashed(self) -> None:
        self.kill()
        self.disk.end_crash()
        self.crashed()

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
