"""Every connection that this program makes to other machines begins here: directly, or through the proxy of the
environment. Services get the environment that belongs to what they do: see `app.routes`."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, TimeoutError
from twisted.internet.interfaces import IAddress, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import directlyProvides, implementer, providedBy

from p2pool.base.endpoints import host_and_port
from p2pool.base.environment import Environment
from p2pool.base.hosts import is_near, is_onion, parse_address
from p2pool.base.socks import NOT_SUPPORTED, Command, Proxy, SocksError, SocksHandshake

PROXY_TIME: Final = 30.0
"""Seconds that a connection through a proxy may take: Tor may have to make a circuit first."""


def proxy_for(environment: Environment, host: str, *, named: bool) -> Proxy | None:
    """Return the proxy that leads to a host; None if it is reached directly. What the operator has `named` is
    reached directly if it `is_near`: proxies do not lead there. What others named never is."""
    return None if named and is_near(host) else environment.proxy


def endpoint_to(
    environment: Environment, host: str, port: int, *, timeout: float = 30.0, named: bool = False
) -> IStreamClientEndpoint:
    """Return what connects to a TCP port: see `proxy_for`. `timeout` in seconds; through a proxy it is
    PROXY_TIME at least."""
    proxy = proxy_for(environment, host, named=named)
    if proxy is None:
        return _direct(environment, host, port, timeout=timeout)
    return SocksEndpoint(environment, proxy, (host, port), timeout=max(timeout, PROXY_TIME))


def _direct(environment: Environment, host: str, port: int, *, timeout: float) -> IStreamClientEndpoint:
    """Return what connects directly; a resolver is asked for names only."""
    address = parse_address(host)
    if address is None:
        return HostnameEndpoint(environment.reactor, host, port, timeout=timeout)
    kind = TCP4ClientEndpoint if address.version == 4 else TCP6ClientEndpoint
    endpoint = kind(environment.reactor, str(address), port, timeout=timeout)
    return _AddressEndpoint(endpoint, host_and_port(str(address), port))


def connect_blocking(environment: Environment, host: str, port: int, *, timeout: float) -> socket.socket:
    """Return a connected socket, for libraries that block, called in a thread of its own. Each step takes up to
    `timeout` seconds. Raises OSError."""
    proxy = proxy_for(environment, host, named=True)
    if proxy is None:
        return socket.create_connection((host, port), timeout)
    try:
        connection = socket.create_connection((proxy.host, proxy.port), timeout)
    except OSError as error:
        raise OSError(f"the proxy {proxy} cannot be reached: {error}") from None
    try:
        handshake = SocksHandshake(proxy, host, port, chance=environment.chance)
        connection.sendall(handshake.begin())
        while not handshake.done:
            # A byte at a time: what follows the reply is for the caller. There are some twenty.
            data = connection.recv(1)
            if not data:
                raise OSError("the proxy closed the connection")
            if output := handshake.receive(data):
                connection.sendall(output)
    except BaseException as error:
        connection.close()
        if isinstance(error, SocksError):
            raise OSError(str(error)) from None
        raise
    return connection


async def resolve(environment: Environment, host: str, port: int) -> list[str]:
    """Return the addresses of a name. Through a proxy, it is the name itself if the proxy cannot look names up:
    then it finds the host when it is asked to connect. Raises OSError, UnicodeError, ConnectError."""
    proxy = environment.proxy
    if is_onion(host):
        if proxy is None:
            raise OSError(".onion addresses need --proxy")  # and never a question to DNS (RFC 7686)
        return [host]
    if proxy is None:
        answers = await environment.run_in_daemon_thread(
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(address[0]) for *_, address in answers))
    asking = SocksEndpoint(environment, proxy, (host, 0), timeout=PROXY_TIME, command=Command.RESOLVE)
    try:
        tunnel: Any = await asking.connect(Factory.forProtocol(Protocol))
    except _ProxyClosed:
        return [host]
    except SocksError as error:
        if error.code != NOT_SUPPORTED:
            raise
        return [host]
    address = tunnel.transport.resolved
    tunnel.transport.abortConnection()
    return [address] if address else []


@implementer(IStreamClientEndpoint)
class _AddressEndpoint:
    """Connects to an address. Logs show where to, in place of where it is in memory."""

    def __init__(self, endpoint: IStreamClientEndpoint, shown: str) -> None:
        self._endpoint = endpoint
        self._shown = shown

    @override
    def __repr__(self) -> str:
        return f"<{self._shown}>"

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Connect; the Deferred fires with the protocol that `protocolFactory` built."""
        connecting: Deferred[IProtocol] = self._endpoint.connect(protocolFactory)
        return connecting


