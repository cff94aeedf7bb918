"""A p2pool node in the simulation: the real `Pool`, or the whole `App`, on a simulated machine."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from p2pool.app import dashd as dashd_module
from p2pool.app.config import Config, load_config
from p2pool.app.dashd import daemon_addresses
from p2pool.app.pool import Pool
from p2pool.networks import Network
from tests.simulation.dash_daemon import SimulatedRpc
from tests.simulation.reactor import SimulatedReactor, environment_of
from tests.simulation.surroundings import whole_node

_log = Logger(namespace="simulation")
WORKER_PORT, P2P_PORT = 7903, 8999


def pool_config(directory: Path, network: Network, address: str, flags: tuple[str, ...] = ()) -> Config:
    """Return a node's configuration, as from a command line."""
    from dataclasses import replace

    words = [
        *("--net", "simnet", "--datadir", str(directory), "-a", address),
        *("-w", f"0.0.0.0:{WORKER_PORT}", "--p2pool-port", f"0.0.0.0:{P2P_PORT}"),
        *("--dashd-address", "127.0.0.1", "--dashd-rpc-port", "9998", "--dashd-p2p-port", "9999"),
        *("--disable-upnp", "--disable-broadcaster", *flags, "user", "password"),
    ]
    return replace(load_config(words, directory, {}), network=network)


class PoolProcess:
    """One run of a node, from its start until it is stopped or killed: its real assembly, of what mines."""

    def __init__(
        self,
        reactor: SimulatedReactor,
        config: Config,
        *,
        clock: Callable[[], float],
        chance: random.Random,
        surroundings: bool = False,
    ) -> None:
        """Take whether there are history, alerts and pages around the pool."""
        self.reactor = reactor
        self.config = config
        self.environment = environment_of(reactor, clock=clock, chance=chance)
        self.loaded: list[Callable[[], None]] = []
        """Called once the shares are loaded."""
        dashd_module.RpcClient = SimulatedRpc  # type: ignore[misc, assignment]
        self.app = whole_node(self.environment, config, self._loaded) if surroundings else None
        self.pool = pool = Pool(self.environment, config) if self.app is None else self.app.pool
        self.stats, self.node, self.dashd = pool.stats, pool.node, pool.dashd
        self.persistence, self.peers, self.stratum = pool.persistence, pool.peers, pool.stratum
        self.gateways = pool.gateways

    def start(self) -> Deferred[None]:
        """Start all services; the Deferred fires when they run."""
        started = Deferred.fromCoroutine(self._start())
        started.addErrback(lambda failure: _log.failure("a node could not start", failure))
        return started

    async def _start(self) -> None:
        self.config.datadir.mkdir(parents=True, exist_ok=True)
        if self.app is not None:
            await self.app.start()
            return
        self.pool.listen(Factory())
        await self.pool.load()
        self._loaded()
        await self.pool.start(lambda: daemon_addresses(self.config))

    def _loaded(self) -> None:
        for function in self.loaded:
            function()

    async def stop(self) -> None:
        """Stop as on SIGTERM."""
        await (self.pool if self.app is None else self.app).stop()
