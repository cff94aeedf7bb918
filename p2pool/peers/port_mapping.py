"""Asks the router (UPnP) to let other nodes in, renews that, and takes it back at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.logger import Logger
from typing_extensions import override

from p2pool.base.environment import Environment
from p2pool.base.text import printable
from p2pool.base.timer import Timer

_log = Logger(namespace="p2pool.peers")

RENEW_PERIOD = 1200.0
LEASE = 3600
"""Seconds for which the router keeps a mapping that is not renewed: one forgotten by a crash goes away."""
_DISCOVERY_TIME_MS = 2000
_PROTOCOL, _NAME = "TCP", "p2pool-dash"


class GatewayError(Exception):
    """There is no router that does it, or it refuses."""


class Gateway(Protocol):
    """A router. Both methods block and raise GatewayError."""

    def add(self, port: int) -> str:
        """Forward a port to this node; return the router's external address."""

    def remove(self, port: int) -> None:
        """Stop forwarding a port to this node."""


class UpnpGateway(Gateway):
    """A router found by UPnP. Construction looks for it, which takes seconds. Raises GatewayError."""

    def __init__(self) -> None:
        try:
            import miniupnpc
        except ImportError as error:
            raise GatewayError(str(error)) from None
        self._upnp = miniupnpc.UPnP()
        self._upnp.discoverdelay = _DISCOVERY_TIME_MS
        self._ask(
            self._upnp.discover, f"no router answered the UPnP search within {_DISCOVERY_TIME_MS / 1000:g} s"
        )
        self._ask(self._upnp.selectigd, "none of the devices that answered the UPnP search is a router")

    def _ask(self, step: Callable[[], Any], otherwise: str) -> Any:
        """Return what a step of the library returns. Raises GatewayError, in the library's words, or `otherwise`
        if it has none: it raises plain Exceptions, and its word for the lack of an answer is "Success"."""
        try:
            return step()
        except Exception as error:
            text = str(error).strip()
            raise GatewayError(otherwise if text in ("", "Success") else text) from None

    @override
    def add(self, port: int) -> str:
        upnp = self._upnp
        mapping = port, _PROTOCOL, upnp.lanaddr, port, _NAME, "", str(LEASE)
        if not self._ask(lambda: upnp.addportmapping(*mapping), "the router refused without giving a reason"):
            raise GatewayError("the router refused")
        return str(self._ask(upnp.externalipaddress, "the router does not report its external address"))

    @override
    def remove(self, port: int) -> None:
        upnp = self._upnp
        self._ask(lambda: upnp.deleteportmapping(port, _PROTOCOL), "the router refused without giving a reason")


class PortMapping:
    """Keeps one port open. Routers are asked in a daemon thread: one that hangs holds up nothing."""

    def __init__(self, environment: Environment, port: int, find: Callable[[], Gateway] = UpnpGateway) -> None:
        self._reactor = environment.reactor
        self._port = port
        self._run_in_thread = environment.run_in_daemon_thread
        self._find = find
        self._gateway: Gateway | None = None
        self._logged = ""
        self._timer: Timer | None = None

    def start(self) -> None:
        """Ask now, and again every RENEW_PERIOD."""
        self._timer = Timer(self._reactor, RENEW_PERIOD, self._renew, name="renew the port mapping")

    async def _renew(self) -> None:
        def ask() -> tuple[Gateway, str]:
            gateway = self._gateway or self._find()
            return gateway, gateway.add(self._port)

        try:
            self._gateway, external = await self._run_in_thread(ask)
        except GatewayError as error:
            self._gateway = None
            self._log_once("no router forwards port {port} to this node: {detail}", printable(str(error), 80))
        else:
            self._log_once("the router at {detail} forwards port {port} to this node", printable(external, 80))

    def _log_once(self, line: str, detail: str) -> None:
        """Log a line once, not at each renewal."""
        if line != self._logged:
            self._logged = line
            _log.info(line, port=self._port, detail=detail)

    async def stop(self) -> None:
        """Close the port on the router again."""
        if self._timer is not None:
            self._timer.stop()
        gateway, self._gateway = self._gateway, None
        if gateway is None:
            return
        try:
            await self._run_in_thread(lambda: gateway.remove(self._port))
        except GatewayError as error:
            detail = printable(str(error), 80)
            _log.info(
                "cannot remove the mapping of port {port} from the router: {detail}",
                port=self._port,
                detail=detail,
            )
