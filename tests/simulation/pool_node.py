"""A p2pool node in the simulation: the real services, put together as `app.root` does, on a simulated machine."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from p2pool.app import dashd as dashd_module
from p2pool.app.broker import BrokerAssembly
from p2pool.app.config import Config, load_config
from p2pool.app.dashd import DashdAssembly, daemon_addresses
from p2pool.app.payouts import payout_addresses
from p2pool.app.peers import PeersAssembly
from p2pool.app.stratum import StratumAssembly
from p2pool.base.environment import Environment
from p2pool.dashd.found_block import FoundBlock
from p2pool.networks import Network
from p2pool.node import Node, NodeSettings, WorkChange
from p2pool.node.persistence import Persistence
from p2pool.pool_stats import PoolStats
from p2pool.sharechain.tracker import Tracker
from p2pool.stratum.upcoming_work import is_newer_work_coming
from tests.simulation.dash_daemon import SimulatedRpc
from tests.simulation.reactor import SimulatedReactor

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
    """One run of a node, from its start until it is stopped or killed."""

    def __init__(
        self,
        reactor: SimulatedReactor,
        config: Config,
        *,
        clock: Callable[[], float],
        chance: random.Random,
    ) -> None:
        self.reactor = reactor
        self.config = config
        any_reactor: Any = reactor
        self.environment = environment = Environment(
            reactor=any_reactor,
            clock=clock,
            monotonic=reactor.seconds,
            run_in_thread=reactor.run_in_thread,
            run_in_daemon_thread=reactor.run_in_thread,
            chance=chance,
        )
        self.loaded: list[Callable[[], None]] = []
        """Called once the shares are loaded."""
        self.stats = PoolStats(clock())
        payouts = payout_addresses(config, chance)
        self.node = node = Node(
            environment,
            config.network,
            tracker=Tracker(config.network),
            settings=NodeSettings(payouts.key_hash, config.fee, config.donation),
            stats=self.stats,
        )
        dashd_module.RpcClient = SimulatedRpc  # type: ignore[misc, assignment]
        self.dashd = DashdAssembly(
            environment, config, node=node, stats=self.stats, new_template=node.set_template
        )
        self.persistence = Persistence(environment, node, config.datadir, archive=not config.disable_share_archive)
        self.peers = PeersAssembly(environment, config, node=node, block_found=self.dashd.block_found)
        self.stratum = StratumAssembly(
            environment,
            config,
            work=node,
            stats=self.stats,
            problem=self._work_problem,
        )
        self.gateways = self._make_gateways()

    def _work_problem(self) -> str | None:
        return self.dashd.problem or self.node.work_problem

    def _make_gateways(self) -> BrokerAssembly | None:
        """Return the node's side of its gateways; None without a broker."""
        if self.config.broker is None:
            return None
        gateways = BrokerAssembly(
            self.environment,
            self.config.broker,
            node=self.node,
            persistence=self.persistence,
            problem=self._work_problem,
            is_safe=self.dashd.is_safe,
        )
        gateways.share(self.stratum)
        return gateways

    def start(self) -> Deferred[None]:
        """Start all services; the Deferred fires when they run."""
        started = Deferred.fromCoroutine(self._start())
        started.addErrback(lambda failure: _log.failure("a node could not start", failure))
        return started

    async def _start(self) -> None:
        self.config.datadir.mkdir(parents=True, exist_ok=True)
        self.stratum.listen(Factory())
        self.peers.listen()
        node = self.node
        node.work_changed.subscribe(self._work_changed)
        node.block_found.subscribe(self._block_found)
        self.stratum.server.first_job_sent.subscribe(self.dashd.job_sent)
        self.persistence.announce.subscribe(self.peers.share_announced)
        await self.persistence.start()
        for function in self.loaded:
            function()
        await self.dashd.start(daemon_addresses(self.config))
        if self.dashd.pool is not None:
            await self.peers.start(self.dashd.pool)
        self.stratum.start()
        if self.gateways is not None:
            self.gateways.start()

    def _work_changed(self, change: WorkChange) -> None:
        context = change.context
        tip = context.parent.previous_hash
        best = None if tip is None else self.node.tracker.get(tip)
        more = is_newer_work_coming(context, best)
        self.stratum.work_changed(context, clean=change.clean, more_to_come=more)
        if self.gateways is not None:
            self.gateways.work_changed(context, clean=change.clean, more_to_come=more)

    def _block_found(self, found: FoundBlock) -> None:
        self.dashd.block_found(found)

    async def stop(self) -> None:
        """Stop as on SIGTERM."""
        for service in (self.stratum, self.gateways, self.peers, self.dashd, self.persistence):
            if service is not None:
                await service.stop()  # type: ignore[attr-defined]
