"""The composition root: constructs the services, plugs their ports together, starts and stops them.

This module and `cli` are the only ones that know the reactor.
"""

from __future__ import annotations

import gc
import random
import secrets
import signal
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import cooperate
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool import __version__
from p2pool.base.errors import OperatorError
from p2pool.base.text import format_dash, format_duration, format_rate
from p2pool.base.timer import Timer
from p2pool.config import Config
from p2pool.dashd.credentials import (
    Credentials,
    CredentialSource,
    FixedCredentials,
    credential_source,
    read_dash_conf,
)
from p2pool.dashd.heights import BlockHeights
from p2pool.dashd.merged import MergedMining
from p2pool.dashd.p2p import DashdLink
from p2pool.dashd.rpc import RpcClient
from p2pool.dashd.service import DashdService
from p2pool.dashd.submission import BlockSubmitter
from p2pool.datadir import DataDirectory
from p2pool.logs import start_logging
from p2pool.mining import Mining
from p2pool.node import FoundAuxBlock, FoundBlock, Node, NodeSettings
from p2pool.peering import Peering
from p2pool.persistence import Persistence, Threads
from p2pool.pool_stats import PoolStats
from p2pool.share.share import Share
from p2pool.sharechain.tracker import Tracker
from p2pool.simnet.miner import CpuMiner
from p2pool.simnet.parameters import SimnetParameters
from p2pool.simnet.service import SimulatedDash
from p2pool.web.api.pool import pool_rate
from p2pool.web.site import WebSite
from p2pool.web.sources import Moment, Sources, script_to_text
from p2pool.web.views import Views

STATUS_PERIOD = 60.0
STOP_TIME = 3.0
"""Seconds that each part has to end."""
_log = Logger(namespace="p2pool")


def run(config: Config) -> int:
    """Run the node until it is interrupted. Returns the exit status. Raises OperatorError before it started."""
    from twisted.internet import reactor as global_reactor

    reactor: Any = global_reactor
    directory = DataDirectory(config.datadir)
    start_logging(config.logfile or config.datadir / "log", config.debug)
    app = App(config, reactor)
    failures: list[OperatorError] = []
    stop = _stop_at_signals(reactor)

    def failed(failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, OperatorError):
            _log.failure("the node could not start", failure)
            error = OperatorError("the node could not start because of a defect: see the log above", 1)
        failures.append(error)
        stop()

    reactor.callWhenRunning(lambda: ensureDeferred(app.start()).addErrback(failed))
    reactor.addSystemEventTrigger("before", "shutdown", lambda: ensureDeferred(app.stop()))
    reactor.run(installSignalHandlers=False)
    directory.release()
    if failures:
        raise failures[0]
    return 0


def _stop_at_signals(reactor: Any) -> Callable[[], None]:
    """Ctrl-C and SIGTERM end the node. Returns what ends it, too; repetitions change nothing."""
    asked = False

    def stop(*signal_and_frame: object) -> None:
        nonlocal asked
        if not asked:
            asked = True
            reactor.callFromThread(reactor.stop)

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(signal_number) is not signal.SIG_IGN:
            signal.signal(signal_number, stop)
    return stop


