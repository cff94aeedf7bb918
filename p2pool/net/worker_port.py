"""The ports that miners and browsers connect to.

On the worker port the first byte tells miners from browsers. On the TLS port there are only miners, on the web's
own port only browsers; the worker port then answers browsers with a hint. A load balancer sends the PROXY
protocol's header before everything else, and the address in it is the one that counts.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IReactorTCP,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from p2pool.base.endpoints import cannot_listen
from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.fair import FairDict, FairQueue
from p2pool.base.hosts import host_key, is_in, site_key
from p2pool.net.first_bytes import GETWORK, TLS_HANDSHAKE, Foreign, GetworkAnswer, foreign_protocol
from p2pool.net.proxy_protocol import HeaderReader

FIRST_BYTE_TIME = 30.0
"""Seconds within which a connection must send something."""
MAX_SILENT = 2000
"""Connections of one port that have not sent anything yet, or not the whole PROXY header. Beyond it the site with
most of them loses the one that has been silent longest."""
MAX_WEB_CONNECTIONS = 2000
"""Connections of browsers and programs at a time, half of them live: they must never take the file descriptors of
miners."""
MAX_WEB_CONNECTIONS_PER_HOST = 200
"""Of these, those of one host (IPv6: its /64), so that no single host keeps all others out."""
MAX_WEB_CONNECTIONS_PER_SITE = 400
"""Of these, those of one site (IPv6: its /48), which may have 65,536 hosts."""
_MAX_LOGGED = 1000
"""Pairs of host and kind of log line that a port remembers. Beyond it the site with most of them loses one."""
_LOG_PERIOD = 60.0
"""Seconds between two log lines of one kind about one host."""
LISTEN_BACKLOG = 4096
"""Connections that wait to be accepted: thousands of miners may reconnect in the same second."""
_WHITE_SPACE = b" \t\r\n"
_LOOPBACK = ip_network("127.0.0.0/8"), ip_network("::1/128")
_log = Logger(namespace="p2pool.worker_port")

IPNetwork = IPv4Network | IPv6Network
Ended = Callable[[], None] | None
"""What to call when a connection ends; None for nothing."""


def keepalive_options(idle: int) -> tuple[tuple[int, int], ...]:
    """Return TCP options for keep-alive probes after `idle` silent seconds, 3 probes 10 seconds apart.

    A peer that vanished is noticed after idle + 30 s; the system's own default is two hours.
    """
    return tuple(
        (getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", idle), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    )


class _UnidentifiedConnection(Protocol):
    """A connection until its protocol is known: then that protocol gets the transport."""

    def __init__(self, port: PortFactory, address: IAddress) -> None:
        self._port = port
        self._address = address
        self._header = HeaderReader() if port.is_proxy(address) else None
        self._inner: Protocol | None = None
        self._is_over = False
        self._waiting: IDelayedCall | None = None
        self._ended: Callable[[], None] | None = None

    @property
    def host(self) -> str:
        """Return the address of the client; before the PROXY header is read, of the load balancer."""
        return str(getattr(self._address, "host", "?"))

    @override
    def connectionMade(self) -> None:
        transport = self.transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
            for option, value in self._port.keepalive:
                transport.getHandle().setsockopt(  # type: ignore[attr-defined]
                    socket.IPPROTO_TCP, option, value
                )
        self._waiting = self._port.environment.reactor.callLater(FIRST_BYTE_TIME, self.give_up)
        self._port.opened(self)
        if self._header is None and self._port.at_once:
            self._hand_over(b"")

    def give_up(self) -> None:
        """End the connection: it sends nothing, or nothing that is understood."""
        self._settled()
        self._is_over = True
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def detach(self) -> tuple[Any, bytes]:
        """Stop waiting for the first byte. Return the transport, and what was read of a PROXY header."""
        self._settled()
        return self.transport, b"" if self._header is None else self._header.unread

    def evict(self) -> None:
        """End a connection that was handed over, to make room for another one."""
        self.give_up()
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()

    def _settled(self) -> None:
        self._port.settled(self)
        if self._waiting is not None:
            if self._waiting.active():
                self._waiting.cancel()
            self._waiting = None

    @override
    def dataReceived(self, data: bytes) -> None:
        # Replaced by the method of the chosen protocol when that has the connection.
        if self._is_over:
            return
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        if self._header is not None:
            try:
                origin = self._header.feed(data)
            except ParseError as error:
                _log.warn("disconnected {host}: no PROXY header: {error}", host=self.host, error=error)
                self.give_up()
                return
            if origin is None:
                return
            self._header, data = None, origin.rest
            if origin.host is not None:
                self._address = _address_of(origin.host, origin.port)
        self._hand_over(data)

    def _hand_over(self, data: bytes) -> None:
        port = self._port
        if not port.at_once:
            data = data.lstrip(_WHITE_SPACE)
            if not data:
                return
        self._settled()
        inner: Any = port.protocol_for(data, self._address)
        if inner is None or self.transport is None:
            self.give_up()
            return
        self._inner = inner
        self._ended = port.counted_out(data, self._address, self)
        self.dataReceived = inner.dataReceived  # type: ignore[method-assign]
        inner.makeConnection(self.transport)
        if self._ended is None and getattr(self.transport, "protocol", None) is self:
            self.transport.protocol = inner  # type: ignore[attr-defined]  # nothing is left to do here
        if data:
            inner.dataReceived(data)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._settled()
        if self._ended is not None:
            self._ended()
            self._ended = None
        if self._inner is not None:
            self._inner.connectionLost(reason)
            self._inner = None


class PortFactory(ServerFactory):
    """The factory of a port, whose subclasses choose a protocol for each connection. Bound: MAX_SILENT, and the
    bounds of the protocols behind it.

    `proxies` are the networks of load balancers that begin each connection with a PROXY header. `at_once` if the
    protocol of a connection is known before its first byte.
    """

    noisy = False
    at_once = False

    def __init__(
        self,
        environment: Environment,
        *,
        proxies: tuple[IPNetwork, ...] = (),
        keepalive: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self.environment = environment
        self.keepalive = keepalive
        self._proxies = proxies
        self._silent: FairQueue[_UnidentifiedConnection, str] = FairQueue()
        self._logged: FairDict[tuple[str, str], float, str] = FairDict(_MAX_LOGGED)

    @override
    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        return None if addr is None else _UnidentifiedConnection(self, addr)

    def is_proxy(self, address: IAddress) -> bool:
        """Return whether connections from an address begin with a PROXY header."""
        return is_in(str(getattr(address, "host", "")), self._proxies)

    def opened(self, connection: _UnidentifiedConnection) -> None:
        """Add a connection that has not sent anything yet; if there are too many, end another one."""
        site = site_key(connection.host)
        if len(self._silent) >= MAX_SILENT:
            evicted = self._silent.candidate(site)
            if evicted is not None:
                evicted.give_up()
        self._silent.add(connection, site)

    def detach_silent(self) -> list[tuple[Any, bytes]]:
        """Stop using the connections that have not been identified, without closing them. Return their transports,
        and what of a PROXY header was read."""
        found = []
        for connection in list(self._silent):
            transport, header = connection.detach()
            if not getattr(transport, "disconnecting", True):
                transport.stopReading()
                found.append((transport, header))
        return found

    def settled(self, connection: _UnidentifiedConnection) -> None:
        """Note that a connection is identified, or over."""
        self._silent.discard(connection)

    def log(self, address: IAddress, kind: str, line: str, *, warn: bool = True, **fields: object) -> None:
        """Log a line about a host, once a minute for each kind of line; `line` is a format with {host}."""
        host, now = str(getattr(address, "host", "?")), self.environment.reactor.seconds()
        key = host_key(host), kind
        logged = self._logged.get(key)
        if logged is None or not 0 <= now - logged < _LOG_PERIOD:
            self._logged.put(key, now, site_key(host))
            (_log.warn if warn else _log.debug)(line, host=host, **fields)

    def disconnect(self, foreign: Foreign, address: IAddress) -> None:
        """Log that a connection is disconnected because it speaks a foreign protocol; the caller ends it."""
        what = foreign.what
        self.log(address, what, "disconnected {host}: it sent {what}", warn=foreign.is_mistake, what=what)

    def protocol_for(self, data: bytes, address: IAddress) -> Any:
        """Return the protocol for a connection whose first bytes are `data`; None to end it."""
        raise NotImplementedError

    def counted_out(self, data: bytes, address: IAddress, connection: _UnidentifiedConnection) -> Ended:
        """Return what to do when the connection that was just handed over ends."""
        return None


class WebConnections:
    """Counts and limits the connections of browsers. Those of this machine and of `exempt` networks (proxies,
    behind which there are many browsers) count in the total only.

    Bound: MAX_WEB_CONNECTIONS. Beyond it the site with most connections loses its oldest one to a newcomer of a
    site with fewer.
    """

    def __init__(self, exempt: tuple[IPNetwork, ...] = ()) -> None:
        self.count = 0
        self._exempt = (*_LOOPBACK, *exempt)
        self._hosts: dict[str, int] = {}
        self._sites: dict[str, int] = {}
        self._evictable: FairQueue[_UnidentifiedConnection, str] = FairQueue()
        self._open: set[_UnidentifiedConnection] = set()

    def end_all(self) -> None:
        """End all connections: another process serves browsers from now on."""
        for connection in list(self._open):
            connection.evict()

    def refusal(self, address: IAddress) -> str | None:
        """Return why one more connection from an address is rejected; None if it is let in."""
        host = str(getattr(address, "host", ""))
        if self.count >= MAX_WEB_CONNECTIONS and self._candidate(host) is None:
            return f"{self.count} web connections"
        if self._hosts.get(host_key(host), 0) >= MAX_WEB_CONNECTIONS_PER_HOST and not is_in(host, self._exempt):
            return f"it has {MAX_WEB_CONNECTIONS_PER_HOST} web connections"
        if self._sites.get(site_key(host), 0) >= MAX_WEB_CONNECTIONS_PER_SITE and not is_in(host, self._exempt):
            return f"{site_key(host)} has {MAX_WEB_CONNECTIONS_PER_SITE} web connections"
        return None

    def _candidate(self, host: str) -> _UnidentifiedConnection | None:
        """Return the connection to end for one of `host`; None if its own site has as many as any."""
        site = site_key(host)
        return None if self._evictable.largest_group(site) == site else self._evictable.candidate(site)

    def opened(self, address: IAddress, connection: _UnidentifiedConnection | None = None) -> Callable[[], None]:
        """Count one more connection, and return the function to call at its end."""
        host = str(getattr(address, "host", ""))
        if self.count >= MAX_WEB_CONNECTIONS and (evicted := self._candidate(host)) is not None:
            evicted.evict()
        if connection is not None:
            self._open.add(connection)
            if not is_in(host, self._exempt):
                self._evictable.add(connection, site_key(host))
        counted = (self._hosts, host_key(host)), (self._sites, site_key(host))
        self.count += 1
        for counts, key in counted:
            counts[key] = counts.get(key, 0) + 1

        def ended() -> None:
            self.count -= 1
            if connection is not None:
                self._open.discard(connection)
                self._evictable.discard(connection)
            for counts, key in counted:
                counts[key] -= 1
                if not counts[key]:
                    del counts[key]

        return ended

    def protocol_for(self, web: IProtocolFactory, address: IAddress, port: PortFactory) -> Any:
        """Return the web's protocol if there is room for it; `port` logs the refusal."""
        refusal = self.refusal(address)
        if refusal is None:
            return web.buildProtocol(address)
        port.log(address, "no room", "rejected a web connection from {host}: {reason}", reason=refusal)
        return None


