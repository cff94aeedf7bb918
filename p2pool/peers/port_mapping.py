"""Has routers let other nodes in, keeps it so, and gives the port back at the end.

The router of each network's default route is asked by PCP, over IPv4 also by NAT-PMP (`net.port_client`), and if
that does not help by UPnP. With a proxy nothing is asked: the packets would go past it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2pool.base.backoff import Backoff
from p2pool.base.endpoints import host_and_port
from p2pool.base.environment import Environment
from p2pool.base.errors import reason_of
from p2pool.base.hosts import EVERY_KIND, NetworkKind, is_global, parse_address
from p2pool.base.text import printable
from p2pool.base.timer import Timer
from p2pool.net.port_control import CONTROL_PORT
from p2pool.net.router_port import RouterLink, RouterPort, open_link
from p2pool.net.routes import Gateway as Router
from p2pool.net.routes import default_gateways
from p2pool.peers.figures import MappedPort
from p2pool.peers.upnp import Gateway, GatewayError, UpnpGateway

_log = Logger(namespace="p2pool.peers")

RENEW_PERIOD: Final = 1200.0
"""Seconds after which UPnP is asked again."""
MOVE_PERIOD: Final = 600.0
"""Seconds after which the node looks whether it has another router, or another address."""
FIRST_WAIT, LONGEST_WAIT = 60.0, 1800.0
"""Seconds after which all is tried again if no router helps. Routers that refuse mean it for half an hour."""
GIVE_BACK_TIME: Final = 1.0
"""Seconds that a router has to answer at the end."""
_SHOWN: Final = 80
"""Characters of what a router says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterAccess:
    """How routers are found and asked; tests have others."""

    find_routers: Callable[[], Sequence[Router]] = default_gateways
    find_upnp: Callable[[], Gateway] = UpnpGateway
    control_port: int = CONTROL_PORT


class PortMapping:
    """Keeps one port open, in each network of `kinds`. `nonce_of` gives 12 secret bytes for this host's address,
    the same ones after a restart: by them the router knows whose mapping it is. `changed` is called when `mapped`
    has changed.

    What blocks is done in daemon threads: a router that hangs holds up nothing.
    """

    def __init__(
        self,
        environment: Environment,
        port: int,
        *,
        nonce_of: Callable[[str], bytes],
        kinds: frozenset[NetworkKind] = EVERY_KIND,
        changed: Callable[[], None] = lambda: None,
        access: RouterAccess | None = None,
    ) -> None:
        used = access or RouterAccess()
        make = partial(_NetworkMapping, environment, port, nonce_of=nonce_of, changed=changed, access=used)
        networks = (NetworkKind.IPV4, NetworkKind.IPV6)
        self._networks = [make(kind=kind) for kind in networks if kind in kinds]

    @property
    def mapped(self) -> list[MappedPort]:
        """Return the ports that routers forward to this node: one for each network at most."""
        return [each.mapped for each in self._networks if each.mapped is not None]

    def start(self) -> None:
        """Ask now, and for as long as the node runs."""
        for network in self._networks:
            network.start()

    async def stop(self) -> None:
        """Give the port back to the routers."""
        await DeferredList([Deferred.fromCoroutine(network.stop()) for network in self._networks])


class _Way(NamedTuple):
    """A router, and the socket by which it is asked."""

    router: Router
    link: RouterLink


