"""Everything that has to do with miners, put together: one object for the composition root."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from p2pool.app.bench_log import BenchLog
from p2pool.app.config import Config
from p2pool.base.endpoints import host_and_port, reachable_host
from p2pool.base.environment import Environment
from p2pool.base.timer import Timer
from p2pool.net.own_certificate import find_certificate
from p2pool.net.tls import ServerCertificate
from p2pool.net.worker_port import (
    MAX_SILENT,
    TlsPort,
    WebConnections,
    WorkerPort,
    keepalive_options,
    open_port,
)
from p2pool.node import Node, WorkChange
from p2pool.pool_stats import PoolStats
from p2pool.stratum.ban_file import BANS_FILE, BanFile
from p2pool.stratum.guard import GuardSettings
from p2pool.stratum.limits import ServerLimits
from p2pool.stratum.lingering import MAX_LINGERING
from p2pool.stratum.operator import Operator
from p2pool.stratum.server import StratumServer
from p2pool.stratum.session_context import SessionSettings
from p2pool.web.sources import OpenPort, StratumLimits

_log = Logger(namespace="p2pool.stratum")

WORK_PATIENCE = 120.0
"""Seconds without fresh work after which miners are better off at their backup pools."""
OTHER_FILES = 2200
"""File descriptors for all but miners: browsers, peers, dashd, databases, the log."""
PASSING_FILES = MAX_SILENT + MAX_LINGERING
"""File descriptors for connections that have not said anything yet or are over, at most. Asked for if the system
has them: without, a flood of these could take those of miners."""
SAVE_PERIOD = 5.0
CERTIFICATE_PERIOD = 5.0


class StratumAssembly:
    """The miners of this node. `problem` says why there is no fresh work, None while there is; `bench` is for
    --bench."""

    def __init__(
        self,
        environment: Environment,
        config: Config,
        *,
        node: Node,
        stats: PoolStats,
        problem: Callable[[], str | None],
        bench: BenchLog | None = None,
    ) -> None:
        self._environment = environment
        self._reactor = environment.reactor
        self._config = config
        self._node = node
        self._clock = environment.clock
        self._run_in_thread = environment.run_in_thread
        self._problem = problem
        self.server = StratumServer(
            environment,
            settings=_session_settings(config),
            work=node if bench is None else bench.work(node),
            stats=stats,
            limits=ServerLimits(
                max_connections=_affordable_connections(config.max_connections),
                max_line=config.max_line,
                max_unsent=config.max_unsent,
                session_timeout=config.session_timeout,
            ),
            guard_settings=GuardSettings(
                ban_duration=config.ban_duration,
                allowed=config.ban_allow,
                max_connections_per_host=config.max_connections_per_ip,
            ),
            dispatcher=None if bench is None else bench.dispatcher(),
        )
        if bench is not None:
            self.server.all_jobs_sent.subscribe(bench.job_broadcast)
        self.limits = StratumLimits(
            self.server.limits.max_connections,
            config.max_connections_per_ip,
            config.share_rate,
            config.min_difficulty,
            len(config.ban_allow),
        )
        self.operator = Operator(self.server, environment.clock)
        self._bans = BanFile(self.server.guard, config.datadir / BANS_FILE.name, environment.run_in_thread)
        self._certificate: ServerCertificate | None = None
        self._port: Any = None
        self._tls_port: Any = None
        self._timers: list[Timer] = []
        self._work_since: float | None = None
        """When there was fresh work last."""

    # --- start -------------------------------------------------------------------------------------------

    def listen(
        self, web: IProtocolFactory, people: str | None = None, browsers: WebConnections | None = None
    ) -> None:
        """Open the ports: the miners', which browsers may come to as well (they are given `web`, and count among
        `browsers`), and the miners' through TLS. `people` is the first page's address where it is not on this
        port. Raises OperatorError."""
        config = self._config
        keepalive = keepalive_options(config.keepalive)
        if config.stratum_ssl_port is not None:
            self._certificate = _certificate(config, self._clock())
        # Before the first port is open: loading shares takes a while, and who is in stays.
        self._bans.load(self._clock())
        proxies = config.stratum_proxy_protocol
        factory = WorkerPort(
            self._environment,
            stratum=self.server,
            web=web,
            proxies=proxies,
            keepalive=keepalive,
            browsers=browsers,
        )
        address = config.worker_host, config.worker_port
        self._port = open_port(self._reactor, factory, address, whom="miners", flag="-w/--worker-port")
        _log.info(
            "miners (X11) connect to stratum+tcp://{where}, people open {url}",
            where=host_and_port(self.host, self.port),
            url=people or self.url,
        )
        if self._certificate is not None and config.stratum_ssl_port is not None:
            tls = TLSMemoryBIOFactory(self._certificate, False, self.server, clock=self._reactor)
            tls_factory = TlsPort(self._environment, stratum=tls, proxies=proxies, keepalive=keepalive)
            self._tls_port = open_port(
                self._reactor, tls_factory, config.stratum_ssl_port, whom="miners", flag="--stratum-ssl-port"
            )
            _log.info(
                "miners through TLS connect to stratum+ssl://{where}",
                where=host_and_port(reachable_host(config.stratum_ssl_port[0]), self._tls_port.getHost().port),
            )

    @property
    def host(self) -> str:
        """A name under which this machine's own programs reach the worker port."""
        return reachable_host(self._config.worker_host)

    @property
    def port(self) -> int:
        """The worker port in use."""
        return int(self._port.getHost().port)

    @property
    def tls_port(self) -> int | None:
        """The port for miners through TLS; None where there is none."""
        return None if self._tls_port is None else int(self._tls_port.getHost().port)

    @property
    def url(self) -> str:
        """The first page's address on this machine, where pages are on the worker port."""
        return f"http://{host_and_port(self.host, self.port)}/"

    def listening(self) -> list[OpenPort]:
        """The ports that are open."""
        purpose = "miners and browsers" if self._config.web_port is None else "miners"
        ports = [] if self._port is None else [OpenPort(purpose, self.port)]
        if self._tls_port is not None and self._certificate is not None:
            port, used = int(self._tls_port.getHost().port), self._certificate
            ports.append(
                OpenPort("miners, through TLS", port, used.fingerprint, used.not_after, used.other_fingerprint)
            )
        return ports

    def start(self) -> None:
        """Miners have work from now on."""
        self.server.start()
        self._timers = [
            Timer(self._reactor, 1.0, self._watch_work, name="watch the age of work", now=False),
            Timer(self._reactor, SAVE_PERIOD, self._bans.save, name="save the bans", now=False),
            Timer(
                self._reactor,
                CERTIFICATE_PERIOD,
                self._look_at_certificate,
                name="check the stratum certificate",
                now=False,
            ),
        ]

    async def _look_at_certificate(self) -> None:
        """A renewed certificate is in use without a restart; checking a long key takes its time."""
        if self._certificate is not None:
            await self._run_in_thread(self._certificate.reload_if_changed)

    # --- work --------------------------------------------------------------------------------------------

    def work_changed(self, change: WorkChange) -> None:
        """There is new work. Where the share to build on is itself a block of the template's parent, a template on
        that block is milliseconds away, and work on the old one is not worth a round of its own."""
        template, tip = change.context.template, change.context.parent.previous_hash
        best = None if tip is None else self._node.tracker.get(tip)
        is_block = best is not None and best.previous_block == template.previous_block
        more_to_come = best is not None and is_block and best.hash <= template.target
        self.server.work_changed(template.previous_block, clean=change.clean, more_to_come=more_to_come)

    def _watch_work(self) -> None:
        """Without fresh work for long, miners are better off at their backup pools."""
        now = self._clock()
        problem = self._problem()
        if problem is None or self._work_since is None:
            self._work_since = now
        if problem is None and self.server.suspended:
            self.server.resume()
            _log.info("there is work again: miners are welcome")
        elif abs(now - self._work_since) > WORK_PATIENCE and not self.server.suspended:
            self.server.suspend()
            _log.warn(
                "no fresh work for {time:g} s ({problem}): miners are sent away until there is",
                time=WORK_PATIENCE,
                problem=problem,
            )

    # --- stop --------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """No more connections."""
        for timer in self._timers:
            timer.stop()
        for port in (self._port, self._tls_port):
            if port is not None:
                await port.stopListening()
        self.server.stop()
        await self._bans.save()