class WorkerPort(PortFactory):
    """The port of miners and browsers. Bound: also that of WebConnections."""

    def __init__(
        self,
        environment: Environment,
        *,
        stratum: IProtocolFactory,
        web: IProtocolFactory,
        proxies: tuple[IPNetwork, ...] = (),
        keepalive: tuple[tuple[int, int], ...] = (),
        browsers: WebConnections | None = None,
    ) -> None:
        super().__init__(environment, proxies=proxies, keepalive=keepalive)
        self.stratum = stratum
        self.web = web
        self.browsers = browsers or WebConnections()

    @override
    def doStart(self) -> None:
        self.stratum.doStart()
        self.web.doStart()

    @override
    def doStop(self) -> None:
        self.stratum.doStop()
        self.web.doStop()

    @override
    def protocol_for(self, data: bytes, address: IAddress) -> Any:
        if data[:1] == b"{":
            return self.stratum.buildProtocol(address)
        foreign = foreign_protocol(data)
        if foreign is not None:
            self.disconnect(foreign, address)
            return None
        if data.startswith(GETWORK) and self.browsers.refusal(address) is None:
            self.log(
                address,
                "getwork",
                "{host} asked for getwork over HTTP, which is not served: its miner must use stratum+tcp://",
            )
            return GetworkAnswer(self.environment.reactor)
        return self.browsers.protocol_for(self.web, address, self)

    @override
    def counted_out(self, data: bytes, address: IAddress, connection: _UnidentifiedConnection) -> Ended:
        return None if data[:1] == b"{" else self.browsers.opened(address, connection)


