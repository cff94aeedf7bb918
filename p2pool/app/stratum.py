"""The assembly of everything about miners: server, ports, certificate, bans, and the operator's actions."""

from __future__ import annotations

import math
import resource
from collections.abc import Callable
from dataclasses import replace

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from p2pool.app.bench_log import BenchLog
from p2pool.app.config import Config
from p2pool.app.handover import HandedOver
from p2pool.app.stratum_handover import MinersTaker, OpenedPort, hand_over_miners, prepare_handover
from p2pool.base.endpoints import host_and_port, reachable_host
from p2pool.base.environment import Environment
from p2pool.base.timer import Timer
from p2pool.jobs.context import WorkContext
from p2pool.net.adopted_sockets import adopt_port
from p2pool.net.own_certificate import find_certificate
from p2pool.net.shared_port import ReservedPort, open_shared_port
from p2pool.net.tls import ServerCertificate
from p2pool.net.worker_port import (
    MAX_SILENT,
    PortFactory,
    TlsPort,
    WebConnections,
    WorkerPort,
    keepalive_options,
    open_port,
)
from p2pool.stratum.ban_file import BANS_FILE, BanFile
from p2pool.stratum.guard import GuardSettings
from p2pool.stratum.limits import ServerLimits
from p2pool.stratum.lingering import MAX_LINGERING
from p2pool.stratum.operator import Operator
from p2pool.stratum.ports import StatsPort, WorkPort
from p2pool.stratum.server import StratumServer
from p2pool.stratum.session_context import SessionSettings
from p2pool.stratum.work_patience import WORK_PATIENCE, WorkPatience, WorkState
from p2pool.web.sources import OpenPort, StratumLimits

_WORKER_FLAG, _TLS_FLAG = "-w/--worker-port", "--stratum-ssl-port"
_log = Logger(namespace="p2pool.stratum")

OTHER_FILES = 2200
"""File descriptors for everything but miners: browsers, peers, dashd, databases, the log."""
PASSING_FILES = MAX_SILENT + MAX_LINGERING
"""File descriptors for connections that have not sent anything yet or that linger, at most. They are requested if
the system has them: without them, a flood of such connections could take those of miners."""
SAVE_PERIOD = 5.0
"""Seconds between two checks whether the bans must be written to disk."""
WORK_PERIOD = 1.0
"""Seconds between two checks whether there is fresh work."""
CERTIFICATE_PERIOD = 5.0
"""Seconds between two checks whether the certificate's files have changed."""


