"""The composition root: constructs the services, plugs their ports together, starts and stops them.

This module and `cli` are the only ones that know the reactor.
"""

from __future__ import annotations

import gc
import os
import random
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import DeferredLock, ensureDeferred
from twisted.internet.task import cooperate
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool import __version__
from p2pool.app.alerts import Alerting
from p2pool.app.bench_log import PERIOD, TEMPLATE, BenchLog
from p2pool.app.config import Config
from p2pool.app.dashd import DaemonAddress, DashCore, daemon_addresses
from p2pool.app.data_directory import DataDirectory
from p2pool.app.history import Recording
from p2pool.app.logs import Logging, start_logging
from p2pool.app.peers import Peering
from p2pool.app.shown_settings import shown_settings
from p2pool.app.simnet import EmbeddedSimnet
from p2pool.app.state_files import check_state_files
from p2pool.app.stratum import Mining
from p2pool.app.web import Pages
from p2pool.base.delays import GarbageWatch, ReactorWatch
from p2pool.base.environment import Environment, IReactor, real_environment
from p2pool.base.errors import OperatorError
from p2pool.base.observable import Event
from p2pool.base.process import read_process_figures
from p2pool.base.signals import SignalWatch
from p2pool.base.terminal import open_terminal
from p2pool.base.text import format_dash, format_duration, format_rate
from p2pool.base.timer import Timer
from p2pool.base.warn_once import WarnOnce
from p2pool.dashd.found_block import FoundBlock
from p2pool.dashd.merged import MergedMining
from p2pool.dashd.payout_addresses import OwnAddress, PayoutAddresses, PayoutMode
from p2pool.dashd.payout_service import PayoutService
from p2pool.dashd.rpc import Caller
from p2pool.dashd.wallet import Wallet
from p2pool.node import FoundAuxBlock, Node, NodeSettings
from p2pool.node.persistence import Persistence
from p2pool.pool_stats import BlockRecord, BlockStatus, PoolStats
from p2pool.share.share import Share
from p2pool.sharechain.tracker import Tracker
from p2pool.web.api.pool import observed_rate
from p2pool.web.live import LiveService
from p2pool.web.live_wiring import LiveWiring
from p2pool.web.request import client_host
from p2pool.web.sources import NodePorts, OpenPort, Snapshot, Sources, script_to_text
from p2pool.web.views import Views
from p2pool.web.votes import vote_figures

STATUS_PERIOD = 60.0
ADVICE_PERIOD = 10.0
LOOK_PERIOD = 5.0
"""Seconds between two looks at what the process uses, and for which figures are new enough for the log."""
STOP_TIME = 3.0
"""Seconds that each part has to end."""
_log = Logger(namespace="p2pool")


def run(config: Config) -> int:
    """Run the node until it is interrupted. Returns the exit status. Raises OperatorError before it started."""
    from twisted.internet import reactor as global_reactor

    reactor: IReactor = cast(IReactor, global_reactor)
    make_time_steady(reactor)
    directory = DataDirectory(config.datadir)
    logging = start_logging(
        config.logfile or config.datadir / "log", config.debug, open_terminal(None) if config.no_console else None
    )
    for notice in config.notices:
        _log.warn("{notice}", notice=notice)
    check_state_files(config.datadir)
    stop = _stop_once(reactor)
    hung_up: Event[str] = Event()
    hung_up.subscribe(lambda name: _reopen_log(logging, name))
    SignalWatch(reactor, stop=stop, reopen=hung_up.fire).start()  # before anything that starts a thread
    app = App(config, real_environment(reactor), logging.set_level)
    failures: list[OperatorError] = []

    def failed(failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, OperatorError):
            _log.failure("the node could not start", failure)
            error = OperatorError("the node could not start because of a defect: see the log above", 1)
        failures.append(error)
        stop("")

    reactor.callWhenRunning(lambda: ensureDeferred(app.start()).addErrback(failed))
    reactor.addSystemEventTrigger("before", "shutdown", lambda: ensureDeferred(app.stop()))
    reactor.run(installSignalHandlers=False)  # type: ignore[call-arg]  # not of the interface
    directory.release()
    if failures:
        raise failures[0]
    return 0


def make_time_steady(reactor: IReactor) -> None:
    """Let the reactor count time that never jumps. Twisted takes the system's clock: where that is set back by an
    hour, every timer stands still for an hour, and a found block is not offered again."""
    reactor.seconds = time.monotonic  # type: ignore[method-assign]


def _stop_once(reactor: IReactor) -> Callable[[str], None]:
    """Return what ends the node, because of the signal `name` or without one; repetitions change nothing."""
    asked = False

    def stop(name: str) -> None:
        nonlocal asked
        if not asked:
            asked = True
            if name:
                _log.info("{name} received", name=name)
            reactor.callFromThread(reactor.stop)  # there may be no running reactor yet

    return stop


