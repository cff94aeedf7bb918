"""The composition root: constructs the services, connects them, starts and stops them. Called by `process`."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import DeferredLock, ensureDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.task import cooperate, deferLater
from twisted.logger import Logger

from p2pool import __version__
from p2pool.app.alerts import AlertsAssembly
from p2pool.app.bench_log import PERIOD, TEMPLATE, BenchLog
from p2pool.app.config import Config
from p2pool.app.dashd import DaemonAddress, DashdAssembly, daemon_addresses, require_daemon
from p2pool.app.gateway_children import GatewayChildren
from p2pool.app.handover import HandedOver
from p2pool.app.history import HistoryAssembly
from p2pool.app.leftover_gateways import warn_of_leftovers
from p2pool.app.own_gateways import OwnGateways
from p2pool.app.payouts import payout_addresses, start_payout_service
from p2pool.app.peers import PeersAssembly
from p2pool.app.process_watch import ProcessWatch
from p2pool.app.shown_settings import shown_settings
from p2pool.app.simnet import SimnetAssembly
from p2pool.app.status_log import StatusLog
from p2pool.app.stratum import StratumAssembly
from p2pool.app.web import WebAssembly
from p2pool.base.environment import Environment
from p2pool.base.text import format_dash
from p2pool.base.timer import Timer
from p2pool.dash.hashes import hash_hex, short_hash
from p2pool.dashd.found_block import FoundBlock
from p2pool.dashd.merged import MergedMining
from p2pool.dashd.payout_service import PayoutService
from p2pool.node import FoundAuxBlock, Node, NodeSettings, WorkChange
from p2pool.node.persistence import Persistence
from p2pool.pool_stats import BlockRecord, BlockStatus, PoolStats
from p2pool.share.share import Share
from p2pool.sharechain.tracker import Tracker
from p2pool.stratum.upcoming_work import is_newer_work_coming
from p2pool.web.live import LiveService
from p2pool.web.live_wiring import LiveWiring
from p2pool.web.request import client_host
from p2pool.web.sources import NodePorts, OpenPort, Sources, script_to_text
from p2pool.web.views import Views

if TYPE_CHECKING:
    from p2pool.app.broker import BrokerAssembly

STOP_TIME = 3.0
"""Seconds that each part has to stop."""
RECONNECT_TIME = 1.0
"""Seconds that miners who were asked to reconnect have for it, before another process takes over."""
CHILDREN_STOP_TIME = 15.0
"""Seconds that the gateways of this machine have to stop, and to be killed if they do not."""
_log = Logger(namespace="p2pool")


class App:
    """All services of one node."""

    def __init__(
        self,
        config: Config,
        environment: Environment,
        set_log_level: Callable[[str], None],
        *,
        children: GatewayChildren | None = None,
    ) -> None:
        """Take `children`, the gateways that the process starts with --gateways."""
        self.config = config
        self.environment = environment
        self.reactor = environment.reactor
        self.stats = PoolStats(environment.clock())
        self.process_watch = ProcessWatch(environment, self.stats)
        self._bench = BenchLog(time.perf_counter) if config.bench else None
        self.payouts = payout_addresses(config, environment.chance)
        self.payout_service: PayoutService | None = None
        self._construct_pool()
        self.children: OwnGateways | None = None
        if children is not None:
            self.children = OwnGateways(
                environment,
                config,
                stratum=self.stratum,
                children=children,
                has_broker=lambda: self.gateways is not None and self.gateways.broker.problem is None,
            )
        self._construct_monitoring(set_log_level)
        self._timers: list[Timer] = []
        self._stopping = False
        self._starting = DeferredLock()
        """Held while services are started, after the shares were loaded: they stop between two of them only."""

    def _construct_pool(self) -> None:
        """Construct what mines: node, Dash Core, peers, miners."""
        config, environment = self.config, self.environment
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
        self.merged = MergedMining(environment, config.merged, config.datadir / "aux-blocks")
        self.simnet = SimnetAssembly(environment, config)
        self.gateways = self._make_gateways()
        self.stratum = StratumAssembly(
            environment,
            config,
            work=self.node,
            stats=self.stats,
            problem=self._work_problem,
            bench=self._bench,
        )
        self.shared = None if self.gateways is None else self.gateways.share(self.stratum)

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
            is_safe=self.dashd.is_safe,
        )

    def _construct_monitoring(self, set_log_level: Callable[[str], None]) -> None:
        """Construct what people see of the pool: history, alerts, web, log."""
        config, environment = self.config, self.environment
        self.history = HistoryAssembly(environment, config)
        self.alerts = AlertsAssembly(
            environment,
            config,
            stats=self.stats,
            page=lambda: self._url,
            ban_of=self.stratum.server.guard.ban_of,
            history_problem=self.history.problem,
        )
        self.alerts.service.events.subscribe(self.history.record_event)
        self.web = WebAssembly(
            environment,
            config,
            operator=self.stratum.operator,
            set_log_level=set_log_level,
            alerts=self.alerts,
            gateways=None if self.shared is None else self.shared.sender,
        )
        self.views = Views(self._sources())
        self.status_log = StatusLog(environment, self.views.sources, self.dashd.advice)
        self.live = LiveService(
            environment,
            origins=config.ws_allow_origin,
            client_host=client_host,
            allowed_views=self.web.watchable_views,
        )

    def _sources(self) -> Sources:
        """Return where the pages' figures come from."""
        config = self.config
        return Sources(
            node=self.node,
            stats=self.stats,
            dashd=self.dashd.figures,
            store_problem=lambda: self.persistence.problem,
            lost_databases=self._lost_databases,
            broker_problem=lambda: None if self.gateways is None else self.gateways.broker.problem,
            peers=self.peers.figures,
            fee=config.fee,
            donation=config.give_author,
            payouts=self.payouts,
            version=__version__,
            merged=lambda: self.merged.figures,
            metrics_max_workers=config.metrics_max_workers,
            ports=self._ports,
            process_memory=self.process_watch.memory,
            ban_duration=config.ban_duration,
            stratum_limits=self.stratum.limits,
            web_password=config.web_password is not None,
            broadcaster_enabled=not config.disable_broadcaster,
            alerts=self.alerts.service.figures,
            web_rates=self.web.access.figures,
            history=self.history.history,
            traffic=self.peers.traffic,
            known_nodes=self.peers.known_nodes,
            look_ups=self.peers.look_ups,
            census=self.peers.hub.census,
            listening=self._listening,
            settings=shown_settings(config),
        )

    # --- start -------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Load the shares that an earlier process has stored, while it still serves the miners. Raises
        OperatorError if Dash Core does not answer: then they must not wait for work."""
        if not self.config.embeds_simnet:
            await require_daemon(self.environment, daemon_addresses(self.config))
        await self.persistence.preload()
        _spare_shares_from_collection()

    async def start(self, handed: HandedOver | None = None) -> None:
        """Start all services; `handed` is what an earlier process handed over, for `adopt`. Raises OperatorError,
        and ParseError for a state that cannot be used."""
        config = self.config
        if handed is not None:
            self.stratum.take_over(handed)
            if self.children is not None:
                self.children.wait_for_adoption()
        _log.info("p2pool-dash {version} on {network}", version=__version__, network=config.network.name)
        built_in = built_in_pages()
        files = config.web_static or built_in
        custom_pages = files.resolve() != built_in.resolve()
        site = self.web.listen(self.views, files, live=self.live.resource, custom_pages=custom_pages)
        self.stratum.listen(site, self.web.url, self.web.browsers)
        self.peers.listen()
        self._wire()
        await self._load_shares()
        if handed is None:
            _spare_shares_from_collection()
        if self._is_stopping():
            return
        async with self._starting:
            for step in (self.alerts.service.start, self._start_dash_core, self._start_services):
                await step()
                if self._is_stopping():
                    return

    def _lost_databases(self) -> list[str]:
        emptied = (self.persistence.emptied, self.history.emptied())
        return [problem for problem in emptied if problem is not None]

    def _is_stopping(self) -> bool:
        return self._stopping

    async def _start_dash_core(self) -> None:
        await self.dashd.start(self._find_dashd())

    async def _start_services(self) -> None:
        config = self.config
        if self.dashd.pool is not None:
            self.payout_service = start_payout_service(
                self.environment, self.config, addresses=self.payouts, rpc=self.dashd.pool.daemons[0].rpc
            )
            await self.peers.start(self.dashd.pool)
        self.stratum.start()
        if self.gateways is not None:
            self.gateways.start()
        if self.children is not None:
            self.children.start()
        else:
            warn_of_leftovers(config.datadir, config.network.name)
        self.merged.start()
        self.history.start(self.views.sources.cache)
        self._timers = [Timer(self.reactor, 1.0, self._refresh_views, name="refresh the views")]
        if self._bench is not None:
            self._timers.append(
                Timer(self.reactor, PERIOD, self._bench.log_summary, name="log the timings", now=False)
            )
        self.status_log.start()
        self.process_watch.start()
        if config.embeds_simnet:
            self.simnet.start_miners(self.stratum.host, self.stratum.port)

    async def _load_shares(self) -> None:
        await self.persistence.start()
        best = self.node.best_share
        if best is not None:
            height = self.node.tracker.height(best)
            _log.info("best share {best}, height {height}", best=short_hash(best), height=height)

    def _wire(self) -> None:
        node = self.node
        node.work_changed.subscribe(self._timed("work to all", self._work_changed))
        node.block_found.subscribe(self._block_found)
        self.stratum.server.first_job_sent.subscribe(self.dashd.job_sent)
        self.dashd.block_store.changed.subscribe(self._block_changed)
        node.aux_block_found.subscribe(self._aux_block_found)
        self.merged.table.changed.subscribe(node.set_aux)
        self.merged.table.work_due.subscribe(lambda _: node.renew_aux_work())
        self.persistence.announce.subscribe(self._share_announced)
        live = LiveWiring(self.live, node, peers=self.peers.figures, clock=self.environment.clock)
        self.persistence.announce.subscribe(live.share)
        self.dashd.block_store.changed.subscribe(live.block)
        node.work_changed.subscribe(live.work)
        self.peers.hub.peers_changed.subscribe(live.peers)
        self.stratum.server.guard.banned.subscribe(live.ban)
        self.alerts.service.events.subscribe(live.happened)
        self.alerts.subscribe(self.dashd.block_store, self.stratum.server.guard.banned)

    def _work_changed(self, change: WorkChange) -> None:
        """Broadcast new work to miners."""
        context = change.context
        tip = context.parent.previous_hash
        best = None if tip is None else self.node.tracker.get(tip)
        more_to_come = is_newer_work_coming(context, best)
        self.stratum.work_changed(context, clean=change.clean, more_to_come=more_to_come)
        if self.gateways is not None:
            self.gateways.work_changed(context, clean=change.clean, more_to_come=more_to_come)

    def _timed(self, what: str, function: Callable[[Any], None], kind: str | None = None) -> Callable[[Any], None]:
        """Log how long the call takes, if --bench is given."""
        return function if self._bench is None else self._bench.timed(what, function, kind)

    def _find_dashd(self) -> list[DaemonAddress]:
        """Return the daemons; start the simulated one if it is requested."""
        if not self.config.embeds_simnet:
            return daemon_addresses(self.config)
        return [self.simnet.start_daemon()]

    # --- events ------------------------------------------------------------------------------------------

    def _share_announced(self, announced: tuple[Share, bool]) -> None:
        self.peers.share_announced(announced)
        share, own = announced
        if own:
            _log.info(
                "share {share_hash} accepted for {address}; see {url}",
                share_hash=short_hash(share.hash),
                address=script_to_text(self.node, share.script),
                url=f"{self._url}web/share/{hash_hex(share.hash)}",
            )

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
        if record.status is BlockStatus.ACCEPTED and record.confirmations == 1:
            _log.info("see the block and who it pays at {url}", url=self._url)
            if self.dashd.pool is not None:
                self.dashd.pool.refresh()

    @property
    def _url(self) -> str:
        """Return the first page's address on this machine."""
        return self.web.url or self.stratum.url

    def _work_problem(self) -> str | None:
        """Return why there is no fresh work for miners; None while there is."""
        return self.dashd.problem or self.node.work_problem

    def _ports(self) -> NodePorts:
        """Return the ports that were opened, for pages; port 0 in the settings means any free one."""
        external = self.config.external_ip
        return NodePorts(
            external_ip=None if external is None else external[0],
            worker_port=self.stratum.port or self.config.worker_port,
            p2p_port=self.config.p2pool_port or None,
            worker_tls_port=self.stratum.tls_port,
        )

    def _listening(self) -> list[OpenPort]:
        """Return the ports that are open, for pages."""
        ports = [*self.stratum.listening(), *self.web.listening()]
        p2p = self.peers.service.port
        return [*ports, OpenPort("other nodes", p2p)] if p2p else ports

    async def _refresh_views(self) -> None:
        await cooperate(self.views.refreshing(self.environment.clock())).whenDone()
        await cooperate(self.live.refreshing(self.views, self.environment.clock())).whenDone()

    # --- stop --------------------------------------------------------------------------------------------

    @property
    def has_work(self) -> bool:
        """Return whether there is work for miners."""
        return self.node.context is not None

    def adopt(self) -> int:
        """Serve the miners of an earlier process from now on. Return how many they are."""
        if self.children is not None:
            self.children.take_over()
        return self.stratum.adopt()

    async def hand_over(self, *, whole: bool) -> HandedOver:
        """Stop everything but the miners' connections and ports, and return these for another process; unless
        `whole`, miners have to reconnect."""
        asked = self.stratum.prepare_handover(whole=whole)
        if self.children is not None:
            self.children.keep()
        await self._stop_monitoring()
        if asked:
            await deferLater(self.reactor, RECONNECT_TIME, lambda: None)
        handed = self.stratum.hand_over(whole=whole)
        await self._stop_pool()
        return handed

    async def stop(self) -> None:
        """Stop everything: miners, connections, blocks under way, shares, the simulation, in this order."""
        await self._stop_monitoring()
        await self._stop_pool()

    async def _stop_monitoring(self) -> None:
        """Stop what shows the pool to people, and the embedded miners."""
        self._stopping = True
        _log.info("stopping")
        await self._end(self._starting.acquire)
        self.alerts.service.leave()
        for timer in self._timers:
            timer.stop()
        self.status_log.stop()
        self.process_watch.stop()
        self.live.stop()
        for miner in self.simnet.miners:
            await self._end(miner.stopService)
        if self.children is not None:
            await self._end(self.children.stop, CHILDREN_STOP_TIME)
        await self._end(self.web.stop)

    async def _stop_pool(self) -> None:
        """Stop what mines, and write what is not on disk yet."""
        await self._end(self.stratum.stop)
        if self.payout_service is not None:
            self.payout_service.stop()
        if self.gateways is not None:
            await self._end(self.gateways.stop)
        for service in (self.peers, self.dashd, self.merged, self.persistence, self.history):
            await self._end(service.stop)
        await self._end(self.simnet.stop_daemon)
        await self._end(self.alerts.service.stop)
        _log.info("stopped")

    async def _end(self, stop: Callable[[], Any], limit: float = STOP_TIME) -> None:
        """Stop one part; one that fails or hangs must not prevent the others, above all the shares, from being
        stopped."""
        try:
            result = stop()
            if result is not None:
                await ensureDeferred(result).addTimeout(limit, self.reactor)
        except DeferredTimeoutError:
            _log.warn(
                "{part} takes longer than {time:g} s: not waiting for it", part=stop.__qualname__, time=limit
            )
        except Exception:
            _log.failure("internal error while stopping")


def _spare_shares_from_collection() -> None:
    """Look for garbage once more, and never again among the shares: they live for a day, and looking at them costs
    tens of milliseconds each time."""
    gc.collect()
    gc.freeze()


def built_in_pages() -> Path:
    """Return the web files: beside the package in a checkout, inside it where it is installed."""
    checkout = Path(__file__).resolve().parents[2] / "web-static"
    if (checkout / "index.html").is_file():
        return checkout
    return Path(str(resources.files("p2pool.web") / "static"))