class _NetworkMapping:
    """The mapping in one network."""

    def __init__(
        self,
        environment: Environment,
        port: int,
        *,
        kind: NetworkKind,
        nonce_of: Callable[[str], bytes],
        changed: Callable[[], None],
        access: RouterAccess,
    ) -> None:
        self.mapped: MappedPort | None = None
        self._environment = environment
        self._port = port
        self._kind = kind
        self._nonce_of = nonce_of
        self._changed = changed
        self._access = access
        self._backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        self._keeping: Deferred[None] | None = None
        self._router: RouterPort | None = None
        self._upnp: Gateway | None = None
        self._logged = ""
        self._ignores = False

    def start(self) -> None:
        self._keeping = Deferred.fromCoroutine(self._keep())
        self._keeping.addErrback(lambda failure: failure.trap(CancelledError) and None)
        self._keeping.addErrback(
            lambda failure: _log.failure("internal error while asking the router to forward the port", failure)
        )

    async def _keep(self) -> None:
        while True:
            problems = [await self._by_router()]
            if self._kind is NetworkKind.IPV4:
                problems.append(await self._by_upnp())
            found = [problem for problem in problems if problem]
            if found:
                line = "no router forwards port {port} to this node"
                if self._kind is not NetworkKind.IPV4:
                    line = "no router opens port {port} of this node for IPv6"
                self._log_once(line + ": {detail}", "; ".join(found))
            await self._wait(self._backoff.next_wait())

    def _wait(self, seconds: float) -> Deferred[None]:
        return deferLater(self._environment.reactor, seconds, lambda: None)

    async def _by_router(self) -> str:
        """Keep the port open by PCP or NAT-PMP for as long as that goes well; return why it does not. "" if there
        is nobody to ask."""
        while True:
            way = await self._find_way()
            problem = way if isinstance(way, str) else await self._keep_at(way)
            if problem is not None:
                return problem

    async def _find_way(self) -> _Way | str:
        """Return the router of the default route, and a socket to it; else why not."""
        access = self._access
        routers = await self._environment.run_in_daemon_thread(access.find_routers)
        version = 4 if self._kind is NetworkKind.IPV4 else 6
        router = next((each for each in routers if each.host.version == version), None)
        if router is None:
            return ""
        try:
            link = open_link(router, access.control_port)
        except OSError as error:
            return f"{router.host}: {reason_of(error)}"
        if version == 6 and not is_global(link.host):
            link.socket.close()
            return ""
        return _Way(router, link)

    async def _keep_at(self, way: _Way) -> str | None:
        """Keep the port open at one router. Return why that ended; None if this host has moved."""
        ended: Deferred[str | None] = Deferred()
        self._router = port = RouterPort(
            self._environment,
            way.link,
            self._port,
            nonce=self._nonce_of(str(way.link.host)),
            changed=lambda: self._router_changed(ended),
            ignored=partial(self._ignored, str(way.router.host)),
        )
        port.start()
        watch = Timer(
            self._environment.reactor,
            MOVE_PERIOD,
            lambda: self._check_way(way, ended),
            name="check the route to the router",
            now=False,
        )
        try:
            return await ended
        finally:
            watch.stop()

    async def _check_way(self, way: _Way, ended: Deferred[str | None]) -> None:
        """Leave a router that is no longer the one of the default route, and an address of this host that others
        no longer see: those of IPv6 change every day on many machines."""
        now = await self._find_way()
        if isinstance(now, str):  # offline for the moment
            return
        now.link.socket.close()
        port = self._router
        if (now.router, now.link.host) != (way.router, way.link.host) and port is not None and not ended.called:
            self._router = None
            self._unset()
            port.release()
            ended.callback(None)

    def _router_changed(self, ended: Deferred[str | None]) -> None:
        client = None if self._router is None else self._router.client
        if client is None:
            return
        if client.mapping is not None:
            self._set(client.mapping.method, client.mapping.host, client.mapping.port)
        elif client.problem is not None:
            self._router = None
            self._unset()
            ended.callback(client.problem)

    def _ignored(self, router: str, why: str) -> None:
        """Log the first datagram that cannot be used: whoever sends them can send many."""
        if not self._ignores:
            self._ignores = True
            _log.warn(
                "ignored a datagram from the router {router}: {why}; later ones are not logged",
                router=router,
                why=printable(why, _SHOWN),
            )

    async def _by_upnp(self) -> str:
        """Keep the port open by UPnP for as long as that goes well; return why it does not."""
        in_thread = self._environment.run_in_daemon_thread
        try:
            gateway = await in_thread(self._access.find_upnp)
            while True:
                host = await in_thread(lambda: gateway.add(self._port))
                self._upnp = gateway
                self._set("UPnP", printable(host, _SHOWN), self._port)
                await self._wait(RENEW_PERIOD)
        except GatewayError as error:
            self._upnp = None
            self._unset()
            return f"UPnP: {printable(str(error).strip(), _SHOWN)}"

    def _set(self, method: str, host: str, port: int) -> None:
        before = self.mapped
        self._backoff.reset()
        if before is not None and (before.method, before.host, before.port) == (method, host, port):
            return
        self.mapped = MappedPort(self._kind, method, host, port, self._environment.clock())
        line = "the router forwards {detail} to port {port} of this node"
        address = parse_address(host)
        if address is not None and not is_global(address):
            line += ", but its own address is not public: there is another router, which has to forward it too"
        self._log_once(line, f"{host_and_port(host, port)} (by {method})")
        self._changed()

    def _unset(self) -> None:
        if self.mapped is not None:
            self.mapped = None
            self._changed()

    def _log_once(self, line: str, detail: str) -> None:
        """Log a line once, not at each renewal or attempt."""
        if line + detail != self._logged:
            self._logged = line + detail
            _log.info(line, port=self._port, detail=detail)

    async def stop(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
        self.mapped = None
        if self._router is not None:
            await self._router.release()
        upnp, self._upnp = self._upnp, None
        if upnp is None:
            return
        removing = self._environment.run_in_daemon_thread(lambda: upnp.remove(self._port))
        try:
            await removing.addTimeout(GIVE_BACK_TIME, self._environment.reactor)
        except (GatewayError, DeferredTimeoutError) as error:
            why = str(error) if isinstance(error, GatewayError) else f"no answer within {GIVE_BACK_TIME:g} s"
            _log.info(
                "cannot remove the mapping of port {port} from the router: {detail}",
                port=self._port,
                detail=printable(why, _SHOWN),
            )
