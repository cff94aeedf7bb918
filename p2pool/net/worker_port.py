"""The ports that miners and browsers connect to.

On the worker port the first byte says who is there; on the TLS port there are only miners, on the web's own port
only browsers, who get no more than a hint on the worker port then. Behind a load balancer the PROXY protocol's
header comes before either, and the address in it is the one that counts.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory, IReactorTime, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.endpoints import cannot_listen
from p2pool.base.errors import ParseError
from p2pool.base.fair import FairDict, FairQueue
from p2pool.base.hosts import host_key, is_in, site_key
from p2pool.net.first_bytes import GETWORK, TLS_HANDSHAKE, Foreign, GetworkAnswer, foreign_protocol
from p2pool.net.proxy_protocol import HeaderReader

FIRST_BYTE_TIME = 30.0
"""Seconds within which a connection has to say something."""
MAX_SILENT = 2000
"""Connections of one port that have not said anything yet, or no whole PROXY header; beyond it the site with most
of them loses the one that is silent longest."""
MAX_WEB_CONNECTIONS = 2000
"""Browsers and programs that look, at a time, half of them live: they must never take the miners' file
descriptors."""
MAX_WEB_CONNECTIONS_PER_HOST = 200
"""Of these, those of one host (IPv6: its /64): no single one keeps all others out by holding connections."""
MAX_WEB_CONNECTIONS_PER_SITE = 400
"""Of these, those of one site (IPv6: its /48), which may have 65,536 hosts."""
_MAX_LOGGED = 1000
"""Hosts and kinds of log lines that a port remembers; beyond it the site with most of them loses one."""
_LOG_PERIOD = 60.0
"""Seconds between two log lines of one kind about one host."""
LISTEN_BACKLOG = 4096
"""Thousands of miners may come back in the same second."""
_WHITE_SPACE = b" \t\r\n"
_LOOPBACK = ip_network("127.0.0.0/8"), ip_network("::1/128")
_log = Logger(namespace="p2pool.worker_port")

Network = IPv4Network | IPv6Network
Choose = Callable[[bytes, IAddress], IProtocolFactory | None]


def keepalive_options(idle: int) -> tuple[tuple[int, int], ...]:
    """TCP's for a connection that is to be asked after `idle` silent seconds, 10 seconds apart, 3 times: a machine
    that vanished is noticed after idle + 30 s, where the system's own default is two hours."""
    return tuple(
        (getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", idle), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    )


class _Opening(Protocol):
    """A connection until it is known what it is: then that protocol has the transport."""

    def __init__(self, port: ListeningPort, address: IAddress) -> None:
        self._port = port
        self._address = address
        self._header = HeaderReader() if port.is_proxy(address) else None
        self._inner: Protocol | None = None
        self._is_over = False
        self._waiting: IDelayedCall | None = None
        self._ended: Callable[[], None] | None = None

    @property
    def host(self) -> str:
        """The address that it comes from, of the load balancer before its header is read."""
        return str(getattr(self._address, "host", "?"))

    def connectionMade(self) -> None:
        """Twisted's."""
        transport = self.transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
            for option, value in self._port.keepalive:
                transport.getHandle().setsockopt(  # type: ignore[attr-defined]
                    socket.IPPROTO_TCP, option, value
                )
        self._waiting = self._port.reactor.callLater(FIRST_BYTE_TIME, self.give_up)
        self._port.opened(self)
        if self._header is None and self._port.at_once:
            self._hand_over(b"")

    def give_up(self) -> None:
        """It says nothing, or nothing that is understood."""
        self._settled()
        self._is_over = True
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def evict(self) -> None:
        """End a connection that was handed over: another one has its place from now on."""
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

    def dataReceived(self, data: bytes) -> None:
        """Twisted's: replaced by the chosen protocol's when that has the connection."""
        if self._is_over:
            return
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        if self._header is not None:
            try:
                origin = self._header.feed(data)
            except ParseError as error:
                _log.warn("{host}: no PROXY header: {error}", host=self.host, error=error)
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
        if data:
            inner.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted's."""
        self._settled()
        if self._ended is not None:
            self._ended()
            self._ended = None
        if self._inner is not None:
            self._inner.connectionLost(reason)
            self._inner = None


class ListeningPort(Factory):
    """A port's factory. Bound: MAX_SILENT, and what the protocols behind it allow.

    `proxies` are the networks of load balancers that begin each connection with a PROXY header. `at_once` where
    the kind of the connection is known before its first byte.
    """

    noisy = False
    at_once = False

    def __init__(
        self, reactor: IReactorTime, proxies: tuple[Network, ...] = (), keepalive: tuple[tuple[int, int], ...] = ()
    ) -> None:
        self.reactor = reactor
        self.keepalive = keepalive
        self._proxies = proxies
        self._silent: FairQueue[_Opening, str] = FairQueue()
        self._logged: FairDict[tuple[str, str], float, str] = FairDict(_MAX_LOGGED)

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Twisted's."""
        return None if addr is None else _Opening(self, addr)

    def is_proxy(self, address: IAddress) -> bool:
        """Whether a connection from there begins with a PROXY header."""
        return is_in(str(getattr(address, "host", "")), self._proxies)

    def opened(self, opening: _Opening) -> None:
        """A connection that has not said anything yet."""
        site = site_key(opening.host)
        if len(self._silent) >= MAX_SILENT:
            evicted = self._silent.candidate(site)
            if evicted is not None:
                evicted.give_up()
        self._silent.add(opening, site)

    def settled(self, opening: _Opening) -> None:
        """It is no longer one of them."""
        self._silent.discard(opening)

    def log(self, address: IAddress, kind: str, text: str, *, warn: bool = True, **fields: object) -> None:
        """Log a line about a host, once a minute for each kind of line; `text` is a format."""
        host, now = str(getattr(address, "host", "?")), self.reactor.seconds()
        key = host_key(host), kind
        logged = self._logged.get(key)
        if logged is None or not 0 <= now - logged < _LOG_PERIOD:
            self._logged.put(key, now, site_key(host))
            (_log.warn if warn else _log.debug)("{host}: " + text, host=host, **fields)

    def disconnect(self, foreign: Foreign, address: IAddress) -> None:
        """Log that a connection speaks something else; the caller has no protocol for it."""
        what = foreign.what
        self.log(address, what, "disconnected: it sent {what}", warn=foreign.is_mistake, what=what)

    def protocol_for(self, data: bytes, address: IAddress) -> Any:
        """What takes the connection, or None where nobody does."""
        raise NotImplementedError

    def counted_out(self, data: bytes, address: IAddress, opening: _Opening) -> Callable[[], None] | None:
        """Return what to do when the connection that was just handed over ends."""
        return None


class WebConnections:
    """How many browsers there are. Those of this machine and of `exempt` networks (proxies, behind which there are
    many) count in the sum only.

    Bound: MAX_WEB_CONNECTIONS. Beyond it the site with most connections loses its oldest one to a newcomer of a
    site with fewer.
    """

    def __init__(self, exempt: tuple[Network, ...] = ()) -> None:
        self.count = 0
        self._exempt = (*_LOOPBACK, *exempt)
        self._hosts: dict[str, int] = {}
        self._sites: dict[str, int] = {}
        self._evictable: FairQueue[_Opening, str] = FairQueue()

    def refusal(self, address: IAddress) -> str | None:
        """Why one more from there is not let in; None where it is welcome."""
        host = str(getattr(address, "host", ""))
        if self.count >= MAX_WEB_CONNECTIONS and self._candidate(host) is None:
            return f"{self.count} web connections"
        if self._hosts.get(host_key(host), 0) >= MAX_WEB_CONNECTIONS_PER_HOST and not is_in(host, self._exempt):
            return f"it has {MAX_WEB_CONNECTIONS_PER_HOST} web connections"
        if self._sites.get(site_key(host), 0) >= MAX_WEB_CONNECTIONS_PER_SITE and not is_in(host, self._exempt):
            return f"{site_key(host)} has {MAX_WEB_CONNECTIONS_PER_SITE} web connections"
        return None

    def _candidate(self, host: str) -> _Opening | None:
        """Return the connection that makes room for one of `host`; None if its own site has as many as any."""
        site = site_key(host)
        return None if self._evictable.largest_group(site) == site else self._evictable.candidate(site)

    def opened(self, address: IAddress, opening: _Opening | None = None) -> Callable[[], None]:
        """Count one more; return what is to be called at its end."""
        host = str(getattr(address, "host", ""))
        if self.count >= MAX_WEB_CONNECTIONS and (evicted := self._candidate(host)) is not None:
            evicted.evict()
        if opening is not None and not is_in(host, self._exempt):
            self._evictable.add(opening, site_key(host))
        counted = (self._hosts, host_key(host)), (self._sites, site_key(host))
        self.count += 1
        for counts, key in counted:
            counts[key] = counts.get(key, 0) + 1

        def ended() -> None:
            self.count -= 1
            if opening is not None:
                self._evictable.discard(opening)
            for counts, key in counted:
                counts[key] -= 1
                if not counts[key]:
                    del counts[key]

        return ended

    def protocol_for(self, web: IProtocolFactory, address: IAddress, port: ListeningPort) -> Any:
        """Return the web's protocol if there is room for it; `port` logs the refusal."""
        refusal = self.refusal(address)
        if refusal is None:
            return web.buildProtocol(address)
        port.log(address, "no room", "refused: {refusal}", refusal=refusal)
        return None


class WorkerPort(ListeningPort):
    """Miners and browsers on one port. Bound: those of WebConnections besides."""

    def __init__(
        self,
        stratum: IProtocolFactory,
        web: IProtocolFactory,
        reactor: IReactorTime,
        proxies: tuple[Network, ...] = (),
        keepalive: tuple[tuple[int, int], ...] = (),
        browsers: WebConnections | None = None,
    ) -> None:
        super().__init__(reactor, proxies, keepalive)
        self.stratum = stratum
        self.web = web
        self.browsers = browsers or WebConnections()

    def doStart(self) -> None:
        """Twisted's."""
        self.stratum.doStart()
        self.web.doStart()

    def doStop(self) -> None:
        """Twisted's."""
        self.stratum.doStop()
        self.web.doStop()

    def protocol_for(self, data: bytes, address: IAddress) -> Any:
        """A line of JSON is a miner's."""
        if data[:1] == b"{":
            return self.stratum.buildProtocol(address)
        foreign = foreign_protocol(data)
        if foreign is not None:
            self.disconnect(foreign, address)
            return None
        if data.startswith(GETWORK) and self.browsers.refusal(address) is None:
            self.log(address, "getwork", "getwork over HTTP is answered with a hint: miners use stratum+tcp://")
            return GetworkAnswer(self.reactor)
        return self.browsers.protocol_for(self.web, address, self)

    def counted_out(self, data: bytes, address: IAddress, opening: _Opening) -> Callable[[], None] | None:
        """Browsers are counted, and getwork miners with them."""
        return None if data[:1] == b"{" else self.browsers.opened(address, opening)


class TlsPort(ListeningPort):
    """Miners through TLS: `factory` is stratum's within a TLS factory. The client speaks first in TLS: who says
    nothing never takes a miner's place."""

    def __init__(
        self,
        factory: IProtocolFactory,
        reactor: IReactorTime,
        proxies: tuple[Network, ...] = (),
        keepalive: tuple[tuple[int, int], ...] = (),
    ) -> None:
        super().__init__(reactor, proxies, keepalive)
        self._factory = factory

    def protocol_for(self, data: bytes, address: IAddress) -> Any:
        """Return a miner's protocol if the client speaks TLS."""
        if data[0] == TLS_HANDSHAKE:
            return self._factory.buildProtocol(address)
        self.log(address, "no TLS", "disconnected: it does not speak TLS, for which this port is")
        return None


class WebPort(ListeningPort):
    """Browsers on a port of their own: `web` is the site, within a TLS factory where it is encrypted. Who says
    nothing is the site's business, and reverse proxies tell it in HTTP who asks."""

    at_once = True

    def __init__(
        self,
        web: IProtocolFactory,
        reactor: IReactorTime,
        browsers: WebConnections,
        keepalive: tuple[tuple[int, int], ...] = (),
    ) -> None:
        super().__init__(reactor, keepalive=keepalive)
        self.web = web
        self.browsers = browsers

    def doStart(self) -> None:
        """Twisted's."""
        self.web.doStart()

    def doStop(self) -> None:
        """Twisted's."""
        self.web.doStop()

    def protocol_for(self, data: bytes, address: IAddress) -> Any:
        """Always a browser."""
        return self.browsers.protocol_for(self.web, address, self)

    def counted_out(self, data: bytes, address: IAddress, opening: _Opening) -> Callable[[], None] | None:
        """All are counted."""
        return self.browsers.opened(address, opening)


class _Hint(Protocol):
    """Says where the pages are, whatever is asked, and goes."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def connectionMade(self) -> None:
        """Twisted's: that it is no miner is known by its first byte."""
        if self.transport is not None:
            self.transport.write(
                b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
                b"X-Content-Type-Options: nosniff\r\nContent-Length: %d\r\n\r\n%b" % (len(self._text), self._text)
            )
            self.transport.loseConnection()


class HintFactory(Factory):
    """In the web's place on a worker port that is for miners only."""

    noisy = False

    def __init__(self, text: str) -> None:
        self._text = text.encode()

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Twisted's."""
        return _Hint(self._text)


def open_port(reactor: Any, factory: Factory, where: tuple[str, int], whom: str, flag: str) -> Any:
    """Listen at (interface, port). "" is all interfaces: those of IPv6 with those of IPv4 in them, where the
    machine has IPv6. Raises OperatorError, which names `flag`."""
    host, port = where
    try:
        if not host:
            try:
                return reactor.listenTCP(port, factory, backlog=LISTEN_BACKLOG, interface="::")
            except CannotListenError as error:
                if not isinstance(error.socketError, OSError) or _is_taken(error.socketError):
                    raise
        return reactor.listenTCP(port, factory, backlog=LISTEN_BACKLOG, interface=host)
    except CannotListenError as error:
        raise cannot_listen(error, where, purpose=whom, flag=flag) from None


def _is_taken(error: OSError) -> bool:
    """Whether the port itself is the trouble, not the lack of IPv6."""
    return error.errno in (errno.EADDRINUSE, errno.EACCES)


def _address_of(host: str, port: int) -> IAddress:
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)