class App:
    """All services of one node."""

    def __init__(self, config: Config, reactor: Any) -> None:
        self.config = config
        self.reactor = reactor
        network = config.network
        self.stats = PoolStats(time.time())
        self.node = Node(
            network,
            Tracker(network),
            NodeSettings(config.key_hash, config.fee, config.donation),
            self.stats,
            time.time,
            lambda call: reactor.callLater(0, call),
            random.SystemRandom(),
        )
        self.dashd: DashdService | None = None
        self.link: DashdLink | None = None
        self.rpc: RpcClient | None = None
        self.submitter: BlockSubmitter | None = None
        self.heights: BlockHeights | None = None
        self.persistence = Persistence(
            reactor,
            Threads(deferToThread, reactor.callFromThread),
            self.node,
            config.datadir,
            time.time,
            archive=not config.disable_share_archive,
            import_from=config.import_shares,
        )
        self.peering = Peering(
            reactor, config, self.node, time.time, time.monotonic, deferToThread, self._block_found
        )
        self.merged = MergedMining(reactor, config.merged, config.datadir / "aux-blocks", deferToThread)
        self.simulated_dash: SimulatedDash | None = None
        self.miners: list[CpuMiner] = []
        self.mining = Mining(reactor, config, self.node, self.stats, time.time, deferToThread, self._work_problem)
        self.views = Views(
            Sources(
                node=self.node,
                stats=self.stats,
                problem=self._dashd_problem,
                store_problem=lambda: self.persistence.problem,
                peers=self.peering.figures,
                fee=config.fee,
                donation=config.give_author,
                payout_address=config.payout_address,
                version=__version__,
                merged=lambda: self.merged.figures,
            )
        )
        self._timers: list[Timer] = []
        self._stopping = False

    # --- start -------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open for business. Raises OperatorError."""
        config = self.config
        _log.info("p2pool-dash {version} on {network}", version=__version__, network=config.network.name)
        self.mining.listen(WebSite(self.views, config.web_static or built_in_pages(), self.reactor))
        self.peering.listen()
        self._wire()
        await self._load_shares()
        if self._stopping:
            return
        where, source = self._find_dashd()
        self.rpc = RpcClient(self.reactor, where, source)
        self.dashd = DashdService(self.reactor, self.rpc, config.network, time.time, where)
        self.submitter = BlockSubmitter(self.reactor, self.dashd, config.datadir / "blocks", deferToThread)
        self.submitter.result.subscribe(self._block_settled)
        self.submitter.delayed.subscribe(self._block_delayed)
        self.heights = BlockHeights(self.rpc, self.node.learn_block_height, time.time)
        self.node.block_wanted.subscribe(self.heights.want)
        self.dashd.template.subscribe(self._timed("template", self.node.set_template))
        self.dashd.startService()
        self._link_to_dashd()
        await self.peering.start(self.dashd)
        self.mining.start()
        self.merged.start()
        self._timers = [
            Timer(self.reactor, 1.0, self._refresh_views),
            Timer(self.reactor, STATUS_PERIOD, self._say_status, now=False),
        ]
        await self.submitter.resume()
        self._start_miners()

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
        node.aux_block_found.subscribe(self._aux_block_found)
        self.merged.table.changed.subscribe(node.set_aux)
        self.merged.table.work_due.subscribe(lambda _: node.renew_aux_work())
        self.persistence.announce.subscribe(self._share_announced)

    def _timed(self, what: str, function: Callable[[Any], None]) -> Callable[[Any], None]:
        """With --bench: log how long it takes."""
        if not self.config.bench:
            return function

        def timed(value: Any) -> None:
            start = time.perf_counter()
            function(value)
            took = (time.perf_counter() - start) * 1000
            _log.info("bench: {what} took {took:.2f} ms", what=what, took=took)

        return timed

    def _find_dashd(self) -> tuple[str, CredentialSource]:
        """(RPC address, credentials) of dashd; starts the simulated one where it is asked for."""
        config, parent = self.config, self.config.network.parent
        if config.embeds_simnet:
            simulated = self._start_simulated_dash()
            url = f"http://127.0.0.1:{simulated.rpc_port}/"
            credentials = Credentials(simulated.rpc_user, simulated.rpc_password, "of the embedded simulation")
            return url, FixedCredentials(credentials)
        given = config.dashd_config_path
        conf = read_dash_conf(given or Path.home() / ".dashcore" / "dash.conf", parent, required=given is not None)
        port = config.dashd_rpc_port or conf.port("rpcport") or parent.rpc_port
        scheme = "https" if config.dashd_rpc_ssl else "http"
        url = f"{scheme}://{config.dashd_address or '127.0.0.1'}:{port}/"
        source = credential_source(config.rpc_arguments, conf, parent)
        return url, source

    def _link_to_dashd(self) -> None:
        """Hear of blocks by p2p as well; without the link the node works all the same."""
        config, parent = self.config, self.config.network.parent
        port = config.dashd_p2p_port or parent.p2p_port
        if self.simulated_dash is not None:
            port = self.simulated_dash.p2p_port
        self.link = DashdLink(
            self.reactor,
            config.dashd_address or "127.0.0.1",
            port,
            parent.p2p_magic,
            f"/p2pool-dash:{__version__}/".encode(),
            time.time,
            lambda: secrets.randbits(64),
            self._block_announced,
        )
        self.link.startService()

    def _block_announced(self) -> None:
        if self.dashd is not None:
            self.dashd.refresh()

    def _start_simulated_dash(self) -> SimulatedDash:
        config = self.config
        parameters = SimnetParameters(
            parent=config.network.parent,
            # One chain a block period: the period is a rule of the simulated chain.
            data_directory=config.datadir / f"simulated-dash-{config.simnet_block_period:g}s",
            rpc_port=config.dashd_rpc_port or config.network.parent.rpc_port,
            p2p_port=config.dashd_p2p_port or config.network.parent.p2p_port,
            block_period=config.simnet_block_period,
        )
        simulated = SimulatedDash(self.reactor, parameters)
        try:
            simulated.startService()
        except CannotListenError as error:
            raise OperatorError(
                f"the simulated Dash Core cannot listen on port {error.port}: "
                "choose other ones with --dashd-rpc-port and --dashd-p2p-port"
            ) from None
        self.simulated_dash = simulated
        _log.info(
            "simulated Dash Core at height {height}: RPC 127.0.0.1:{rpc}, cookie {cookie}",
            height=simulated.chain.height,
            rpc=simulated.rpc_port,
            cookie=simulated.cookie_path,
        )
        return simulated

    def _start_miners(self) -> None:
        if not self.config.embeds_simnet:
            return
        for number in range(1, self.config.simnet_miners + 1):
            username = self.config.payout_address if number == 1 else demo_address(self.config, number)
            miner = CpuMiner(
                self.reactor,
                self.mining.host,
                self.mining.port,
                f"{username}.cpu{number}",
                password=f"d={self.config.network.min_difficulty}",
                name=f"cpu{number}",
            )
            miner.startService()
            self.miners.append(miner)

    # --- events ------------------------------------------------------------------------------------------

    def _share_announced(self, announced: tuple[Share, bool]) -> None:
        self.peering.share_announced(announced)
        share, own = announced
        if own:
            _log.info(
                "share {share_hash} accepted for {address}; see {url}",
                share_hash=short_hash(share.hash),
                address=script_to_text(self.node, share.script),
                url=f"{self.mining.url}web/share/{share.hash:064x}",
            )

    def _block_found(self, found: FoundBlock) -> None:
        if self.submitter is not None:
            self.submitter.offer(found.block_hash, found.height, found.data)
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

    def _block_delayed(self, delayed: tuple[int, bytes]) -> None:
        height, data = delayed
        if self.link is not None and self.link.send_block(data):
            _log.info("block {height} was sent to dashd by its p2p port as well", height=height)

    def _block_settled(self, settled: tuple[int, str]) -> None:
        block_hash, reason = settled
        self.stats.settle_block(block_hash, reason)
        if not reason:
            _log.info("see the block and who it pays at {url}", url=self.mining.url)
        if self.dashd is not None:
            self.dashd.refresh()

    def _dashd_problem(self) -> str | None:
        if self.dashd is None:
            return "not asked yet"
        return self.dashd.problem

    def _work_problem(self) -> str | None:
        """Why there is no fresh work for miners; None while there is."""
        return self._dashd_problem() or self.node.work_problem

    async def _refresh_views(self) -> None:
        await cooperate(self.views.refreshing(time.time())).whenDone()

    def _say_status(self) -> None:
        """One line a minute."""
        node, now = self.node, time.time()
        snapshot = self.stats.snapshot(now)
        moment = Moment(self.views.sources, snapshot)
        _log.info(
            "chain of {height} shares, pool {pool}; here {local} from {connections} connections, "
            "{shares} shares, {blocks} blocks, {refused} refused; up {uptime}",
            height=0 if node.best_share is None else node.tracker.height(node.best_share),
            pool=format_rate(pool_rate(moment)),
            local=format_rate(snapshot.hash_rate),
            connections=snapshot.connections,
            shares=snapshot.shares,
            blocks=len(snapshot.recent_blocks),
            refused=sum(snapshot.refused.values()),
            uptime=format_duration(now - self.stats.start_time),
        )

    # --- stop --------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Leave nothing behind: miners, connections, blocks under way, shares, the simulation, in this order."""
        self._stopping = True
        _log.info("stopping")
        for timer in self._timers:
            timer.stop()
        for miner in self.miners:
            await self._end(miner.stopService)
        await self._end(self.mining.stop)
        for service in (self.peering, self.submitter, self.merged, self.persistence):
            if service is not None:
                await self._end(service.stop)
        for link in (self.link, self.dashd):
            if link is not None:
                await self._end(link.stopService)
        if self.heights is not None:
            self.heights.stop()
        if self.rpc is not None:
            await self._end(self.rpc.close)
        if self.simulated_dash is not None:
            await self._end(self.simulated_dash.stopService)
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
    checkout = Path(__file__).resolve().parent.parent / "web-static"
    if (checkout / "index.html").is_file():
        return checkout
    return Path(str(resources.files("p2pool.web") / "static"))


def demo_address(config: Config, number: int) -> str:
    """A payout address for a CPU miner of the simulated network."""
    from p2pool.dash.address import encode_address

    key_hash = f"p2pool-simnet-miner{number:02d}"[:20].encode().ljust(20, b"-")
    return encode_address(config.network.parent.addresses.pubkey_hash, key_hash)


def short_hash(share_hash: int | None) -> str:
    """The last eight digits, as people tell shares apart."""
    return "none" if share_hash is None else f"{share_hash:064x}"[-8:]
