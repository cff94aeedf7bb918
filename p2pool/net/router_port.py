"""The socket of a `port_client.PortClient`: one router is asked by UDP to forward one port."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from p2pool.base.environment import Environment
from p2pool.net.port_client import PortClient
from p2pool.net.port_control import CONTROL_PORT, MAX_PACKET
from p2pool.net.routes import Gateway

_AT_ONCE: Final = 16
"""Datagrams handled in one turn of the reactor."""
_SOMEWHERE = "2000::1", 9
"""Of global unicast. Nothing is sent there: the system says which address it would send from."""


@dataclass(frozen=True, slots=True)
class RouterLink:
    """A socket that exchanges datagrams with one router only, and this host's address on it."""

    socket: socket.socket
    host: IPv4Address | IPv6Address


def open_link(gateway: Gateway, port: int = CONTROL_PORT) -> RouterLink:
    """Open a socket to a router. Raises OSError."""
    if gateway.host.version == 4:
        link = _connected(socket.AF_INET, (str(gateway.host), port), None)
    else:
        with _connected(socket.AF_INET6, _SOMEWHERE, None) as probe:
            source = probe.getsockname()[0]
        # The router's address is one of the link; the mapping is for the address that others see.
        scope = socket.if_nametoindex(gateway.interface) if gateway.host.is_link_local else 0
        link = _connected(socket.AF_INET6, (str(gateway.host), port, 0, scope), (source, 0))
    return RouterLink(link, ip_address(link.getsockname()[0].partition("%")[0]))


def _connected(family: int, address: tuple[Any, ...], source: tuple[str, int] | None) -> socket.socket:
    link = socket.socket(family, socket.SOCK_DGRAM)
    try:
        link.setblocking(False)
        if source is not None:
            link.bind(source)
        link.connect(address)
    except BaseException:
        link.close()
        raise
    return link


@implementer(IReadDescriptor)
class RouterPort:
    """Keeps a port open at one router. `changed` and `ignored` are as for PortClient, whose state is `client`. The
    socket is closed once the client has failed, or the port is released."""

    def __init__(
        self,
        environment: Environment,
        link: RouterLink,
        port: int,
        *,
        nonce: bytes,
        changed: Callable[[], None],
        ignored: Callable[[str], None],
    ) -> None:
        self._reactor: Any = environment.reactor
        self._monotonic = environment.monotonic
        self._link: socket.socket | None = link.socket
        self._call: IDelayedCall | None = None
        self._released: Deferred[None] | None = None
        self.client = PortClient(
            link.host,
            port,
            nonce,
            chance=environment.chance,
            write=self._write,
            changed=changed,
            ignored=ignored,
        )

    def start(self) -> None:
        """Begin to ask the router."""
        self._reactor.addReader(self)
        self.client.begin(self._monotonic())
        self._schedule()

    def release(self) -> Deferred[None]:
        """Give the port back. The Deferred fires when the router has answered, or will not; within a second."""
        released = self._released = Deferred()
        if self._link is None or not self.client.release(self._monotonic()):
            self.close()
        else:
            self._schedule()
        return released

    def close(self) -> None:
        """Close the socket, and do nothing more."""
        link, self._link = self._link, None
        if link is not None:
            self._reactor.removeReader(self)  # while it has a descriptor
            link.close()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._released is not None and not self._released.called:
            self._released.callback(None)

    def _write(self, data: bytes) -> None:
        """Send a datagram, or lose it: it is repeated."""
        if self._link is not None:
            try:
                self._link.send(data)
            except ConnectionRefusedError:
                self._reactor.callLater(0, self._refused)
            except OSError:
                pass

    def _refused(self) -> None:
        self.client.refused(self._monotonic())
        self._schedule()

    def _tick(self) -> None:
        self._call = None
        self.client.tick(self._monotonic())
        self._schedule()

    def _schedule(self) -> None:
        """Have `tick` called when it is due; without that, nothing more comes."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        due = self.client.due
        if due is None:
            self.close()
        elif self._link is not None:
            self._call = self._reactor.callLater(max(0.0, due - self._monotonic()), self._tick)

    # --- for the reactor ---------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return -1 if self._link is None else self._link.fileno()

    def logPrefix(self) -> str:
        """Return what the reactor logs this reader as."""
        return "router"

    def connectionLost(self, reason: Failure) -> None:
        """Take note of an error of the socket, such as that nothing listens there: a reactor that uses epoll takes
        it for the end of a connection, and gives the descriptor up."""
        if self._link is None:
            return
        error = self._link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._reactor.addReader(self)
        if error == errno.ECONNREFUSED:
            self._refused()

    def doRead(self) -> None:
        """Read what the router sent; the rest of many datagrams in the next turn."""
        for _ in range(_AT_ONCE):
            if self._link is None:
                return
            try:
                data = self._link.recv(MAX_PACKET + 1)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                self._refused()
                return
            except OSError:  # unreachable for the moment
                return
            self.client.receive(data, self._monotonic())
            self._schedule()
