"""Asks a router by UPnP to forward a port, with the library miniupnpc. All calls block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from typing_extensions import override

from p2pool.net.port_client import LEASE

_DISCOVERY_TIME_MS: Final = 2000
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