class StratumAssembly:
    """The miners of this node. `problem` returns why there is no fresh work, None if there is, and `missing` for
    how many seconds there has been none at least, infinity if miners are not to wait for it; `bench` is for
    --bench."""

    def __init__(
        self,
        environment: Environment,
        config: Config,
        *,
        work: WorkPort,
        stats: StatsPort,
        problem: Callable[[], str | None],
        missing: Callable[[], float] = lambda: 0.0,
        bench: BenchLog | None = None,
    ) -> None:
        self._environment = environment
        self._reactor = environment.reactor
        self._config = config
        self._clock = environment.clock
        self._run_in_thread = environment.run_in_thread
        self._problem = problem
        self._missing = missing
        self.server = StratumServer(
            environment,
            settings=_session_settings(config),
            work=work if bench is None else bench.work(work),
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
        self._port: IListeningPort | None = None
        self._tls_port: IListeningPort | None = None
        self._opened: list[OpenedPort] = []
        self._taker: MinersTaker | None = None
        self._reserved: dict[str, ReservedPort] = {}
        """The ports that the gateways of this machine listen on instead, by flag."""
        self._timers: list[Timer] = []
        self._patience = WorkPatience()

    # --- start -------------------------------------------------------------------------------------------

    def listen(
        self, web: IProtocolFactory, dashboard: str | None = None, browsers: WebConnections | None = None
    ) -> None:
        """Open the worker port and the port for miners through TLS.

        Browsers may use the worker port as well: they get `web`, and count among `browsers`. `dashboard` is the
        address of the dashboard if it is not on this port, "" if there is none. Raises OperatorError.
        """
        config = self._config
        keepalive = keepalive_options(config.keepalive)
        if config.stratum_ssl_port is not None:
            self._certificate = _certificate(config, self._clock())
        # Before the first port is open: loading shares takes a while, and connections made meanwhile stay.
        self._bans.load(self._clock())
        if config.gateways:
            self._reserve_ports(dashboard)
            return
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
        self._port = self._open(factory, address, purpose="miners", flag=_WORKER_FLAG)
        _log.info(
            "miners (X11) connect to stratum+tcp://{address}{dashboard}",
            address=host_and_port(self.host, self.port),
            dashboard=self._and_dashboard(dashboard),
        )
        if self._certificate is not None and config.stratum_ssl_port is not None:
            tls = TLSMemoryBIOFactory(self._certificate, False, self.server, clock=self._reactor)
            tls_factory = TlsPort(self._environment, stratum=tls, proxies=proxies, keepalive=keepalive)
            self._tls_port = self._open(
                tls_factory, config.stratum_ssl_port, purpose="miners through TLS", flag=_TLS_FLAG
            )
            _log.info(
                "miners through TLS connect to stratum+ssl://{address}",
                address=host_and_port(reachable_host(config.stratum_ssl_port[0]), _port_of(self._tls_port)),
            )

    def _open(self, factory: PortFactory, address: tuple[str, int], *, purpose: str, flag: str) -> IListeningPort:
        """Open a port, or use the one that an earlier process handed over."""
        listening = None if self._taker is None else self._taker.port(purpose, address)
        if listening is None:
            opened = open_shared_port if self._config.share_port else open_port
            port = opened(self._reactor, factory, address, whom="miners", flag=flag)
        else:
            port = adopt_port(self._reactor, factory, listening)
        self._opened.append((purpose, address, port, factory))
        return port

    # --- between processes -------------------------------------------------------------------------------

    def take_over(self, handed: HandedOver) -> None:
        """Take what an earlier process handed over; call it before `listen`. Raises ParseError."""
        self._taker = MinersTaker(self._reactor, self.server, handed)

    def adopt(self) -> int:
        """Serve the miners of an earlier process from now on. Return how many they are. Raises ParseError."""
        taker, self._taker = self._taker, None
        return 0 if taker is None else taker.adopt(self._opened)

    def prepare_handover(self, *, whole: bool) -> bool:
        """Let new connections wait for another process, and ask miners whose connections cannot be handed over to
        reconnect: all of them unless `whole`. Return whether there are any."""
        return prepare_handover(self.server, self._opened, whole=whole)

    def hand_over(self, *, whole: bool) -> HandedOver:
        """Stop serving miners without closing their connections, and return these for another process. Unless
        `whole`, the connections end."""
        handed = hand_over_miners(self.server, self._opened, whole=whole)
        self._port = self._tls_port = None
        return handed

    def _and_dashboard(self, dashboard: str | None) -> str:
        """Return the end of the log line about the ports; `dashboard` is what `listen` was given."""
        return "" if dashboard == "" else f", dashboard: {dashboard or self.url}"

    def _reserve_ports(self, dashboard: str | None) -> None:
        """Keep the ports for the gateways that the node starts. Raises OperatorError."""
        addresses = {
            _WORKER_FLAG: (self._config.worker_host, self._config.worker_port),
            _TLS_FLAG: self._config.stratum_ssl_port,
        }
        for flag, address in addresses.items():
            if address is not None:
                self._reserved[flag] = ReservedPort(address, whom="miners", flag=flag)
        _log.info(
            "miners (X11) connect to the gateways at stratum+tcp://{address}{dashboard}",
            address=host_and_port(self.host, self.port),
            dashboard=self._and_dashboard(dashboard),
        )

    @property
    def host(self) -> str:
        """Return the host name by which programs on this host reach the worker port."""
        return reachable_host(self._config.worker_host)

    @property
    def port(self) -> int:
        """Return the number of the worker port."""
        reserved = self._reserved.get(_WORKER_FLAG)
        return _port_of(self._port) if reserved is None else reserved.number

    @property
    def tls_port(self) -> int | None:
        """Return the number of the port for miners through TLS; None if there is none."""
        reserved = self._reserved.get(_TLS_FLAG)
        if reserved is not None:
            return reserved.number
        return None if self._tls_port is None else _port_of(self._tls_port)

    @property
    def url(self) -> str:
        """Return the address of the dashboard for browsers on this host if it is on the worker port."""
        return f"http://{host_and_port(self.host, self.port)}/"

    def listening(self) -> list[OpenPort]:
        """Return the open ports, for pages."""
        purpose = "miners and browsers" if self._config.web_port is None else "miners"
        if self._reserved:
            purpose = "miners, by gateways"
        ports = [OpenPort(purpose, self.port)] if self._port is not None or self._reserved else []
        if self.tls_port is not None and self._certificate is not None:
            port, used = self.tls_port, self._certificate
            ports.append(
                OpenPort("miners, through TLS", port, used.fingerprint, used.not_after, used.other_fingerprint)
            )
        return ports

    def start(self) -> None:
        """Start to serve miners."""
        self.server.start()
        self._timers = [
            Timer(self._reactor, WORK_PERIOD, self._check_work, name="check for fresh work", now=False),
            Timer(self._reactor, SAVE_PERIOD, self._bans.save, name="save the bans", now=False),
            Timer(
                self._reactor,
                CERTIFICATE_PERIOD,
                self._check_certificate,
                name="check the stratum certificate",
                now=False,
            ),
        ]

    async def _check_certificate(self) -> None:
        await self.reload_certificate()

    async def reload_certificate(self) -> bool:
        """Use a renewed certificate without a restart. In a thread, since checking a long key takes time. Return
        whether there is one."""
        if self._certificate is None:
            return False
        return await self._run_in_thread(self._certificate.reload_if_changed)

    def apply(self, config: Config) -> None:
        """Use the networks of the settings that are never banned from now on."""
        self.server.guard.allow(config.ban_allow)
        self.limits = replace(self.limits, never_banned=len(config.ban_allow))

    # --- work --------------------------------------------------------------------------------------------

    def work_changed(self, context: WorkContext, *, clean: bool, more_to_come: bool) -> None:
        """Broadcast new work to miners.

        `clean` if it makes earlier work worthless, `more_to_come` if newer work is expected within milliseconds.
        """
        self.server.work_changed(context.template.previous_block, clean=clean, more_to_come=more_to_come)

    def _check_work(self) -> None:
        """Disconnect miners if there is no fresh work for too long, and accept them again when there is."""
        problem = self._problem()
        missing = self._missing()
        state = self._patience.check(problem, self._clock(), missing=missing)
        if state is WorkState.FRESH and self.server.suspended:
            self.server.resume()
            _log.info("fresh work is available again: accepting miners")
        elif state is WorkState.SUSPENDED and not self.server.suspended:
            self.server.suspend()
            _log.warn(
                "no fresh work{time} ({problem}): disconnecting miners until there is fresh work",
                time="" if missing == math.inf else f" for {WORK_PATIENCE:g} s",
                problem=problem,
            )

    # --- stop --------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Close the ports and all connections, and write the bans to disk."""
        for timer in self._timers:
            timer.stop()
        for port in (self._port, self._tls_port):
            if port is not None:
                await maybeDeferred(port.stopListening)
        for reserved in self._reserved.values():
            reserved.close()
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


def _port_of(port: IListeningPort | None) -> int:
    """Return the number of an open port. Raises RuntimeError before it is open."""
    if port is None:
        raise RuntimeError("the port is not open yet")
    return int(port.getHost().port)  # type: ignore[attr-defined]


def _affordable_connections(requested: int) -> int:
    """Return how many of the requested connections the system has file descriptors for, after asking it for
    more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = requested + OTHER_FILES
    best = needed + PASSING_FILES
    if soft != resource.RLIM_INFINITY and soft < best:
        soft = best if hard == resource.RLIM_INFINITY else min(best, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return requested
    possible = max(soft - OTHER_FILES, soft // 2)
    _log.warn(
        "this system allows {limit} open files, enough for {possible} miners instead of {requested}; raise the "
        "limit with ulimit -n",
        limit=soft,
        possible=possible,
        requested=requested,
    )
    return possible


def _certificate(config: Config, now: float) -> ServerCertificate:
    """Return the certificate of the settings, or a self-signed one that is made once. Raises OperatorError."""
    return find_certificate(
        (config.ssl_cert, config.ssl_key),
        own=config.own_stratum_certificate,
        self_signed=config.ssl_self_signed,
        now=now,
    )