def _session_settings(config: Config) -> SessionSettings:
    network = config.network
    start = network.start_difficulty if config.start_difficulty is None else config.start_difficulty
    low = network.min_difficulty if config.min_difficulty is None else config.min_difficulty
    return SessionSettings(
        network=network,
        start_difficulty=start,
        min_difficulty=low,
        max_difficulty=config.max_difficulty,
        share_rate=config.share_rate,
        login_time=config.login_time,
    )


def _affordable_connections(wanted: int) -> int:
    """As many of the connections that are wanted as the system has file descriptors for, after asking it for
    more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    best = needed + PASSING_FILES
    if soft != resource.RLIM_INFINITY and soft < best:
        soft = best if hard == resource.RLIM_INFINITY else min(best, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    possible = max(soft - OTHER_FILES, soft // 2)
    _log.warn(
        "this system allows {limit} open files: room for {possible} miners instead of {wanted} (see ulimit -n)",
        limit=soft,
        possible=possible,
        wanted=wanted,
    )
    return possible


def _certificate(config: Config, now: float) -> ServerCertificate:
    """The one that was given, or a self-signed one, made once. Raises OperatorError."""
    own = config.datadir / "stratum-cert.pem", config.datadir / "stratum-key.pem"
    return find_certificate(
        (config.ssl_cert, config.ssl_key), own=own, self_signed=config.ssl_self_signed, now=now
    )