class TlsPort(PortFactory):
    """The port of miners that use TLS: `stratum` is stratum's factory within a TLS factory. A TLS client speaks
    first, so a silent connection never takes a miner's place."""

    def __init__(
        self,
        environment: Environment,
        *,
        stratum: IProtocolFactory,
        proxies: tuple[IPNetwork, ...] = (),
        keepalive: tuple[tuple[int, int], ...] = (),
    ) -> None:
        super().__init__(environment, proxies=proxies, keepalive=keepalive)
        self._stratum = stratum

    @override
    def protocol_for(self, data: bytes, address: IAddress) -> Any:
        if data[0] == TLS_HANDSHAKE:
            return self._stratum.buildProtocol(address)
        self.log(address, "no TLS", "disconnected {host}: it does not speak TLS, which this port requires")
        return None


class WebPort(PortFactory):
    """The port of browsers only: `web` is the site, within a TLS factory if it is encrypted. The site itself deals
    with silent connections, and reverse proxies name the client in HTTP."""

    at_once = True

    def __init__(
        self,
        environment: Environment,
        *,
        web: IProtocolFactory,
        browsers: WebConnections,
        keepalive: tuple[tuple[int, int], ...] = (),
    ) -> None:
        super().__init__(environment, keepalive=keepalive)
        self.web = web
        self.browsers = browsers

    @override
    def doStart(self) -> None:
        self.web.doStart()

    @override
    def doStop(self) -> None:
        self.web.doStop()

    @override
    def protocol_for(self, data: bytes, address: IAddress) -> Any:
        return self.browsers.protocol_for(self.web, address, self)

    @override
    def counted_out(self, data: bytes, address: IAddress, connection: _UnidentifiedConnection) -> Ended:
        return self.browsers.opened(address, connection)


def open_port(
    reactor: IReactorTCP, factory: ServerFactory, address: tuple[str, int], *, whom: str, flag: str
) -> IListeningPort:
    """Listen at an address (interface, port) for `whom`. The interface "" means all interfaces, of IPv6 and IPv4
    if the system has IPv6. Raises OperatorError, which names `flag`."""
    host, port = address
    try:
        if not host:
            try:
                return reactor.listenTCP(port, factory, backlog=LISTEN_BACKLOG, interface="::")
            except CannotListenError as error:
                if not isinstance(error.socketError, OSError) or _is_taken(error.socketError):
                    raise
        return reactor.listenTCP(port, factory, backlog=LISTEN_BACKLOG, interface=host)
    except CannotListenError as error:
        raise cannot_listen(error, address, purpose=whom, flag=flag) from None


def _is_taken(error: OSError) -> bool:
    """Return whether the port itself cannot be opened, rather than IPv6 be missing."""
    return error.errno in (errno.EADDRINUSE, errno.EACCES)


def _address_of(host: str, port: int) -> IAddress:
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)
