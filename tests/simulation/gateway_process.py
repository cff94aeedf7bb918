"""A gateway in the simulation: the real `GatewayApp` on a machine of its own.

Left out are what needs a real system: gateways that a node starts as its children, ports that several processes
share, sockets that one process hands over to the next, and the pages of a gateway's worker port.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from p2pool.app import broker as node_side
from p2pool.app import dashd as dashd_module
from p2pool.app import gateway as gateway_module
from p2pool.app.config import Config, load_config
from p2pool.app.gateway import GatewayApp
from p2pool.networks import Network
from tests.simulation.broker import SimulatedBroker
from tests.simulation.computer import DISK_TIME, Clock, Computer
from tests.simulation.dash_daemon import DaemonState, SimulatedDaemon, SimulatedRpc
from tests.simulation.disk import Disk
from tests.simulation.network import Host, Internet
from tests.simulation.pool_node import WORKER_PORT
from tests.simulation.reactor import SimulatedReactor, environment_of
from tests.simulation.redis_server import PORT as BROKER_PORT

_log = Logger(namespace="simulation")


class _NoProcessWatch:
    """What a simulated gateway has for a `ProcessWatch`: there is no process to measure."""

    def __init__(self, *_: object) -> None:
        pass

    def start(self) -> None:
        """Measure nothing."""

    def stop(self) -> None:
        """Measure nothing any more."""


class _NoSite(Factory):
    """Stands in for a gateway's web site, which nobody visits."""

    access = None


def install() -> None:
    """Let nodes and gateways use the simulated broker, and gateways nothing that needs a real process."""
    for module in (node_side, gateway_module):
        setattr(module, "Broker", SimulatedBroker)  # noqa: B010  # mypy takes it for a type
    gateway_module.ProcessWatch = _NoProcessWatch  # type: ignore[misc, assignment]
    gateway_module.gateway_site = lambda *_, **__: _NoSite()  # type: ignore[assignment]
    dashd_module.RpcClient = SimulatedRpc  # type: ignore[misc, assignment]


def gateway_config(
    directory: Path, network: Network, *, host: Host, broker: str, flags: tuple[str, ...] = ()
) -> Config:
    """Return a gateway's configuration, as from a command line. `broker` is the server's address."""
    words = [
        *("--net", "simnet", "--datadir", str(directory), "-w", f"{host.address}:{WORKER_PORT}"),
        *("--broker", f"redis://{broker}:{BROKER_PORT}", "--gateway-name", host.name),
        *("--disable-broadcaster", *flags),
    ]
    return replace(load_config(words, directory, {}, gateway=True), network=network)


class GatewayProcess:
    """One run of a gateway, from its start until it is stopped or killed."""

    def __init__(
        self, reactor: SimulatedReactor, config: Config, *, clock: Callable[[], float], chance: random.Random
    ) -> None:
        self.reactor = reactor
        self.app = GatewayApp(config, environment_of(reactor, clock=clock, chance=chance))

    async def stop(self) -> None:
        """Stop as on SIGTERM."""
        await self.app.stop()

    def start(self) -> None:
        """Start all services."""
        self.app.config.datadir.mkdir(parents=True, exist_ok=True)
        started = Deferred.fromCoroutine(self.app.start())
        started.addErrback(lambda failure: _log.failure("a gateway could not start", failure))


class GatewayMachine(Computer[GatewayProcess]):
    """A computer with a gateway of the node number `node`, and perhaps a Dash Core."""

    def __init__(
        self,
        internet: Internet,
        host: Host,
        *,
        node: int,
        clock: Clock,
        disk: Disk,
        daemon: SimulatedDaemon | None,
        config: Config,
    ) -> None:
        super().__init__(internet, host, clock=clock, disk=disk, daemon=daemon, config=config)
        self.node = node

    def start(self) -> None:
        """Start the gateway, if none runs and the machine has power."""
        if self.process is not None or not self.host.up:
            return
        self.runs += 1
        reactor = SimulatedReactor(self.internet, self.host)
        reactor.thread_time = lambda: DISK_TIME + self.disk.delay
        chance = self.events.chance(f"{self.name}, run {self.runs}")
        self.process = reactor.call(lambda: GatewayProcess(reactor, self.config, clock=self.clock, chance=chance))
        self.started(self)
        reactor.call(self.process.start)

    def power_on(self) -> None:
        """Start the machine, its Dash Core, and the gateway."""
        if self.host.up:
            return
        self.host.up = True
        if self.daemon is not None and self.daemon.state is DaemonState.DOWN:
            self.daemon.start()
        self.start()
