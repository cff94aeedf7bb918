"""Telling miners from browsers by the first byte, and what silence, garbage and slow senders cost."""

from __future__ import annotations

import errno
import json
import socket
from ipaddress import IPv4Address as Ip4
from ipaddress import IPv6Address as Ip6
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, formatEvent

from p2pool.base.errors import OperatorError
from p2pool.net import worker_port
from p2pool.net.first_bytes import REQUEST_TIME, HintFactory, foreign_protocol
from p2pool.net.worker_port import (
    FIRST_BYTE_TIME,
    PortFactory,
    TlsPort,
    WebConnections,
    WebPort,
    WorkerPort,
    keepalive_options,
    open_port,
)
from tests.environment import make_environment
from tests.logged import logged
from tests.stratum.wire import Transport

ADDRESS = IPv4Address("TCP", "10.1.2.3", 4)


class Recorder(Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.data = b""
        self.lost = 0

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason=None) -> None:
        self.lost += 1


class Recorders(Factory):
    """Their factory; `closed` builds none."""

    noisy = False

    def __init__(self) -> None:
        self.built: list[Recorder] = []
        self.addresses: list = []
        self.closed = False
        self.starts: list[str] = []

    def doStart(self) -> None:
        self.starts.append("start")

    def doStop(self) -> None:
        self.starts.append("stop")

    def buildProtocol(self, addr):
        self.addresses.append(addr)
        if self.closed:
            return None
        self.built.append(Recorder())
        return self.built[-1]


class Port:
    """A worker port in memory, behind load balancers in the networks `proxies`."""

    def __init__(self, *proxies: str) -> None:
        self.clock = Clock()
        self.miners, self.browsers = Recorders(), Recorders()
        networks = tuple(ip_network(proxy) for proxy in proxies)
        self.factory = WorkerPort(
            make_environment(self.clock), stratum=self.miners, web=self.browsers, proxies=networks
        )

    def connect(self, address=ADDRESS) -> tuple[Protocol, StringTransport]:
        protocol, transport = self.factory.buildProtocol(address), StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport


@pytest.mark.parametrize(
    ("data", "miner"),
    [
        (b'{"id":1}\n', True),
        (b"\r\n \t{", True),
        (b"GET / HTTP/1.1\r\n", False),
        (b"PUT /", False),
        (b"[1]", False),
    ],
)
def test_the_first_byte_decides(data, miner):
    port = Port()
    protocol, transport = port.connect()
    protocol.dataReceived(data)
    chosen, other = (port.miners, port.browsers) if miner else (port.browsers, port.miners)
    (inner,) = chosen.built
    assert other.built == []
    assert chosen.addresses == [ADDRESS]
    assert inner.data == data.lstrip()
    assert inner.transport is transport
    protocol.dataReceived(b"{GET")
    assert inner.data == data.lstrip() + b"{GET"
    assert not port.clock.getDelayedCalls()


@pytest.mark.parametrize(("data", "replaced"), [(b"{", True), (b"GET / HTTP/1.1\r\n", False)])
def test_a_miners_protocol_gets_the_whole_transport_and_a_browser_is_still_counted(data, replaced):
    port = Port()
    protocol: Any
    transport: Any
    protocol, transport = port.connect()
    transport.protocol = protocol  # as Twisted's own have it
    protocol.dataReceived(data)
    (inner,) = port.miners.built + port.browsers.built
    assert (transport.protocol is inner) is replaced
    transport.protocol.connectionLost(None)
    assert inner.lost == 1
    assert port.factory.browsers.count == 0


@given(st.lists(st.binary(max_size=6)))
@example([b"PROXY "])
@example([b"SSH-2"])
def test_nothing_is_lost_or_doubled_however_it_is_cut(pieces):
    port = Port()
    protocol, _ = port.connect()
    for piece in pieces:
        protocol.dataReceived(piece)
    expected = b"".join(pieces).lstrip(b" \t\r\n")
    built = port.miners.built + port.browsers.built
    first = next((piece.lstrip(b" \t\r\n") for piece in pieces if piece.strip(b" \t\r\n")), b"")
    assert len(built) == (first != b"" and foreign_protocol(first) is None)
    if built:
        # White space between the pieces before the first byte is no part of a request either.
        assert built[0].data == expected
        assert bool(port.miners.built) == expected.startswith(b"{")


