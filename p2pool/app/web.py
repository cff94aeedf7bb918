"""The web of this node, put together for the composition root: whether the site is served on the worker port or
on a port of its own, with or without TLS, who may use it, and the audit log of admin actions."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.resource import Resource
from twisted.web.server import Request

from p2pool.app.config import Config
from p2pool.base.endpoints import host_and_port, reachable_host
from p2pool.base.environment import Environment
from p2pool.base.timer import Timer
from p2pool.net.first_bytes import HintFactory
from p2pool.net.own_certificate import find_certificate
from p2pool.net.tls import ServerCertificate
from p2pool.net.worker_port import (
    WebConnections,
    WebPort,
    keepalive_options,
    open_port,
)
from p2pool.web.access import Access, AccessSettings
from p2pool.web.admin import AdminResource, AlertTester, Gateways, OperatorPort, admin_actions, with_gateways
from p2pool.web.audit import AuditLog
from p2pool.web.known_hosts import machine_names
from p2pool.web.miner_alerts import MinerAlertsPort
from p2pool.web.request import WebRequest
from p2pool.web.site import WebSite
from p2pool.web.sources import OpenPort
from p2pool.web.views import Views

CERTIFICATE_PERIOD = 5.0
_log = Logger(namespace="p2pool.web")


class WebAssembly:
    """The web of this node."""

    def __init__(
        self,
        environment: Environment,
        config: Config,
        *,
        operator: OperatorPort,
        set_log_level: Callable[[str], None],
        alerts: AlertTester | None = None,
        gateways: Gateways | None = None,
        miner_alerts: MinerAlertsPort | None = None,
    ) -> None:
        self._environment = environment
        self._reactor = environment.reactor
        self._config = config
        self._clock = environment.clock
        self._run_in_thread = environment.run_in_thread
        self.access = web_access(config)
        self._audit = AuditLog(config.datadir / "audit.log", environment.clock, environment.run_in_thread)
        actions = admin_actions(operator, set_log_level, alerts)
        if gateways is not None:
            actions = with_gateways(actions, gateways)
        self._actions = {name: AdminResource(name, each, self._audit) for name, each in actions.items()}
        self._miner_alerts = miner_alerts
        self.browsers = WebConnections(config.web_trusted_proxy)
        self._certificate: ServerCertificate | None = None
        self._timers: list[Timer] = []
        self.site: WebSite | None = None
        """What serves browsers, from `listen` on."""
        self._port: Any = None

    def listen(
        self, views: Views, files: Path, *, live: Resource | None = None, custom_pages: bool = False
    ) -> IProtocolFactory:
        """Open the web's own port, if there is to be one. Returns what serves browsers on the worker port: the
        site, or a hint. `live` is mounted at /ws; `custom_pages` if the files are an operator's own. Raises
        OperatorError."""
        config = self._config
        self.site = site = WebSite(
            self._environment,
            views,
            files,
            live=live,
            access=self.access,
            admin=self._actions,
            miner_alerts=self._miner_alerts,
            custom_pages=custom_pages,
        )
        if config.web_port is None:
            return site
        factory: Any = site
        if config.serves_https:
            self._certificate = find_certificate(
                (config.web_ssl_cert, config.web_ssl_key),
                own=config.own_web_certificate,
                self_signed=config.web_ssl_self_signed,
                now=self._clock(),
            )
            factory = TLSMemoryBIOFactory(self._certificate, False, site, clock=self._reactor)
            self._timers = [
                Timer(
                    self._reactor,
                    CERTIFICATE_PERIOD,
                    self._check_certificate,
                    name="check the web certificate",
                    now=False,
                )
            ]
        keepalive = keepalive_options(config.keepalive)
        port = WebPort(self._environment, web=factory, browsers=self.browsers, keepalive=keepalive)
        self._port = open_port(self._reactor, port, config.web_port, whom="the web", flag="--web-port")
        return HintFactory(
            "This port is for miners (stratum). The pages of this node are on another one, which its operator "
            f"has chosen with --web-port: {self._port.getHost().port}.\n"
        )

    def watchable_views(self, request: Request, views: frozenset[str]) -> frozenset[str]:
        """Return those of the views that this request's client may watch live."""
        admitted = request.admitted if isinstance(request, WebRequest) else None
        return self.access.watchable(admitted, views)

    async def _check_certificate(self) -> None:
        await self.reload_certificate()

    async def reload_certificate(self) -> bool:
        """Load a renewed certificate, without a restart. Return whether there is one."""
        if self._certificate is None:
            return False
        return await self._run_in_thread(self._certificate.reload_if_changed)

    @property
    def url(self) -> str | None:
        """Return the address of the first page on this machine; None if pages are on the worker port."""
        if self._port is None or self._config.web_port is None:
            return None
        scheme = "http" if self._certificate is None else "https"
        host = reachable_host(self._config.web_port[0])
        return f"{scheme}://{host_and_port(host, self._port.getHost().port)}/"

    def listening(self) -> list[OpenPort]:
        """Return the web's own port, if there is one."""
        if self._port is None:
            return []
        port, used = int(self._port.getHost().port), self._certificate
        if used is None:
            return [OpenPort("browsers", port)]
        return [OpenPort("browsers, through TLS", port, used.fingerprint, used.not_after, used.other_fingerprint)]

    async def stop(self) -> None:
        """Close the web's own port and complete the audit log."""
        for timer in self._timers:
            timer.stop()
        if self._port is not None:
            await self._port.stopListening()
        await self._audit.stop()


def web_access(config: Config) -> Access:
    """Return who may use the web, as the settings say."""
    return Access(
        AccessSettings(
            keys=config.api_keys,
            key_endpoints=config.api_key_endpoints,
            password=config.web_password,
            rate_limit=config.web_rate_limit,
            trusted_proxies=config.web_trusted_proxy,
            host_names=known_host_names(config, socket.gethostname()),
        )
    )


def apply_keys(access: Access, config: Config) -> None:
    """Use the API keys of the settings from now on, and the paths that need one."""
    access.settings = replace(access.settings, keys=config.api_keys, key_endpoints=config.api_key_endpoints)


def known_host_names(config: Config, machine: str) -> frozenset[str]:
    """Return the host names of this node's web: those given with --web-host, those in other settings that say
    where this node is, and those of the machine, whose host name is `machine`."""
    page = urlsplit(config.alerts.page or "").hostname
    external = None if config.external_ip is None else config.external_ip[0]
    own = (config.worker_host, config.web_port[0] if config.web_port else None, external, page)
    return config.web_host | machine_names(machine) | {name.lower() for name in own if name}