def _reopen_log(logging: Logging, name: str) -> None:
    logging.reopen()
    _log.info(
        "{name} received: the log file is reopened, and the node goes on; SIGTERM to process {process} stops it",
        name=name,
        process=os.getpid(),
    )


class App:
    """All services of one node."""

    def __init__(self, config: Config, environment: Environment, set_log_level: Callable[[str], None]) -> None:
        self.config = config
        self.environment = environment
        self.reactor = environment.reactor
        network = config.network
        self.stats = PoolStats(environment.clock())
        self._bench = BenchLog(time.perf_counter) if config.bench else None
        self.payouts = payout_addresses(config)
        self.payout_service: PayoutService | None = None
        self.node = Node(
            environment,
            network,
            tracker=Tracker(network),
            settings=NodeSettings(self.payouts.key_hash, config.fee, config.donation),
            stats=self.stats,
        )
        self.dash_core = DashCore(
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
        self.peering = Peering(environment, config, node=self.node, block_found=self._block_found)
        self.merged = MergedMining(environment, config.merged, config.datadir / "aux-blocks")
        self.simnet = EmbeddedSimnet(environment, config)
        self.mining = Mining(
            environment,
            config,
            node=self.node,
            stats=self.stats,
            problem=self._work_problem,
            bench=self._bench,
        )
        self.recording = Recording(environment, config)
        self.alerting = Alerting(
            environment,
            config,
            stats=self.stats,
            page=lambda: self._url,
            ban_of=self.mining.server.guard.ban_of,
            history_problem=self.recording.problem,
        )
        self.alerting.alerts.events.subscribe(self.recording.record_event)
        self.pages = Pages(
            environment,
            config,
            operator=self.mining.operator,
            set_log_level=set_log_level,
            alerts=self.alerting,
        )
        self.views = Views(
            Sources(
                node=self.node,
                stats=self.stats,
                dashd=self.dash_core.figures,
                store_problem=lambda: self.persistence.problem,
                lost_databases=self._lost_databases,
                peers=self.peering.figures,
                fee=config.fee,
                donation=config.give_author,
                payouts=self.payouts,
                version=__version__,
                merged=lambda: self.merged.figures,
                metrics_max_workers=config.metrics_max_workers,
                ports=self._ports,
                process_memory=self._process_memory,
                ban_duration=config.ban_duration,
                stratum_limits=self.mining.limits,
                web_password=config.web_password is not None,
                broadcaster_enabled=not config.disable_broadcaster,
                alerts=self.alerting.alerts.figures,
                web_rates=self.pages.access.figures,
                history=self.recording.history,
                traffic=self.peering.traffic,
                known_nodes=self.peering.known_nodes,
                look_ups=self.peering.look_ups,
                census=self.peering.hub.census,
                listening=self._listening,
                settings=shown_settings(config),
            )
        )
        self._warned = WarnOnce()
        self._watches: tuple[ReactorWatch | GarbageWatch, ...] = (
            ReactorWatch(
                self.reactor,
                lambda delay: self.stats.record_reactor_delay(delay, environment.clock()),
                environment.monotonic,
            ),
            GarbageWatch(self.stats.record_gc_pause, time.perf_counter),
        )
        self.live = LiveService(
            environment,
            origins=config.ws_allow_origin,
            client_host=client_host,
            allowed_views=self.pages.watchable_views,
        )
        self._timers: list[Timer] = []
        self._stopping = False
        self._starting = DeferredLock()
        """Held while services are started; they are stopped between two of them only."""

    # --- start -------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open for business. Raises OperatorError."""
        config = self.config
        _log.info("p2pool-dash {version} on {network}", version=__version__, network=config.network.name)
        built_in = built_in_pages()
        files = config.web_static or built_in
        custom_pages = files.resolve() != built_in.resolve()
        web = self.pages.listen(self.views, files, live=self.live.resource, custom_pages=custom_pages)
        self.mining.listen(web, self.pages.url, self.pages.browsers)
        self.peering.listen()
        self._wire()
        await self._load_shares()
        if self._is_stopping():
            return
        async with self._starting:
            for step in (self.alerting.alerts.start, self._start_dash_core, self._start_services):
                await step()
                if self._is_stopping():
                    return

    def _lost_databases(self) -> list[str]:
        emptied = (self.persistence.emptied, self.recording.emptied())
        return [problem for problem in emptied if problem is not None]

    def _is_stopping(self) -> bool:
        return self._stopping

    async def _start_dash_core(self) -> None:
        await self.dash_core.start(self._find_dashd())

    async def _start_services(self) -> None:
        config = self.config
        if self.dash_core.pool is not None:
            self._keep_payout_addresses(self.dash_core.pool.daemons[0].rpc)
            await self.peering.start(self.dash_core.pool)
        self.mining.start()
        self.merged.start()
        self.recording.start(self.views.sources.cache)
        self._timers = [
            Timer(self.reactor, 1.0, self._refresh_views, name="refresh the pages"),
            Timer(self.reactor, STATUS_PERIOD, self._say_status, name="log the status", now=False),
            Timer(self.reactor, ADVICE_PERIOD, self._say_advice, name="log advice", now=False),
            Timer(self.reactor, LOOK_PERIOD, self._look_at_process, name="measure the process"),
        ]
        if self._bench is not None:
            self._timers.append(
                Timer(self.reactor, PERIOD, self._bench.say_summary, name="log the timings", now=False)
            )
        for watch in self._watches:
            watch.start()
        if config.embeds_simnet:
            self.simnet.start_miners(self.mining.host, self.mining.port)

    async def _load_shares(self) -> None:
        await self.persistence.start()
        best = self.node.best_share
        if best is not None:
            height = self.node.tracker.height(best)
            _log.info("best share {best}, height {height}", best=short_hash(best), height=height)
        # The shares live for a day: looking for garbage among them costs tens of milliseconds each time.
        gc.collect()
        gc.freeze()

    def _wire(self) -> None:
        node = self.node
        node.work_changed.subscribe(self._timed("work to all", self.mining.work_changed))
        node.block_found.subscribe(self._block_found)
        self.mining.server.first_job_sent.subscribe(self.dash_core.job_sent)
        self.dash_core.block_store.changed.subscribe(self._block_changed)
        node.aux_block_found.subscribe(self._aux_block_found)
        self.merged.table.changed.subscribe(node.set_aux)
        self.merged.table.work_due.subscribe(lambda _: node.renew_aux_work())
        self.persistence.announce.subscribe(self._share_announced)
        live = LiveWiring(self.live, node, peers=self.peering.figures, clock=self.environment.clock)
        self.persistence.announce.subscribe(live.share)
        self.dash_core.block_store.changed.subscribe(live.block)
        node.work_changed.subscribe(live.work)
        self.peering.hub.peers_changed.subscribe(live.peers)
        self.mining.server.guard.banned.subscribe(live.ban)
        self.alerting.alerts.events.subscribe(live.happened)
        self.alerting.subscribe(self.dash_core.block_store, self.mining.server.guard.banned)

    def _timed(self, what: str, function: Callable[[Any], None], kind: str | None = None) -> Callable[[Any], None]:
        """With --bench: log how long it takes."""
        return function if self._bench is None else self._bench.timed(what, function, kind)

    def _find_dashd(self) -> list[DaemonAddress]:
        """The daemons; starts the simulated one where it is asked for."""
        if not self.config.embeds_simnet:
            return daemon_addresses(self.config)
        return [self.simnet.start_daemon()]

    def _keep_payout_addresses(self, rpc: Caller) -> None:
        """Where they come from a wallet, that of the first daemon: they are renewed beside all else, and nothing
        waits for them."""
        config = self.config
        if config.payout_mode is PayoutMode.GIVEN:
            return
        wallet, mode = Wallet(rpc, config.network), config.payout_mode
        self.payout_service = PayoutService(
            self.environment,
            payouts=self.payouts,
            mode=mode,
            wallet=wallet,
            network=config.network,
            directory=config.datadir,
        )
        self.payout_service.start()

    # --- events ------------------------------------------------------------------------------------------

    def _share_announced(self, announced: tuple[Share, bool]) -> None:
        self.peering.share_announced(announced)
        share, own = announced
        if own:
            _log.info(
                "share {share_hash} accepted for {address}; see {url}",
                share_hash=short_hash(share.hash),
                address=script_to_text(self.node, share.script),
                url=f"{self._url}web/share/{share.hash:064x}",
            )

    def _block_found(self, found: FoundBlock) -> None:
        self.dash_core.block_found(found)
        _log.info(
            "BLOCK {height} {block_hash:064x} found by {worker}: {value} {symbol}",
            height=found.height,
            block_hash=found.block_hash,
            worker=found.worker,
            value=format_dash(found.subsidy),
            symbol=self.config.network.parent.symbol,
        )

    def _aux_block_found(self, found: FoundAuxBlock) -> None:
        self.merged.offer(found.work, lambda: found.outcome.aux_proof(found.work), found.worker)

    def _block_changed(self, record: BlockRecord) -> None:
        if record.status is BlockStatus.ACCEPTED and record.confirmations == 1:
            _log.info("see the block and who it pays at {url}", url=self._url)
            if self.dash_core.pool is not None:
                self.dash_core.pool.refresh()

    @property
    def _url(self) -> str:
        """The first page's address on this machine."""
        return self.pages.url or self.mining.url

    def _work_problem(self) -> str | None:
        """Why there is no fresh work for miners; None while there is."""
        return self.dash_core.problem or self.node.work_problem

    def _process_memory(self) -> float | None:
        """Bytes; None before they were read."""
        figures = self.stats.snapshot(self.environment.clock(), LOOK_PERIOD).process.figures
        return None if figures is None else figures.resident_bytes

    def _ports(self) -> NodePorts:
        """For pages; a port 0 was whatever was free."""
        external = self.config.external_ip
        return NodePorts(
            external_ip=None if external is None else external[0],
            worker_port=self.mining.port or self.config.worker_port,
            p2p_port=self.config.p2pool_port or None,
            worker_tls_port=self.mining.tls_port,
        )

    def _listening(self) -> list[OpenPort]:
        """The ports that are open, for pages."""
        ports = [*self.mining.listening(), *self.pages.listening()]
        p2p = self.peering.service.port
        return [*ports, OpenPort("other nodes", p2p)] if p2p else ports

    async def _refresh_views(self) -> None:
        await cooperate(self.views.refreshing(self.environment.clock())).whenDone()
        await cooperate(self.live.refreshing(self.views, self.environment.clock())).whenDone()

    def _say_advice(self) -> None:
        """Warnings that no other line tells of, each once while it holds."""
        votes = vote_figures(self.views.sources)
        work = self.node.context
        left_out = None if work is None else work.notice
        split = self.node.refused_work().problem
        others = [text for text in (votes.problem, votes.branch_problem, split, left_out) if text is not None]
        for text in self._warned.new([*self.dash_core.advice(), *others]):
            _log.warn("{text}", text=text)

    async def _look_at_process(self) -> None:
        self.stats.record_process(await self.environment.run_in_thread(read_process_figures))

    def _say_status(self) -> None:
        """One line a minute."""
        node, now = self.node, self.environment.clock()
        snapshot = self.stats.snapshot(now, LOOK_PERIOD)
        shown = Snapshot(self.views.sources, snapshot)
        _log.info(
            "chain of {height} shares, pool {pool}; here {local} from {connections} connections, "
            "{shares} shares, {blocks} blocks, {refused} refused; up {uptime}",
            height=0 if node.best_share is None else node.tracker.height(node.best_share),
            pool=format_rate(observed_rate(shown)),
            local=format_rate(snapshot.hash_rate),
            connections=snapshot.connections,
            shares=snapshot.shares,
            blocks=snapshot.blocks_accepted,
            refused=sum(snapshot.refused.values()),
            uptime=format_duration(now - self.stats.start_time),
        )

    # --- stop --------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Leave nothing behind: miners, connections, blocks under way, shares, the simulation, in this order."""
        self._stopping = True
        _log.info("stopping")
        await self._end(self._starting.acquire)
        self.alerting.alerts.leave()
        for timer in self._timers:
            timer.stop()
        for watch in self._watches:
            watch.stop()
        self.live.stop()
        for miner in self.simnet.miners:
            await self._end(miner.stopService)
        await self._end(self.pages.stop)
        await self._end(self.mining.stop)
        if self.payout_service is not None:
            self.payout_service.stop()
        for service in (self.peering, self.dash_core, self.merged, self.persistence, self.recording):
            await self._end(service.stop)
        await self._end(self.simnet.stop_daemon)
        await self._end(self.alerting.alerts.stop)
        _log.info("stopped")

    async def _end(self, stop: Callable[[], Any]) -> None:
        """Stop one of them; what fails or hangs must not keep the others, the shares above all, from it."""
        try:
            result = stop()
            if result is not None:
                await ensureDeferred(result).addTimeout(STOP_TIME, self.reactor)
        except Exception:
            _log.failure("while stopping")


def built_in_pages() -> Path:
    """The web files: beside the package in a checkout, inside it where it is installed."""
    checkout = Path(__file__).resolve().parents[2] / "web-static"
    if (checkout / "index.html").is_file():
        return checkout
    return Path(str(resources.files("p2pool.web") / "static"))


def payout_addresses(config: Config) -> PayoutAddresses:
    """The node's own addresses: the one that was given, or room for those of dashd's wallet."""
    rng = random.SystemRandom()
    if config.payout_mode is PayoutMode.DYNAMIC:
        return PayoutAddresses(rng, wanted=config.numaddresses, lifetime=config.timeaddresses)
    if config.payout_address is None or config.key_hash is None:
        return PayoutAddresses(rng)
    return PayoutAddresses(rng, [OwnAddress(config.payout_address, config.key_hash)])


def short_hash(share_hash: int | None) -> str:
    """The last eight digits, as people tell shares apart."""
    return "none" if share_hash is None else f"{share_hash:064x}"[-8:]