def test_silence_ends_in_time_and_white_space_is_silence():
    port = Port()
    protocol, transport = port.connect()
    port.clock.advance(FIRST_BYTE_TIME - 1)
    protocol.dataReceived(b"\n" * 1000)
    assert not transport.disconnecting
    port.clock.advance(1)
    assert transport.disconnecting
    protocol.connectionLost()
    assert not port.clock.getDelayedCalls()


def test_a_connection_lost_before_its_first_byte_leaves_nothing():
    port = Port()
    protocol, _ = port.connect()
    protocol.connectionLost()
    assert not port.clock.getDelayedCalls()
    assert port.miners.built == port.browsers.built == []


def test_a_loss_is_reported_to_the_chosen_protocol_once():
    port = Port()
    protocol, _ = port.connect()
    protocol.dataReceived(b"{")
    protocol.connectionLost()
    protocol.connectionLost()
    assert port.miners.built[0].lost == 1


def test_a_factory_that_refuses_closes_and_is_asked_once():
    port = Port()
    port.miners.closed = True
    protocol, transport = port.connect()
    protocol.dataReceived(b"{")
    protocol.dataReceived(b"{more}\n")
    assert transport.disconnecting
    assert len(port.miners.addresses) == 1
    protocol.connectionLost()


def test_browsers_are_bounded_and_miners_come_in_all_the_same(monkeypatch):
    monkeypatch.setattr(worker_port, "MAX_WEB_CONNECTIONS", 2)
    port = Port()
    browsers = [port.connect() for _ in range(3)]
    with logged() as log:
        for protocol, _ in browsers:
            protocol.dataReceived(b"GET / HTTP/1.1\r\n")
    assert [transport.disconnecting for _, transport in browsers] == [False, False, True]
    assert len(log.lines) == 1
    assert "10.1.2.3" in log.lines[0]
    miner, transport = port.connect()
    miner.dataReceived(b"{")
    assert not transport.disconnecting
    for protocol, _ in browsers:
        protocol.connectionLost()
    miner.connectionLost()
    assert port.factory.browsers.count == 0
    protocol, transport = port.connect()
    protocol.dataReceived(b"GET / HTTP/1.1\r\n")
    assert not transport.disconnecting


def count(addresses, limits, monkeypatch, exempt=()) -> list[bool]:
    """Which of these browsers are let in."""
    most, most_per_host = limits
    monkeypatch.setattr(worker_port, "MAX_WEB_CONNECTIONS", most)
    monkeypatch.setattr(worker_port, "MAX_WEB_CONNECTIONS_PER_HOST", most_per_host)
    browsers, let_in = WebConnections(exempt), []
    for host in addresses:
        address = (IPv6Address if ":" in host else IPv4Address)("TCP", host, 1)
        let_in.append(browsers.refusal(address) is None)
        if let_in[-1]:
            browsers.opened(address)
    return let_in


def test_one_host_does_not_keep_the_others_out(monkeypatch):
    v6 = [f"2001:db8::{number}" for number in range(1, 4)]
    hosts = ["10.0.0.1", "10.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2", *v6, "2001:db8:0:1::1"]
    expected = [True, True, False, False, True, True, True, False, True]
    assert count(hosts, (100, 2), monkeypatch) == expected


def test_this_machine_and_proxies_have_many_behind_them_but_no_more_than_all(monkeypatch):
    hosts = ["127.0.0.1"] * 4 + ["::1"] * 3 + ["10.9.0.1"] * 4
    assert count(hosts, (10, 2), monkeypatch, (ip_network("10.9.0.0/16"),)) == [True] * 10 + [False]


def test_the_host_with_most_connections_gives_a_place_to_one_that_has_fewer(monkeypatch):
    monkeypatch.setattr(worker_port, "MAX_WEB_CONNECTIONS", 6)
    port, opened = Port(), {}
    hosts = ("10.0.0.1",) * 4 + ("10.0.0.2", "127.0.0.1", "10.0.0.3", "10.0.0.3")
    for number, host in enumerate(hosts):
        protocol = port.factory.buildProtocol(IPv4Address("TCP", host, 1))
        opened[number] = protocol, Transport()
        protocol.makeConnection(opened[number][1])
        protocol.dataReceived(b"GET / HTTP/1.1\r\n")
    # Two newcomers of one host took the places of the two oldest connections of the largest host.
    assert [transport.aborted for _, transport in opened.values()] == [True, True] + [False] * 6
    assert port.factory.browsers.count == 6
    for protocol, _ in opened.values():
        protocol.connectionLost()
    assert (port.factory.browsers.count, port.factory.browsers._hosts) == (0, {})


