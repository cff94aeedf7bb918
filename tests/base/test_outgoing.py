"""Connections to other machines: which way they go, and what a proxy may do to them."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError, TimeoutError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from p2pool.base.hosts import is_near
from p2pool.base.outgoing import PROXY_TIME, connect_blocking, endpoint_to, resolve
from p2pool.base.socks import Proxy, SocksError
from tests.environment import make_environment

PROXY = Proxy("127.0.0.1", 9050)
DONE = b"\x05\x00\x00\x01\x08\x08\x08\x08\x00\x00"


class Inner(Protocol):
    """What is to speak through the proxy."""

    def __init__(self) -> None:
        self.received, self.lost = b"", False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


class Proxied:
    """One attempt to connect to node.example:8999 through a proxy that the test plays."""

    def __init__(self, timeout: float = 5.0) -> None:
        self.reactor = MemoryReactorClock()
        self.results: list[Any] = []
        endpoint = endpoint_to(self.environment, "node.example", 8999, timeout=timeout)
        self.connecting = endpoint.connect(Factory.forProtocol(Inner)).addBoth(self.results.append)
        ((self.host, self.port, self.factory, *_),) = self.reactor.tcpClients

    @property
    def environment(self):
        return make_environment(self.reactor, proxy=PROXY)

    def accept(self) -> Any:
        protocol: Any = self.factory.buildProtocol(None)
        self.transport = StringTransport()
        protocol.makeConnection(self.transport)
        return protocol

    @property
    def error(self) -> str:
        (failure,) = self.results
        assert isinstance(failure, Failure)
        assert self.reactor.getDelayedCalls() == []
        return str(failure.value)


def test_a_connection_through_a_proxy():
    attempt = Proxied()
    assert (attempt.host, attempt.port) == ("127.0.0.1", 9050)
    proxy = attempt.accept()
    proxy.dataReceived(b"\x05\x00")
    assert b"node.example" in attempt.transport.value()
    assert attempt.results == []
    proxy.dataReceived(DONE + b"hel")
    (inner,) = attempt.results
    proxy.dataReceived(b"lo")
    assert inner.received == b"hello"
    attempt.transport.clear()
    inner.transport.write(b"x")
    assert attempt.transport.value() == b"x"
    peer, ours = inner.transport.getPeer(), inner.transport.getHost()
    assert (peer.host, peer.port) == ("node.example", 8999)
    assert (ours.host, ours.port) == ("0.0.0.0", 0), "how this machine reaches its proxy is for nobody to know"
    proxy.connectionLost(Failure(ConnectionDone()))
    assert inner.lost
    assert attempt.reactor.getDelayedCalls() == []


def test_a_proxy_that_is_down_refuses_or_hangs_up():
    down = Proxied()
    down.factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    assert "the proxy socks5://127.0.0.1:9050 cannot be reached" in down.error
    refusing = Proxied()
    refusing.accept().dataReceived(b"\x05\x00\x05\x05")
    assert "connection refused" in refusing.error
    assert refusing.transport.disconnected
    closing = Proxied()
    closing.accept().connectionLost(Failure(ConnectionDone()))
    assert "closed the connection" in closing.error


def test_a_proxy_that_says_nothing():
    silent = Proxied(timeout=PROXY_TIME + 1)
    silent.accept()
    silent.reactor.advance(PROXY_TIME + 1)
    assert isinstance(silent.results[0].value, TimeoutError)
    assert silent.transport.disconnected
    given_up = Proxied()
    proxy = given_up.accept()
    given_up.connecting.cancel()
    assert len(given_up.results) == 1
    proxy.connectionLost(Failure(ConnectionDone()))
    assert given_up.reactor.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("host", "named", "goes_to"),
    [
        ("8.1.0.1", True, "127.0.0.1:9050"),
        ("8.1.0.1", False, "127.0.0.1:9050"),
        ("192.168.1.5", True, "192.168.1.5:1"),
        ("192.168.1.5", False, "127.0.0.1:9050"),
        ("fd00::5", True, "fd00::5:1"),
        ("node.example", True, "127.0.0.1:9050"),
        ("x.onion", True, "127.0.0.1:9050"),
    ],
)
def test_which_way_a_connection_goes(host, named, goes_to):
    reactor = MemoryReactorClock()
    endpoint_to(make_environment(reactor, proxy=PROXY), host, 1, named=named).connect(Factory())
    assert [f"{host}:{port}" for host, port, *_ in reactor.tcpClients] == [goes_to]
    assert is_near(host) is (host.startswith(("192.168", "fd00")))


def looked_up(reactor: MemoryReactorClock, host: str = "node.example") -> list[Any]:
    results: list[Any] = []
    asking = Deferred.fromCoroutine(resolve(make_environment(reactor, proxy=PROXY), host, 8999))
    asking.addBoth(results.append)
    return results


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (DONE, ["8.8.8.8"]),
        (b"\x05\x07", ["node.example"]),
        (None, ["node.example"]),
        (b"\x05\x04", SocksError),
    ],
    ids=["Tor", "a proxy that says no", "a proxy that hangs up", "no such name"],
)
def test_names_are_resolved_by_the_proxy(monkeypatch, reply, found):
    monkeypatch.setattr(socket, "getaddrinfo", None)
    reactor = MemoryReactorClock()
    results = looked_up(reactor)
    proxy, transport = reactor.tcpClients[0][2].buildProtocol(None), StringTransport()
    proxy.makeConnection(transport)
    proxy.dataReceived(b"\x05\x00")
    assert b"\x05\xf0\x00\x03\x0cnode.example" in transport.value()
    if reply is None:
        proxy.connectionLost(Failure(ConnectionDone()))
    else:
        proxy.dataReceived(reply)
        assert transport.disconnected
    if isinstance(found, list):
        assert results == [found]
    else:
        assert results[0].check(found)


def test_nobody_is_asked_for_an_onion_address(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert looked_up(MemoryReactorClock(), "x.onion") == [["x.onion"]]
    results: list[Any] = []
    Deferred.fromCoroutine(resolve(make_environment(), "x.onion", 1)).addBoth(results.append)
    assert "need --proxy" in str(results[0].value)


@pytest.mark.parametrize(
    ("answers", "why"),
    [(b"\x05\x00" + DONE + b"hello", ""), (b"\x05\x00\x05\x05", "connection refused"), (b"\x05", "closed")],
)
def test_libraries_that_block(monkeypatch, answers, why):
    ours, proxys = socket.socketpair()
    asked = []
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: asked.append(address) or ours)
    with ours, proxys:
        proxys.sendall(answers)
        proxys.shutdown(socket.SHUT_WR)
        environment = make_environment(proxy=PROXY)
        if why:
            with pytest.raises(OSError, match=why):
                connect_blocking(environment, "mail.example", 25, timeout=1.0)
            assert ours.fileno() == -1
        else:
            assert connect_blocking(environment, "mail.example", 25, timeout=1.0).recv(9) == b"hello"
            assert b"mail.example" in proxys.recv(99)
    assert asked == [("127.0.0.1", 9050)]


def test_logs_name_where_a_connection_leads():
    environment = make_environment(MemoryReactorClock(), proxy=PROXY)
    assert repr(endpoint_to(environment, "fd00::5", 1, named=True)) == "<[fd00::5]:1>"
    assert repr(endpoint_to(environment, "node.example", 1)) == "<node.example:1 through socks5://127.0.0.1:9050>"
