"""What mines: node, Dash Core, peers, miners and gateways, connected with each other, started, stopped in order.

`app.root` puts pages, alerts and history around it; the simulation of the tests runs it without them.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger

from p2pool.app.bench_log import TEMPLATE, BenchLog
from p2pool.app.config import Config
from p2pool.app.dashd import DaemonAddress, DashdAssembly
from p2pool.app.payouts import payout_addresses, start_payout_service
from p2pool.app.peers import PeersAssembly
from p2pool.app.routes import dashd_environment
from p2pool.app.stopping import StopTimes
from p2pool.app.stratum import StratumAssembly
from p2pool.base.environment import Environment
from p2pool.base.text import format_dash
from p2pool.dash.hashes import hash_hex, short_hash
from p2pool.dashd.found_block import FoundBlock
from p2pool.dashd.merged import MergedMining
from p2pool.dashd.payout_service import PayoutService
from p2pool.net.worker_port import WebConnections
from p2pool.node import FoundAuxBlock, Node, NodeSettings, WorkChange
from p2pool.node.persistence import Persistence
from p2pool.pool_stats import BlockRecord, BlockStatus, PoolStats
from p2pool.sharechain.tracker import Tracker
from p2pool.stratum.upcoming_work import is_newer_work_coming
from p2pool.web.health import LOADING_SHARES, NO_DASHD, NO_WORK, STOPPING, Missing

if TYPE_CHECKING:
    from p2pool.app.broker import BrokerAssembly

SHARES_STOP_TIME: Final = 12.0
"""Seconds that the shares have to get to the disk while another process takes over. If a write takes some seconds,
the last shares wait for the one that is under way, and need another."""
START_END, MINERS_END, NETWORK_END, DISK_END = 1.5, 5.0, 7.0, 9.2
"""Seconds after a signal by which a start under way, miners, connections, and at last the disk have to be done."""
_log = Logger(namespace="p2pool")


class Pool:
    """All services of a node that mine."""

    def __init__(self, environment: Environment, config: Config) -> None:
        self.environment = environment
        self.config = config
        self.stats = PoolStats(environment.clock())
        self.bench = BenchLog(environment.monotonic) if config.bench else None
        self.payouts = payout_addresses(config, environment.chance)
        self.payout_service: PayoutService | None = None
        self.stopping = False
        self._loaded = False
        self._starting = DeferredLock()
        """Held while services are started, after the shares were loaded: they stop between two of them only."""
        self.node = Node(
            environment,
            config.network,
            tracker=Tracker(config.network),
            settings=NodeSettings(self.payouts.key_hash, config.fee, config.donation),
            stats=self.stats,
        )
        self.dashd = DashdAssembly(
            environment,
            config,
            node=self.node,
            stats=self.stats,
            new_template=self._timed("template", self.node.set_template, TEMPLATE),
        )
        self.persistence = Persistence(
            environment,
            self.node,
            config.datadir,
            archive=not config.disable_share_archive,
            import_from=config.import_shares,
        )
        self.peers = PeersAssembly(environment, config, node=self.node, block_found=self._block_found)
        self.merged = MergedMining(
            dashd_environment(environment, config), config.merged, config.datadir / "aux-blocks"
        )
        self.gateways = self._make_gateways()
        self.stratum = StratumAssembly(
            environment,
            config,
            work=self.node,
            stats=self.stats,
            problem=self._work_problem,
            missing=lambda: math.inf if self.peers.is_cut_off else 0.0,
            bench=self.bench,
        )
        self.shared = None if self.gateways is None else self.gateways.share(self.stratum)
        self._connect()

    def _make_gateways(self) -> BrokerAssembly | None:
        """Return what serves gateways; None without a broker."""
        if self.config.broker is None:
            return None
        # Imported late: only nodes with gateways need the packages of the broker.
        from p2pool.app.broker import BrokerAssembly

        return BrokerAssembly(
            self.environment,
            self.config.broker,
            node=self.node,
            persistence=self.persistence,
            problem=self._work_problem,
            withdrawn=lambda: self.peers.is_cut_off,
            is_safe=self.dashd.is_safe,
        )

    def _connect(self) -> None:
        """Let events of one part reach the others."""
        node = self.node
        node.work_changed.subscribe(self._timed("work to all", self._work_changed))
        node.block_found.subscribe(self._block_found)
        self.stratum.server.first_job_sent.subscribe(self.dashd.job_sent)
        self.dashd.block_store.changed.subscribe(self._block_changed)
        node.aux_block_found.subscribe(self._aux_block_found)
        self.merged.table.changed.subscribe(node.set_aux)
        self.merged.table.work_due.subscribe(lambda _: node.renew_aux_work())
        self.persistence.announce.subscribe(self.peers.share_announced)

    def _timed(self, what: str, function: Callable[[Any], None], kind: str | None = None) -> Callable[[Any], None]:
        """Log how long the call takes, if --bench is given."""
        return function if self.bench is None else self.bench.timed(what, function, kind)

    # --- start -------------------------------------------------------------------------------------------

    def listen(
        self, web: IProtocolFactory, dashboard: str | None = None, browsers: WebConnections | None = None
    ) -> None:
        """Open the ports for miners, as `StratumAssembly.listen` does, and for other nodes. Raises
        OperatorError."""
        self.stratum.listen(web, dashboard, browsers)
        self.peers.listen()

    async def load(self) -> None:
        """Load the stored shares. Raises OperatorError."""
        await self.persistence.start()
        self._loaded = True
        best = self.node.best_share
        if best is not None:
            height = self.node.tracker.height(best)
            _log.info("best share {best}, height {height}", best=short_hash(best), height=height)

    async def start(
        self, find_daemons: Callable[[], Sequence[DaemonAddress]], *before: Callable[[], Awaitable[None]]
    ) -> None:
        """Start to mine, once the shares are loaded and the services of `before` have started. A stop interrupts
        this between two services. Raises OperatorError."""

        async def start_dash_core() -> None:
            await self.dashd.start(find_daemons())

        if self.stopping:
            return
        async with self._starting:
            for step in (*before, start_dash_core, self._start_services):
                await step()
                if self._is_stopping():
                    return

    async def _start_services(self) -> None:
        if self.dashd.pool is not None:
            self.payout_service = start_payout_service(
                self.environment, self.config, addresses=self.payouts, rpc=self.dashd.pool.daemons[0].rpc
            )
            await self.peers.start(self.dashd.pool)
        self.stratum.start()
        if self.gateways is not None:
            self.gateways.start()
        self.merged.start()

    # --- events ------------------------------------------------------------------------------------------

    def _work_changed(self, change: WorkChange) -> None:
        """Broadcast new work to miners."""
        context = change.context
        tip = context.parent.previous_hash
        best = None if tip is None else self.node.tracker.get(tip)
        more_to_come = is_newer_work_coming(context, best)
        self.stratum.work_changed(context, clean=change.clean, more_to_come=more_to_come)
        if self.gateways is not None:
            self.gateways.work_changed(context, clean=change.clean, more_to_come=more_to_come)

    def _block_found(self, found: FoundBlock) -> None:
        self.dashd.block_found(found)
        _log.info(
            "BLOCK {height} {block_hash} found by {worker}: {value} {symbol}",
            height=found.height,
            block_hash=hash_hex(found.block_hash),
            worker=found.worker,
            value=format_dash(found.subsidy),
            symbol=self.config.network.parent.symbol,
        )

    def _aux_block_found(self, found: FoundAuxBlock) -> None:
        self.merged.offer(found.work, found.proof, found.worker)

    def _block_changed(self, record: BlockRecord) -> None:
        if is_first_confirmation(record) and self.dashd.pool is not None:
            self.dashd.pool.refresh()

    def _work_problem(self) -> str | None:
        """Return why there is no fresh work for miners; None while there is."""
        return self.dashd.problem or self.node.work_problem

    def missing(self) -> list[Missing]:
        """Return what keeps miners from getting fresh work, for /readyz; costs next to nothing."""
        if self.stopping:
            return [STOPPING]
        if not self._loaded:
            return [LOADING_SHARES]
        found = [] if self.dashd.problem is None else [NO_DASHD]
        found += self.peers.missing()
        has_work = self.node.context is not None and self.node.work_problem is None
        return found if found or has_work else [NO_WORK]

    # --- stop --------------------------------------------------------------------------------------------

    def _is_stopping(self) -> bool:
        return self.stopping

    def _unbounded(self) -> StopTimes:
        return StopTimes(self.environment.reactor, bounded=False)

    async def interrupt(self, times: StopTimes | None = None) -> None:
        """Start no more services, and wait until the one that is being started has started."""
        if not self.stopping:
            self.stopping = True
            await (times or self._unbounded()).part(self._starting.acquire, by=START_END)

    async def stop(self, times: StopTimes | None = None) -> None:
        """Stop everything: miners, connections, blocks under way, and at last the shares, all of which are on disk
        when this returns, unless the disk hangs."""
        times = times or self._unbounded()
        await self.interrupt(times)
        await times.part(self.stratum.stop, by=MINERS_END)
        if self.payout_service is not None:
            self.payout_service.stop()
        gateways = () if self.gateways is None else (self.gateways.stop,)
        await times.together(*gateways, self.peers.stop, self.dashd.stop, self.merged.stop, by=NETWORK_END)
        await times.part(self.persistence.stop, SHARES_STOP_TIME, by=DISK_END)


def is_first_confirmation(record: BlockRecord) -> bool:
    """Return whether a block of the pool has just got into the parent chain."""
    return record.status is BlockStatus.ACCEPTED and record.confirmations == 1