class _ProxyClosed(SocksError):
    """The proxy closed the connection in place of a reply, as some do that do not know a command."""


class _TunnelTransport:
    """The transport of a connection through a proxy. Its ends are not those of the socket: the peer is what was
    connected to, and nobody is to learn how this machine reaches the proxy."""

    def __init__(self, transport: Any, peer: IAddress, resolved: str) -> None:
        self._transport = transport
        self._peer = peer
        self.resolved = resolved
        directlyProvides(self, providedBy(transport))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def getPeer(self) -> IAddress:
        """Return the address that was asked for: perhaps a name."""
        return self._peer

    def getHost(self) -> IAddress:
        """Return an address that says nothing."""
        return IPv4Address("TCP", "0.0.0.0", 0)


class _Tunnel(Protocol):
    """Speaks SOCKS5 until the connection is made, and then hands everything to the protocol of `factory`."""

    def __init__(
        self, handshake: SocksHandshake, factory: Any, *, peer: IAddress, made: Deferred[IProtocol]
    ) -> None:
        self._handshake = handshake
        self._factory = factory
        self._peer = peer
        self._made = made
        self._inner: Any = None

    @override
    def connectionMade(self) -> None:
        self._write(self._handshake.begin())

    def _write(self, data: bytes) -> None:
        if data and self.transport is not None:
            self.transport.write(data)

    @override
    def dataReceived(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.dataReceived(data)
        elif not self._made.called:
            try:
                self._write(self._handshake.receive(data))
            except SocksError as error:
                self.fail(error)
            else:
                if self._handshake.done:
                    self._open()

    def _open(self) -> None:
        inner = self._factory.buildProtocol(self._peer)
        if inner is None:
            self.fail(SocksError("the connection is not wanted any more"))
            return
        self._inner = inner
        inner.makeConnection(_TunnelTransport(self.transport, self._peer, self._handshake.address))
        self._made.callback(inner)
        if self._handshake.rest:
            inner.dataReceived(self._handshake.rest)

    def fail(self, error: Exception) -> None:
        """End the connection before it is made."""
        if not self._made.called:
            self._made.errback(error)
        abort: Any = getattr(self.transport, "abortConnection", None)
        if abort is not None:
            abort()

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._inner is not None:
            self._inner.connectionLost(reason)
        elif not self._made.called:
            self._made.errback(_ProxyClosed("the proxy closed the connection"))


class _OneTunnel(Factory):
    noisy = False

    def __init__(self, tunnel: _Tunnel) -> None:
        self._tunnel = tunnel

    @override
    def buildProtocol(self, addr: IAddress | None) -> _Tunnel:
        return self._tunnel


@implementer(IStreamClientEndpoint)
class SocksEndpoint:
    """Connects to `target` (host, port) through a proxy, within `timeout` seconds. Failures are ConnectErrors."""

    def __init__(
        self,
        environment: Environment,
        proxy: Proxy,
        target: tuple[str, int],
        *,
        timeout: float,
        command: Command = Command.CONNECT,
    ) -> None:
        self._environment = environment
        self._proxy = proxy
        self._target = target
        self._timeout = timeout
        self._command = command

    @override
    def __repr__(self) -> str:
        return f"<{host_and_port(*self._target)} through {self._proxy}>"

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Connect; the Deferred fires with the protocol that `protocolFactory` built."""
        connecting = Deferred.fromCoroutine(self._connect(protocolFactory))
        deadline = self._environment.reactor.callLater(self._timeout, connecting.cancel)

        def ended(result: Any) -> Any:
            if deadline.active():
                deadline.cancel()
            elif isinstance(result, Failure) and result.check(CancelledError, ConnectingCancelledError):
                return Failure(TimeoutError())
            return result

        return connecting.addBoth(ended)

    async def _connect(self, factory: Any) -> IProtocol:
        host, port = self._target
        peer = (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)
        made: Deferred[IProtocol] = Deferred()
        tunnel = _Tunnel(
            SocksHandshake(self._proxy, host, port, command=self._command, chance=self._environment.chance),
            factory,
            peer=peer,
            made=made,
        )
        to_proxy = _direct(self._environment, self._proxy.host, self._proxy.port, timeout=self._timeout)
        try:
            await to_proxy.connect(_OneTunnel(tunnel))
        except ConnectingCancelledError:
            raise
        except ConnectError as error:
            raise SocksError(f"the proxy {self._proxy} cannot be reached: {error}") from None
        try:
            return await made
        except CancelledError:
            with suppress(AttributeError):
                tunnel.transport.abortConnection()  # type: ignore[union-attr]
            raise
