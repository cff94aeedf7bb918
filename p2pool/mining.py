"""Everything that has to do with miners, put together: one object for the composition root."""

from __future__ import annotations

import errno
import re
import resource
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from p2pool.ban_file import BanFile
from p2pool.base.errors import OperatorError
from p2pool.base.timer import Timer
from p2pool.config import Config
from p2pool.node import Node, WorkChange
from p2pool.pool_stats import PoolStats
from p2pool.stratum.guard import GuardSettings
from p2pool.stratum.house import SessionSettings
from p2pool.stratum.operator import Operator
from p2pool.stratum.server import ServerLimits, StratumServer
from p2pool.tls import ServerCertificate, make_self_signed
from p2pool.worker_port import TlsPort, WorkerPort, keepalive_options

_log = Logger(namespace="p2pool.stratum")

WORK_PATIENCE = 120.0
"""Seconds without fresh work after which miners are better off at their backup pools."""
LISTEN_BACKLOG = 4096
"""Thousands of miners may come back in the same second."""
OTHER_FILES = 2200
"""File descriptors for all but miners: browsers, peers, dashd, databases, the log."""
SAVE_PERIOD = 5.0
CERTIFICATE_PERIOD = 5.0


class Mining:
    """The miners of this node. `problem` says why there is no fresh work, None while there is."""

    def __init__(
        self,
        reactor: Any,
        config: Config,
        node: Node,
        stats: PoolStats,
        clock: Callable[[], float],
        run_in_thread: Callable[[Callable[[], Any]], Deferred[Any]],
        problem: Callable[[], str | None],
    ) -> None:
        self._reactor = reactor
        self._config = config
        self._node = node
        self._clock = clock
        self._run_in_thread = run_in_thread
        self._problem = problem
        self.server = StratumServer(
            _session_settings(config),
            node,
            stats,
            reactor,
            clock,
            ServerLimits(
                max_connections=_affordable_connections(config.max_connections),
                max_line=config.max_line,
                max_unsent=config.max_unsent,
                session_timeout=config.session_timeout,
            ),
            GuardSettings(
                ban_duration=config.ban_duration,
                allowed=config.ban_allow,
                max_connections_per_host=config.max_connections_per_ip,
            ),
        )
        self.operator = Operator(self.server, clock)
        self._bans = BanFile(self.server.guard, config.datadir / "stratum-bans.json", run_in_thread)
        self._certificate: ServerCertificate | None = None
        self._port: Any = None
        self._tls_port: Any = None
        self._timers: list[Timer] = []
        self._work_since: float | None = None
        """When there was fresh work last."""

    # --- start -------------------------------------------------------------------------------------------

    def listen(self, web: IProtocolFactory) -> None:
        """Open the ports: miners' and browsers', and the miners' through TLS. Raises OperatorError."""
        config = self._config
        keepalive = keepalive_options(config.keepalive)
        if config.stratum_ssl_port is not None:
            self._certificate = _certificate(config, self._clock())
        # Before the first port is open: loading shares takes a while, and who is in stays.
        self._bans.load(self._clock())
        factory = WorkerPort(self.server, web, self._reactor, config.stratum_proxy_protocol, keepalive)
        self._port = self._open(factory, config.worker_port, config.worker_host, "-w/--worker-port")
        _log.info(
            "miners (X11) connect to stratum+tcp://{host}:{port}, people open {url}",
            host=self.host,
            port=self.port,
            url=self.url,
        )
        if self._certificate is not None and config.stratum_ssl_port is not None:
            host, port = config.stratum_ssl_port
            tls = TLSMemoryBIOFactory(self._certificate, False, self.server, clock=self._reactor)
            tls_factory = TlsPort(tls, self._reactor, config.stratum_proxy_protocol, keepalive)
            self._tls_port = self._open(tls_factory, port, host, "--stratum-ssl-port")
            _log.info(
                "miners through TLS connect to stratum+ssl://{host}:{port}",
                host=host or "127.0.0.1",
                port=self._tls_port.getHost().port,
            )

    def _open(self, factory: Any, port: int, host: str, flag: str) -> Any:
        """All interfaces are those of IPv6 with those of IPv4 in them, where the machine has IPv6."""
        try:
            if not host:
                try:
                    return self._reactor.listenTCP(port, factory, backlog=LISTEN_BACKLOG, interface="::")
                except CannotListenError as error:
                    if not isinstance(error.socketError, OSError) or _is_taken(error.socketError):
                        raise
            return self._reactor.listenTCP(port, factory, backlog=LISTEN_BACKLOG, interface=host)
        except CannotListenError as error:
            raise OperatorError(
                f"cannot listen on port {port} for miners ({error.socketError}): choose another one with {flag}"
            ) from None

    @property
    def host(self) -> str:
        """A name under which this machine's own programs reach the worker port."""
        return self._config.worker_host or "127.0.0.1"

    @property
    def port(self) -> int:
        """The worker port in use."""
        return int(self._port.getHost().port)

    @property
    def url(self) -> str:
        """The first page's address on this machine."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    def start(self) -> None:
        """Miners have work from now on."""
        self.server.start()
        self._timers = [
            Timer(self._reactor, 1.0, self._watch_work, now=False),
            Timer(self._reactor, SAVE_PERIOD, self._bans.save, now=False),
            Timer(self._reactor, CERTIFICATE_PERIOD, self._look_at_certificate, now=False),
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
        self.server.work_changed(template.previous_block, change.clean, more_to_come)

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
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
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
    certificate, key = config.ssl_cert, config.ssl_key
    if certificate is None or key is None:
        if not config.ssl_self_signed:
            raise OperatorError(
                "--stratum-ssl-port needs a certificate: give --ssl-cert FILE and --ssl-key FILE, "
                "or have one made with --ssl-self-signed"
            )
        certificate = config.datadir / "stratum-cert.pem"
        key = config.datadir / "stratum-key.pem"
    if config.ssl_self_signed and not certificate.exists() and not key.exists():
        make_self_signed(certificate, key, _own_names(), now)
        _log.info("self-signed certificate made: {path}", path=certificate)
    return ServerCertificate(certificate, key)


def _own_names() -> list[str]:
    """What this machine may be called."""
    names = ["localhost", "127.0.0.1", "::1"]
    own = socket.gethostname()
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?", own):  # others cannot stand in a certificate
        names.append(own)
    return list(dict.fromkeys(names))


def _is_taken(error: OSError) -> bool:
    """Whether the port itself is the trouble, not the lack of IPv6."""
    return error.errno in (errno.EADDRINUSE, errno.EACCES)
