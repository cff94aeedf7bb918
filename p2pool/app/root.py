"""The composition root: constructs the services, connects them, starts and stops them. Called by `process`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2pool import __version__
from p2pool.app.alerts import AlertsAssembly
from p2pool.app.bench_log import PERIOD
from p2pool.app.config import Config
from p2pool.app.dashd import DaemonAddress, daemon_addresses, require_daemon
from p2pool.app.gateway_children import GatewayChildren
from p2pool.app.handover import HandedOver
from p2pool.app.history import HistoryAssembly
from p2pool.app.leftover_gateways import warn_of_leftovers
from p2pool.app.miner_alerts import miner_alerts
from p2pool.app.onion import OnionService, OnionSettings
from p2pool.app.own_gateways import OwnGateways
from p2pool.app.pool import DISK_END, Pool, is_first_confirmation
from p2pool.app.process_watch import ProcessWatch
from p2pool.app.routes import dashd_environment
from p2pool.app.service_status import ServiceStatus
from p2pool.app.shown_settings import shown_settings
from p2pool.app.simnet import SimnetAssembly
from p2pool.app.status_log import StatusLog
from p2pool.app.stopping import StopTimes
from p2pool.app.web import WebAssembly, apply_keys
from p2pool.base.endpoints import reachable_host
from p2pool.base.environment import Environment
from p2pool.base.time_slice import cooperator
from p2pool.base.timer import Timer
from p2pool.dash.hashes import hash_hex, short_hash
from p2pool.dash.pow import PROVIDER
from p2pool.pool_stats import BlockRecord, PoolStats
from p2pool.share.share import Share
from p2pool.web.live import LiveService
from p2pool.web.live_wiring import LiveWiring
from p2pool.web.request import client_host
from p2pool.web.sources import NodePorts, OpenPort, Sources, script_to_text
from p2pool.web.views import Views

REFRESH_PERIOD = 1.0
"""Seconds between two renderings of all pages."""
RECONNECT_TIME = 1.0
"""Seconds that miners who were asked to reconnect have for it, before another process takes over."""
CHILDREN_STOP_TIME = 6.0
"""Seconds that the gateways of this machine have to stop, and to be killed if they do not."""
MONITORING_END, CHILDREN_END = 4.0, 4.5
"""Seconds after a signal by which what people see, and the gateways of this machine, have to be done. Gateways
that are not are waited for again at the end."""
_log = Logger(namespace="p2pool")


class App:
    """All services of one node: the pool, what people see of it, and what belongs to the process."""

    def __init__(
        self,
        config: Config,
        environment: Environment,
        set_log_level: Callable[[str], None],
        *,
        children: GatewayChildren | None = None,
        watch_process: Callable[[Environment, PoolStats], ProcessWatch] = ProcessWatch,
    ) -> None:
        """Take `children`, the gateways that the process starts with --gateways, and what makes the watch over the
        process."""
        self.config = config
        self.environment = environment
        self.reactor = environment.reactor
        self.pool = Pool(environment, config)
        self.process_watch = watch_process(environment, self.pool.stats)
        self.simnet = SimnetAssembly(environment, config)
        self.children: OwnGateways | None = None
        if children is not None:
            gateways = self.pool.gateways
            self.children = OwnGateways(
                environment,
                config,
                stratum=self.pool.stratum,
                children=children,
                has_broker=lambda: gateways is not None and gateways.broker.problem is None,
            )
        self._construct_monitoring(set_log_level)
        self._cooperator = cooperator(environment)
        self._timers: list[Timer] = []
        self._custom_pages = False
        """Whether the pages are an operator's own."""

    def _construct_monitoring(self, set_log_level: Callable[[str], None]) -> None:
        """Construct what people see of the pool: history, alerts, web, log."""
        config, environment, pool = self.config, self.environment, self.pool
        self.history = HistoryAssembly(environment, config)
        self.alerts = AlertsAssembly(
            environment,
            config,
            stats=pool.stats,
            page=lambda: self._url,
            ban_of=pool.stratum.server.guard.ban_of,
            history_problem=self.history.problem,
        )
        self.alerts.service.events.subscribe(self.history.record_event)
        self.miner_alerts = miner_alerts(
            environment,
            config,
            stats=pool.stats,
            identity=self.alerts.identity,
            paid=self._paid,
            has_secret=pool.stratum.operator.has_secret,
        )
        self.alerts.service.events.subscribe(self.miner_alerts.happened)
        self.web = WebAssembly(
            environment,
            config,
            operator=pool.stratum.operator,
            set_log_level=set_log_level,
            alerts=self.alerts,
            gateways=None if pool.shared is None else pool.shared.sender,
            miner_alerts=self.miner_alerts,
        )
        self.onion = OnionService(environment, self._onion_settings, config.datadir)
        self._shown = shown_settings(config)
        self.views = Views(self._sources())
        self.status_log = StatusLog(environment, self.views.sources, pool.dashd.advice)
        self.service_status = ServiceStatus(
            environment, pool.stats, height=lambda: self._height, missing=pool.missing
        )
        self.live = LiveService(
            environment,
            origins=config.ws_allow_origin,
            client_host=client_host,
            allowed_views=self.web.watchable_views,
        )

    def _sources(self) -> Sources:
        """Return where the pages' figures come from."""
        config, pool = self.config, self.pool
        return Sources(
            node=pool.node,
            stats=pool.stats,
            dashd=pool.dashd.figures,
            store_problem=lambda: pool.persistence.problem,
            lost_databases=self._lost_databases,
            broker_problem=lambda: None if pool.gateways is None else pool.gateways.broker.problem,
            peers=pool.peers.figures,
            fee=config.fee,
            donation=config.give_author,
            payouts=pool.payouts,
            version=__version__,
            merged=lambda: pool.merged.figures,
            metrics_max_workers=config.metrics_max_workers,
            ports=self._ports,
            process_memory=self.process_watch.memory,
            ban_duration=config.ban_duration,
            stratum_limits=lambda: pool.stratum.limits,
            web_password=config.web_password is not None,
            broadcaster_enabled=not config.disable_broadcaster,
            alerts=self.alerts.service.figures,
            miner_alerts=self.miner_alerts.figures,
            web_rates=self.web.access.figures,
            history=self.history.history,
            traffic=pool.peers.traffic,
            known_nodes=pool.peers.known_nodes,
            address_counts=pool.peers.address_counts,
            ended_connections=pool.peers.ended,
            mapped_ports=pool.peers.mapped_ports,
            reachable=pool.peers.reachable,
            look_ups=pool.peers.look_ups,
            peers_notice=pool.peers.notice,
            census=pool.peers.hub.census,
            listening=self._listening,
            missing=pool.missing,
            settings=self._shown,
        )

    # --- start -------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Load the shares that an earlier process has stored, while it still serves the miners. Raises
        OperatorError if Dash Core does not answer: then they must not wait for work."""
        if not self.config.embeds_simnet:
            environment = dashd_environment(self.environment, self.config)
            await require_daemon(environment, daemon_addresses(self.config))
        await self.pool.persistence.preload()
        self.process_watch.spare_shares()

    async def start(self, handed: HandedOver | None = None) -> None:
        """Start all services; `handed` is what an earlier process handed over, for `adopt`. Raises OperatorError,
        and ParseError for a state that cannot be used."""
        config, pool = self.config, self.pool
        if handed is not None:
            pool.stratum.take_over(handed)
            if self.children is not None:
                self.children.wait_for_adoption()
        _log.info(
            "p2pool-dash {version} on {network}; X11 provider: {provider}",
            version=__version__,
            network=config.network.name,
            provider=PROVIDER,
        )
        built_in = built_in_pages()
        files = config.web_static or built_in
        self._custom_pages = files.resolve() != built_in.resolve()
        site = self.web.listen(self.views, files, live=self.live.resource, custom_pages=self._custom_pages)
        pool.listen(site, self.web.url, self.web.browsers)
        self._connect()
        await pool.load()
        if handed is None:
            self.process_watch.spare_shares()
        await pool.start(self._find_dashd, self.alerts.service.start, self.miner_alerts.start)
        if not pool.stopping:
            self._start_services()

    def _connect(self) -> None:
        """Let the pool's events reach what people see."""
        pool = self.pool
        pool.persistence.announce.subscribe(self._share_announced)
        pool.dashd.block_store.changed.subscribe(self._block_changed)
        live = LiveWiring(self.live, pool.node, peers=pool.peers.figures, clock=self.environment.clock)
        pool.persistence.announce.subscribe(live.share)
        pool.dashd.block_store.changed.subscribe(live.block)
        pool.node.work_changed.subscribe(live.work)
        pool.peers.hub.peers_changed.subscribe(live.peers)
        banned = pool.stratum.server.guard.banned
        banned.subscribe(live.ban)
        self.alerts.service.events.subscribe(live.happened)
        self.alerts.subscribe(pool.dashd.block_store, banned)

    def _find_dashd(self) -> list[DaemonAddress]:
        """Return the daemons; start the simulated one if it is requested."""
        if not self.config.embeds_simnet:
            return daemon_addresses(self.config)
        return [self.simnet.start_daemon()]

    def _start_services(self) -> None:
        config, bench = self.config, self.pool.bench
        if self.children is not None:
            self.children.start()
        else:
            warn_of_leftovers(config.datadir, config.network.name)
        self.history.start(self.views.sources.cache)
        self._timers = [Timer(self.reactor, REFRESH_PERIOD, self._refresh_views, name="refresh the views")]
        if bench is not None:
            self._timers.append(Timer(self.reactor, PERIOD, bench.log_summary, name="log the timings", now=False))
        if config.onion:
            self.onion.start()
        self.status_log.start()
        self.service_status.start()
        self.process_watch.start()
        if config.embeds_simnet:
            self.simnet.start_miners(self.pool.stratum.host, self.pool.stratum.port)

    # --- events ------------------------------------------------------------------------------------------

    def _share_announced(self, announced: tuple[Share, bool]) -> None:
        share, own = announced
        if own:
            _log.info(
                "share {share_hash} accepted for {address}; see {url}",
                share_hash=short_hash(share.hash),
                address=script_to_text(self.pool.node, share.script),
                url=self._share_url(share.hash),
            )

    def _block_changed(self, record: BlockRecord) -> None:
        if is_first_confirmation(record):
            url = self._url if record.share_hash is None else self._share_url(record.share_hash)
            _log.info("see block {height} and whom it pays at {url}", height=record.height, url=url)

    def _share_url(self, share_hash: int) -> str:
        """Return the address of a share's page, or of its JSON if an operator's own pages are served, which may
        have no such page. `/share` redirects to the page, and browsers keep what follows the #."""
        path = "web/share/" if self._custom_pages else "share#"
        return f"{self._url}{path}{hash_hex(share_hash)}"

    def _paid(self, block_hash: int) -> Mapping[str, int] | None:
        """Return duffs by address of a block; None while they are not known."""
        known = self.views.sources.cache.paid.get(block_hash)
        return None if known is None else known.amounts

    @property
    def _height(self) -> int | None:
        """Return the height of the block that miners work on; None before the first template."""
        template = self.pool.node.template
        return None if template is None else template.height

    @property
    def _url(self) -> str:
        """Return the first page's address on this machine."""
        return self.web.url or self.pool.stratum.url

    def _lost_databases(self) -> list[str]:
        """Return a sentence for each database that was found empty or missing at the start."""
        emptied = (self.pool.persistence.emptied, self.history.emptied())
        return [problem for problem in emptied if problem is not None]

    def _ports(self) -> NodePorts:
        """Return the ports that were opened, for pages; port 0 in the settings means any free one."""
        external, stratum = self.config.external_ip, self.pool.stratum
        return NodePorts(
            external_ip=None if external is None else external[0],
            worker_port=stratum.port or self.config.worker_port,
            p2p_port=self.config.p2pool_port or None,
            worker_tls_port=stratum.tls_port,
            onion=self.onion.host,
            onion_problem=None if self.onion.problem is None else "not published: the log says why",
        )

    def _listening(self) -> list[OpenPort]:
        """Return the ports that are open, for pages."""
        ports = [*self.pool.stratum.listening(), *self.web.listening()]
        p2p, onion = self.pool.peers.service.port, self.onion.host
        purpose = "other nodes" if onion is None else f"other nodes, also at {onion}"
        return [*ports, OpenPort(purpose, p2p)] if p2p else ports

    def _onion_settings(self) -> OnionSettings:
        """Return what to publish as an onion service: the ports that are open."""
        config, pool = self.config, self.pool
        ports = [(config.network.p2p_port, (reachable_host(config.p2pool_host), pool.peers.service.port))]
        miners = pool.stratum.host, pool.stratum.port
        if config.onion_stratum:
            ports.append((config.network.worker_port, miners))
        if config.onion_web:
            own = [] if config.web_port is None else self.web.listening()
            web = [(reachable_host(config.web_port[0]), each.port) for each in own if config.web_port is not None]
            ports.append((443 if config.serves_https else 80, (web or [miners])[0]))
        return OnionSettings(config.tor_control, config.tor_control_password, ports)

    async def _refresh_views(self) -> None:
        clock, slices = self.environment.clock, self._cooperator
        await slices.cooperate(self.views.refreshing(clock())).whenDone()
        await slices.cooperate(self.live.refreshing(self.views, clock())).whenDone()

    # --- settings that change ------------------------------------------------------------------------------

    def apply(self, config: Config) -> None:
        """Use the settings that can be changed while the node runs: see `reload`."""
        self.config = config
        self.pool.stratum.apply(config)
        apply_keys(self.web.access, config)
        self.alerts.apply(config)
        self._shown.update(shown_settings(config))

    async def reload_certificates(self) -> list[str]:
        """Load TLS certificates whose files have changed. Return whose they are."""
        found = (("stratum", self.pool.stratum), ("web", self.web))
        return [whose for whose, part in found if await part.reload_certificate()]

    # --- stop --------------------------------------------------------------------------------------------

    @property
    def has_work(self) -> bool:
        """Return whether there is work for miners."""
        return self.pool.node.context is not None

    def adopt(self) -> int:
        """Serve the miners of an earlier process from now on. Return how many they are."""
        if self.children is not None:
            self.children.take_over()
        return self.pool.stratum.adopt()

    async def hand_over(self, *, whole: bool) -> HandedOver:
        """Stop everything but the miners' connections and ports, and return these for another process; unless
        `whole`, miners have to reconnect."""
        stratum = self.pool.stratum
        asked = stratum.prepare_handover(whole=whole)
        if self.children is not None:
            self.children.keep()
        times = StopTimes(self.reactor, bounded=False)
        await self._stop_monitoring(times)
        if asked:
            await deferLater(self.reactor, RECONNECT_TIME, lambda: None)
        handed = stratum.hand_over(whole=whole)
        await self._stop_pool(times)
        return handed

    async def stop(self) -> None:
        """Stop everything: miners, connections, blocks under way, shares, the simulation, in this order."""
        times = StopTimes(self.reactor, bounded=True)
        await self._stop_monitoring(times)
        await self._stop_pool(times)

    async def _stop_monitoring(self, times: StopTimes) -> None:
        """Stop what shows the pool to people, and the embedded miners."""
        _log.info("stopping")
        await self.pool.interrupt(times)
        self.alerts.service.leave()
        for timer in self._timers:
            timer.stop()
        self.status_log.stop()
        self.service_status.stop()
        self.process_watch.stop()
        self.live.stop()
        miners = (miner.stopService for miner in self.simnet.miners)
        await times.together(self.onion.stop, *miners, by=MONITORING_END)
        if self.children is not None:
            await times.part(self.children.stop, CHILDREN_STOP_TIME, by=CHILDREN_END)
        await times.part(self.web.stop, by=CHILDREN_END)

    async def _stop_pool(self, times: StopTimes) -> None:
        """Stop what mines, and write what is not on disk yet."""
        await self.pool.stop(times)
        stops: list[Callable[[], Any]] = [self.history.stop, self.simnet.stop_daemon]
        stops += [self.alerts.service.stop, self.miner_alerts.stop]
        if self.children is not None:
            stops.append(self.children.stop)
        await times.together(*stops, by=DISK_END)
        _log.info("stopped")


def built_in_pages() -> Path:
    """Return the web files: beside the package in a checkout, inside it where it is installed."""
    checkout = Path(__file__).resolve().parents[2] / "web-static"
    if (checkout / "index.html").is_file():
        return checkout
    return Path(str(resources.files("p2pool.web") / "static"))