def test_hosts_that_hold_as_many_keep_their_connections(monkeypatch):
    monkeypatch.setattr(worker_port, "MAX_WEB_CONNECTIONS", 4)
    browsers, evicted = WebConnections(), []
    for host in ("10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2"):
        browsers.opened(IPv4Address("TCP", host, 1), lambda host=host: evicted.append(host))
    assert browsers.refusal(IPv4Address("TCP", "10.0.0.2", 1)) == "4 web connections"
    assert evicted == []


def test_who_has_gone_is_counted_no_more(monkeypatch):
    monkeypatch.setattr(worker_port, "MAX_WEB_CONNECTIONS_PER_HOST", 1)
    browsers = WebConnections()
    for _ in range(3):
        ended = browsers.opened(ADDRESS)
        assert "web connections" in browsers.refusal(ADDRESS)
        ended()
        assert browsers.refusal(ADDRESS) is None
    assert (browsers.count, browsers._hosts) == (0, {})


def test_the_web_s_own_port_waits_for_no_first_byte_and_takes_no_miners(monkeypatch):
    monkeypatch.setattr(worker_port, "MAX_WEB_CONNECTIONS", 2)
    clock, web = Clock(), Recorders()
    factory = WebPort(make_environment(clock), web=web, browsers=WebConnections())
    opened = []
    with logged() as log:
        for _ in range(3):
            protocol, transport = factory.buildProtocol(ADDRESS), StringTransport()
            protocol.makeConnection(transport)
            opened.append((protocol, transport))
    assert len(web.built) == 2
    assert [transport.disconnecting for _, transport in opened] == [False, False, True]
    assert len(log.lines) == 1
    opened[0][0].dataReceived(b'{"id": 1}')
    assert web.built[0].data == b'{"id": 1}'
    for protocol, _ in opened:
        protocol.connectionLost()
    assert factory.browsers.count == 0
    assert not clock.getDelayedCalls()
    factory.doStart()
    factory.doStop()
    assert web.starts == ["start", "stop"]


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"GET", b"POST /api HTTP/1.1\r\n\r\n{}"])
def test_a_port_for_miners_only_gives_browsers_a_hint(data):
    miners, clock = Recorders(), Clock()
    factory = WorkerPort(make_environment(clock), stratum=miners, web=HintFactory("The pages are on port 5."))
    protocol, transport = factory.buildProtocol(ADDRESS), StringTransport()
    protocol.makeConnection(transport)
    protocol.dataReceived(data)
    assert transport.value().startswith(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n")
    assert transport.value().endswith(b"Content-Length: 24\r\n\r\nThe pages are on port 5.")
    assert transport.disconnecting
    protocol.dataReceived(b"more")
    protocol.connectionLost()
    assert factory.browsers.count == 0
    protocol, transport = factory.buildProtocol(ADDRESS), StringTransport()
    protocol.makeConnection(transport)
    protocol.dataReceived(b"{")
    assert len(miners.built) == 1
    assert not transport.disconnecting


def test_the_factories_start_and_stop_with_the_port():
    port = Port()
    port.factory.doStart()
    port.factory.doStop()
    assert port.miners.starts == port.browsers.starts == ["start", "stop"]
    assert port.factory.buildProtocol(None) is None


# --- TCP's options -----------------------------------------------------------------------------------------


class Socket(Transport):
    """A transport that remembers on which level its options were set."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: set[int] = set()

    def setsockopt(self, level, option, value) -> None:
        self.levels.add(level)
        super().setsockopt(level, option, value)


def ports(idle: int) -> list[PortFactory]:
    """One of either kind."""
    keepalive = keepalive_options(idle)
    return [
        WorkerPort(make_environment(), stratum=Recorders(), web=Recorders(), keepalive=keepalive),
        TlsPort(make_environment(), stratum=Recorders(), keepalive=keepalive),
    ]


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="this system has no such option")
@pytest.mark.parametrize("idle", [60, 7])
def test_a_connection_is_set_up_for_miners_that_vanish(idle):
    for port in ports(idle):
        protocol, transport = port.buildProtocol(ADDRESS), Socket()
        protocol.makeConnection(transport)
        assert transport.options == {
            "nodelay": True,
            "keepalive": True,
            socket.TCP_KEEPIDLE: idle,
            socket.TCP_KEEPINTVL: 10,
            socket.TCP_KEEPCNT: 3,
        }
        assert transport.levels == {socket.IPPROTO_TCP}


def test_a_system_without_the_options_gets_none(monkeypatch):
    monkeypatch.delattr(socket, "TCP_KEEPIDLE", raising=False)
    assert len(keepalive_options(60)) < 3
    for port in ports(60):
        protocol, transport = port.buildProtocol(ADDRESS), Socket()
        protocol.makeConnection(transport)
        assert transport.options["keepalive"] is True
        assert 60 not in transport.options.values()


# --- load balancers ----------------------------------------------------------------------------------------

MINER, BROWSER = b'{"id":1}\n', b"GET / HTTP/1.1\r\n"
BALANCERS = "10.1.0.0/16"
"""ADDRESS is one of them."""


def binary(command: int, family: int, block: bytes) -> bytes:
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([command, family]) + len(block).to_bytes(2, "big") + block


ENDS = (7000).to_bytes(2, "big") + (443).to_bytes(2, "big")
HEADERS = [
    (b"PROXY TCP4 198.51.100.7 192.0.2.1 7000 443\r\n", IPv4Address("TCP", "198.51.100.7", 7000)),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 7000 443\r\n", IPv6Address("TCP", "2001:db8::7", 7000)),
    (
        binary(0x21, 0x11, Ip4("198.51.100.7").packed + Ip4("192.0.2.1").packed + ENDS),
        IPv4Address("TCP", "198.51.100.7", 7000),
    ),
    (
        binary(0x21, 0x21, Ip6("2001:db8::7").packed + Ip6("2001:db8::1").packed + ENDS),
        IPv6Address("TCP", "2001:db8::7", 7000),
    ),
    (
        binary(0x21, 0x21, Ip6("::ffff:198.51.100.7").packed + Ip6("2001:db8::1").packed + ENDS),
        IPv4Address("TCP", "198.51.100.7", 7000),
    ),
]
LOCALS = [
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN 198.51.100.7 1\r\n",
    binary(0x20, 0, b""),
    binary(0x20, 0x11, b"x" * 12),
]


@given(st.sampled_from(HEADERS), st.sampled_from([MINER, BROWSER, b" \r\n" + MINER]), st.data())
def test_a_header_in_pieces_and_then_a_miner_or_a_browser(header_and_address, said, data):
    header, address = header_and_address
    stream = header + said
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    port = Port(BALANCERS)
    protocol, transport = port.connect()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        protocol.dataReceived(stream[start:end])
    chosen, other = (port.browsers, port.miners) if said == BROWSER else (port.miners, port.browsers)
    (inner,) = chosen.built
    assert other.built == []
    assert chosen.addresses == [address]
    assert inner.data == said.lstrip()
    assert inner.transport is transport
    assert not transport.disconnecting
    assert not port.clock.getDelayedCalls()


def test_a_header_of_one_byte_at_a_time():
    port = Port(BALANCERS)
    for header, address in HEADERS:
        protocol, _ = port.connect()
        for byte in header + MINER:
            protocol.dataReceived(bytes([byte]))
        assert port.miners.addresses[-1] == address
        assert port.miners.built[-1].data == MINER


@pytest.mark.parametrize("header", LOCALS)
def test_what_the_load_balancer_says_of_itself_keeps_its_own_address(header):
    port = Port(BALANCERS)
    protocol, _ = port.connect()
    protocol.dataReceived(header + MINER)
    assert port.miners.addresses == [ADDRESS]
    assert port.miners.built[0].data == MINER


@pytest.mark.parametrize(
    "garbage", [MINER, BROWSER, b"PROXY TCP4 me you 1 2\r\n", b"PROXY TCP5 ", b"\r\n\r\n\0\r\nQUIT\n\x31", b"\0"]
)
def test_garbage_instead_of_a_header_costs_a_line_and_the_connection(garbage):
    port = Port(BALANCERS)
    protocol, transport = port.connect()
    with logged() as log:
        protocol.dataReceived(garbage)
        protocol.dataReceived(garbage)
        protocol.dataReceived(HEADERS[0][0] + MINER)
        protocol.connectionLost()
    (line,) = log.lines
    assert "10.1.2.3" in line
    assert "PROXY" in line
    assert log.tracebacks == []
    assert transport.disconnecting
    assert port.miners.built == port.browsers.built == []
    assert not port.clock.getDelayedCalls()


def test_a_second_header_is_not_believed():
    port = Port(BALANCERS)
    protocol, _ = port.connect()
    protocol.dataReceived(HEADERS[0][0] + HEADERS[1][0])
    assert port.miners.built == port.browsers.built == []


def test_a_header_and_then_silence_ends_in_time():
    port = Port(BALANCERS)
    protocol, transport = port.connect()
    port.clock.advance(FIRST_BYTE_TIME - 1)
    protocol.dataReceived(HEADERS[0][0])
    port.clock.advance(0.9)
    assert not transport.disconnecting
    port.clock.advance(0.2)
    assert transport.disconnecting
    protocol.dataReceived(MINER)
    assert port.miners.built == []


@pytest.mark.parametrize("header", [header for header, _ in HEADERS])
def test_a_header_from_anybody_else_is_not_believed_and_the_log_says_what_to_do(header):
    port = Port("10.2.0.0/16", "2001:db8::/32")
    with logged() as log:
        for _ in range(100):
            protocol, transport = port.connect()
            protocol.dataReceived(header + MINER)
            assert transport.disconnecting
    assert port.miners.built == port.browsers.built == []
    assert len(log.lines) == 1
    assert log.lines[0].startswith("disconnected 10.1.2.3: it sent a PROXY header")
    assert "--stratum-proxy-protocol" in log.lines[0]
    protocol, _ = port.connect()
    protocol.dataReceived(MINER)
    assert port.miners.addresses == [ADDRESS]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (ADDRESS, True),
        (IPv4Address("TCP", "10.2.2.3", 1), False),
        (IPv6Address("TCP", "::ffff:10.1.2.3", 1), True),
        (IPv6Address("TCP", "::ffff:10.2.2.3", 1), False),
        (IPv6Address("TCP", "2001:db8::5", 1), True),
        (IPv6Address("TCP", "2001:db9::5", 1), False),
        (UNIXAddress("/run/p2pool"), False),
    ],
)
def test_only_trusted_networks_are_load_balancers(address, expected):
    port = Port(BALANCERS, "2001:db8::/32")
    assert port.factory.is_proxy(address) is expected
    assert Port().factory.is_proxy(address) is False
    protocol, _ = port.connect(address)
    protocol.dataReceived(HEADERS[0][0] + MINER)
    assert port.miners.addresses == ([HEADERS[0][1]] if expected else [])
    assert port.browsers.addresses == []


# --- many that say nothing, and TLS ------------------------------------------------------------------------


def test_the_one_that_is_silent_longest_makes_room(monkeypatch):
    monkeypatch.setattr(worker_port, "MAX_SILENT", 2)
    port = Port()
    speaker, speaking = port.connect()
    speaker.dataReceived(MINER)
    first, second = port.connect(), port.connect()
    assert [t.disconnecting for _, t in (first, second)] == [False, False]
    third = port.connect()
    assert [t.disconnecting for _, t in (first, second, third)] == [True, False, False]
    first[0].dataReceived(MINER)
    assert len(port.miners.built) == 1
    # Who has spoken or is gone is no longer among them.
    second[0].dataReceived(BROWSER)
    fourth = port.connect()
    fourth[0].connectionLost()
    fifth = port.connect()
    assert [t.disconnecting for _, t in (second, third, fourth, fifth)] == [False] * 4
    sixth = port.connect()
    assert [t.disconnecting for _, t in (third, fifth, sixth)] == [True, False, False]
    assert not speaking.disconnecting


def test_a_host_with_many_silent_connections_does_not_cost_others_theirs(monkeypatch):
    monkeypatch.setattr(worker_port, "MAX_SILENT", 4)
    port = Port()
    honest = port.connect(IPv4Address("TCP", "10.0.0.1", 1))
    crowd = [port.connect(IPv6Address("TCP", f"2001:db8::{number}", 1)) for number in range(10)]  # one /64
    assert not honest[1].disconnecting
    assert [t.disconnecting for _, t in crowd] == [True] * 7 + [False] * 3
    honest[0].dataReceived(MINER)
    for protocol, _ in crowd:
        protocol.connectionLost()
    assert len(port.factory._silent) == 0


def test_a_tls_port_hands_over_with_the_first_byte():
    miners, clock = Recorders(), Clock()
    port = TlsPort(make_environment(clock), stratum=miners)
    protocol, transport = port.buildProtocol(ADDRESS), StringTransport()
    protocol.makeConnection(transport)
    assert miners.built == []  # who says nothing takes no miner's place
    protocol.dataReceived(b"\x16\x03\x01")
    (inner,) = miners.built
    assert miners.addresses == [ADDRESS]
    assert inner.transport is transport
    assert inner.data == b"\x16\x03\x01"
    assert not clock.getDelayedCalls()
    protocol.connectionLost()
    assert inner.lost == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_a_tls_port_behind_a_load_balancer_waits_for_the_header(at_once):
    miners, clock = Recorders(), Clock()
    port = TlsPort(make_environment(clock), stratum=miners, proxies=(ip_network(BALANCERS),))
    protocol, transport = port.buildProtocol(ADDRESS), StringTransport()
    protocol.makeConnection(transport)
    header, address = HEADERS[2]
    protocol.dataReceived(header[:20])
    assert miners.built == []
    assert clock.getDelayedCalls()
    hello = b"\x16\x03\x01"
    protocol.dataReceived(header[20:] + (hello if at_once else b""))
    if not at_once:
        assert miners.built == []
        protocol.dataReceived(hello)
    assert miners.addresses == [address]
    assert miners.built[0].data == hello
    assert not clock.getDelayedCalls()


def test_a_tls_port_that_lets_nobody_in_closes():
    miners = Recorders()
    miners.closed = True
    protocol, transport = TlsPort(make_environment(), stratum=miners).buildProtocol(ADDRESS), StringTransport()
    protocol.makeConnection(transport)
    protocol.dataReceived(b"\x16\x03\x01")
    assert transport.disconnecting


@pytest.mark.parametrize("data", [MINER, BROWSER, b"\x00"])
def test_who_speaks_no_tls_on_a_tls_port_is_disconnected_with_one_line(data):
    miners = Recorders()
    port = TlsPort(make_environment(), stratum=miners)
    with logged() as log:
        for _ in range(10):
            protocol, transport = port.buildProtocol(ADDRESS), StringTransport()
            protocol.makeConnection(transport)
            protocol.dataReceived(data)
            assert transport.disconnecting
    assert miners.built == []
    (text,) = log.lines
    assert "TLS" in text


# --- what is neither stratum nor HTTP ----------------------------------------------------------------------

HELLO = bytes.fromhex("16030100f8010000f40303")
FOREIGN = [
    (HELLO, "TLS", True),
    (HELLO[:1], "TLS", True),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2", True),
    (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH", False),
    (bytes(range(128, 192)), "binary", False),  # what the Noise handshake of Stratum V2 may look like
    (b"\x00{", "binary", False),
]


@pytest.mark.parametrize(("data", "what", "is_shown"), FOREIGN)
@pytest.mark.parametrize("web", [Recorders, lambda: HintFactory("The pages are on port 5.")])
def test_foreign_protocols_are_disconnected_at_once_with_one_log_line(data, what, is_shown, web):
    clock, miners = Clock(), Recorders()
    port = WorkerPort(make_environment(clock), stratum=miners, web=web())

    def visit(address=ADDRESS) -> None:
        protocol, transport = port.buildProtocol(address), StringTransport()
        protocol.makeConnection(transport)
        protocol.dataReceived(data)
        assert transport.disconnecting
        protocol.dataReceived(b"more")
        protocol.connectionLost()

    with logged() as log:
        for _ in range(50):
            visit()
        visit(IPv4Address("TCP", "10.1.2.4", 4))
        clock.advance(60)
        visit()
    assert miners.built == []
    assert port.browsers.count == 0
    level = LogLevel.warn if is_shown else LogLevel.debug
    assert [what in formatEvent(event) for event in log if event["log_level"] == level] == [True] * 3
    assert len(log.lines) == 3 * is_shown
    assert not clock.getDelayedCalls()


REQUEST = (
    b"POST / HTTP/1.1\r\nAuthorization: Basic WEFkZHJlc3M6eA==\r\nHost: pool.example.org:7903\r\n"
    b"User-Agent: cpuminer/2.5.1\r\nContent-Type: application/json\r\nX-Mining-Extensions: midstate\r\n"
    b'Content-Length: 45\r\n\r\n{"method": "getwork", "params": [], "id":  7}\n'
)


def getwork(stream: bytes, cuts: list[int], factory: WorkerPort) -> tuple[bytes, Protocol, StringTransport]:
    protocol, transport = factory.buildProtocol(ADDRESS), StringTransport()
    protocol.makeConnection(transport)
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        protocol.dataReceived(stream[start:end])
    return transport.value(), protocol, transport


@pytest.mark.parametrize("cuts", [[], [200], [20, 21, 250], [len(REQUEST) - 2]])
@pytest.mark.parametrize("web", [Recorders, lambda: HintFactory("The pages are on port 5.")])
def test_a_getwork_miner_is_told_what_to_use(cuts, web):
    clock = Clock()
    with logged() as log:
        factory = WorkerPort(make_environment(clock), stratum=Recorders(), web=web())
        answer, protocol, transport = getwork(REQUEST, cuts, factory)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nX-Stratum: stratum+tcp://pool.example.org:7903" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == {
        "id": 7,
        "result": None,
        "error": {
            "code": -32601,
            "message": "this node does not serve getwork over HTTP; use stratum+tcp://pool.example.org:7903",
        },
    }
    assert transport.disconnecting
    assert len(log.lines) == 1
    assert factory.browsers.count == 1
    protocol.connectionLost()
    assert factory.browsers.count == 0
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize(
    ("agent", "switches"),
    [
        (b"cpuminer/2.5.1", True),
        (b"cgminer/4.11.1", True),
        (b"bfgminer/5.5.0", True),
        (b"cpuminer-opt-26.1-x64L", False),  # it waits for ever then
        (b"anything", False),
    ],
)
def test_only_miners_that_can_switch_are_told_to(agent, switches):
    request = REQUEST.replace(b"cpuminer/2.5.1", agent)
    answer, protocol, _ = getwork(
        request, [], WorkerPort(make_environment(), stratum=Recorders(), web=Recorders())
    )
    assert (b"\r\nX-Stratum: " in answer) == switches
    assert b"use stratum+tcp://pool.example.org:7903" in answer
    protocol.connectionLost()


@pytest.mark.parametrize(
    "stream",
    [
        b"POST / HTTP/1.1\r\nHost: a b\x00\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n[1]",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n\xff{]",
        b"POST / HTTP/1.1\r\n" + b"x" * 20_000,
    ],
)
def test_odd_getwork_requests_are_answered_too(stream):
    answer, protocol, transport = getwork(
        stream, [], WorkerPort(make_environment(), stratum=Recorders(), web=Recorders())
    )
    assert b'"message":"this node does not serve getwork over HTTP; use stratum+tcp:// with this host' in answer
    assert b"X-Stratum" not in answer
    assert transport.disconnecting
    protocol.connectionLost()


def test_a_getwork_request_without_end_is_answered_in_time():
    clock = Clock()
    factory = WorkerPort(make_environment(clock), stratum=Recorders(), web=Recorders())
    _, protocol, transport = getwork(b"POST / HTTP/1.1\r\nHost: a\r\n", [], factory)
    assert transport.value() == b""
    clock.advance(REQUEST_TIME)
    assert transport.value().startswith(b"HTTP/1.1 200 OK")
    assert transport.disconnecting
    protocol.dataReceived(b"\r\n")
    protocol.connectionLost()
    assert not clock.getDelayedCalls()


def test_silent_connections_of_one_site_do_not_cost_others_their_own(monkeypatch):
    monkeypatch.setattr(worker_port, "MAX_SILENT", 5)
    port = Port()
    honest, honest_transport = port.connect(IPv4Address("TCP", "10.9.9.9", 1))
    crowd = [port.connect(IPv6Address("TCP", f"2001:db8:7:{number:x}::1", 1)) for number in range(50)]
    assert not honest_transport.disconnecting
    assert [transport.disconnecting for _, transport in crowd] == [True] * 46 + [False] * 4
    honest.dataReceived(MINER)
    assert len(port.miners.built) == 1


def test_browsers_of_one_site_are_bounded_together(monkeypatch):
    monkeypatch.setattr(worker_port, "MAX_WEB_CONNECTIONS_PER_SITE", 3)
    hosts = [f"2001:db8:7:{number}::1" for number in range(5)] + ["2001:db8:8::1", "10.0.0.1"]
    assert count(hosts, (100, 2), monkeypatch) == [True] * 3 + [False] * 2 + [True] * 2


def test_browsers_of_one_site_make_room_for_those_of_others_when_all_places_are_taken(monkeypatch):
    monkeypatch.setattr(worker_port, "MAX_WEB_CONNECTIONS", 10)
    port = Port()
    port.factory.browsers._exempt = (ip_network("10.7.0.0/16"),)

    def browser(host: str) -> StringTransport:
        protocol, transport = port.connect(IPv4Address("TCP", host, 1))
        transport.protocol = protocol  # type: ignore[attr-defined]
        protocol.dataReceived(BROWSER)
        return transport

    proxied = [browser("10.7.0.1") for _ in range(4)]
    crowd = [browser("10.9.9.9") for _ in range(6)]
    assert browser("10.9.9.9").disconnecting  # its own site has most
    others = [browser(f"10.1.1.{number}") for number in range(3)]
    assert [transport.disconnecting for transport in crowd] == [True] * 3 + [False] * 3
    assert not any(transport.disconnecting for transport in (*others, *proxied))
    assert port.factory.browsers.count == 10
    for transport in (*crowd, *others, *proxied):
        transport.protocol.connectionLost()  # type: ignore[attr-defined]
    assert port.factory.browsers.count == 0
    assert port.factory.browsers._sites == {}
    assert len(port.factory.browsers._evictable) == 0


def test_refused_browsers_cost_one_log_line_a_minute(monkeypatch):
    monkeypatch.setattr(worker_port, "MAX_WEB_CONNECTIONS", 0)
    port = Port()
    with logged() as log:
        for _ in range(100):
            port.connect()[0].dataReceived(BROWSER)
    assert len(log.lines) == 1


class Reactor:
    """Listens, or fails to, where `errors` (by interface) says so."""

    def __init__(self, errors: dict[str, OSError]) -> None:
        self.errors = errors
        self.tried: list[str] = []

    def listenTCP(self, port, factory, backlog, interface):
        self.tried.append(interface)
        if interface in self.errors:
            raise CannotListenError(interface, port, self.errors[interface])
        return interface


IN_USE, NO_IPV6 = OSError(errno.EADDRINUSE, "in use"), OSError(errno.EAFNOSUPPORT, "no IPv6 here")


@pytest.mark.parametrize(
    ("host", "errors", "tried", "listens"),
    [
        ("", {}, ["::"], "::"),
        ("", {"::": NO_IPV6}, ["::", ""], ""),
        ("", {"::": IN_USE}, ["::"], None),
        ("", {"::": NO_IPV6, "": IN_USE}, ["::", ""], None),
        ("127.0.0.1", {}, ["127.0.0.1"], "127.0.0.1"),
        ("127.0.0.1", {"127.0.0.1": IN_USE}, ["127.0.0.1"], None),
    ],
)
def test_where_a_port_listens(host, errors, tried, listens):
    reactor = Reactor(errors)
    if listens is not None:
        assert open_port(reactor, Recorders(), (host, 5), whom="the web", flag="--web-port") == listens
    else:
        with pytest.raises(OperatorError) as caught:
            open_port(reactor, Recorders(), (host, 5), whom="the web", flag="--web-port")
        assert str(caught.value) == (
            "cannot listen on port 5 for the web ([Errno 98] in use): choose another one with --web-port"
        )
    assert reactor.tried == tried


def test_silent_connections_are_detached_for_another_process():
    """With what was read of a PROXY header; those that are identified are not among them."""
    clock = Clock()
    port = WorkerPort(
        make_environment(clock), stratum=Recorders(), web=Recorders(), proxies=(ip_network("10.1.2.3"),)
    )
    silent, speaking = Transport(), Transport()
    waiting = port.buildProtocol(ADDRESS)
    waiting.makeConnection(silent)
    waiting.dataReceived(b"PROXY TCP4 ")
    known = port.buildProtocol(IPv4Address("TCP", "10.1.2.4", 4))
    known.makeConnection(speaking)
    known.dataReceived(b"{}\n")
    assert port.detach_silent() == [(silent, b"PROXY TCP4 ")]
    assert not silent.reads
    assert speaking.reads
    assert port.detach_silent() == []
    clock.advance(FIRST_BYTE_TIME + 1)
    assert not silent.aborted
