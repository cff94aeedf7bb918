"""With --proxy nothing leaves the node by another way: the node's parts wired together, on a reactor that notes
every connection and a resolver that fails the test when it is asked. docs/operators.md has the table."""

from __future__ import annotations

import re
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import zmq
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock, StringTransport

from p2pool.alerts import settings
from p2pool.alerts.channel import OutboxEntry
from p2pool.app.alerts import AlertsAssembly
from p2pool.app.config import Config, load_config
from p2pool.app.dashd import daemon_addresses
from p2pool.app.pool import Pool
from p2pool.base.errors import OperatorError
from p2pool.dash.address import encode_address
from p2pool.networks import DASH, DASH_REGTEST
from p2pool.peers import port_mapping
from p2pool.peers.address_book import NAMED
from p2pool.peers.figures import KnownBy, MappedPort
from p2pool.peers.messages import PeerAddress
from tests.environment import make_environment
from tests.logged import logged
from tests.support import ROOT

REGTEST_ADDRESS = encode_address(DASH_REGTEST.parent.addresses.pubkey_hash, bytes(20))
ADDRESS = encode_address(DASH.parent.addresses.pubkey_hash, bytes(20))
ONION = "p2pool" + "a" * 50 + ".onion"
PROXY = ("127.0.0.1", 9050)
DASHD_PROXY = ("127.0.0.1", 1080)


class Resolver:
    def resolveHostName(self, receiver: Any, host: str, *_: Any, **__: Any) -> None:
        pytest.fail(f"the system was asked for the name {host}")


class Reactor(MemoryReactorClock):
    """A reactor in memory whose threads are this one; its resolver is for nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.nameResolver = Resolver()
        self._answered = 0
        self._asked: set[str] = set()

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        function(*arguments)

    def called(self) -> set[tuple[str, int]]:
        """Return where connections were made to."""
        return {(host, port) for host, port, *_ in self.tcpClients}

    def asked(self) -> set[str]:
        """Let the proxies answer, and return the hosts that they were asked for."""
        for host, port, factory, *_ in self.tcpClients[self._answered :]:
            self._answered += 1
            if (host, port) not in (PROXY, DASHD_PROXY):
                continue
            transport = StringTransport()
            protocol = factory.buildProtocol(None)
            protocol.makeConnection(transport)
            transport.clear()
            protocol.dataReceived(b"\x05\x00")
            kind, request = transport.value()[3], transport.value()[4:-2]
            self._asked.add(request[1:].decode() if kind == 3 else str(ip_address(request)))
        return self._asked


@pytest.fixture(autouse=True)
def only_the_reactor(monkeypatch):
    """Sockets and questions that do not go through the reactor fail the test."""
    past: list[Any] = []

    def fails(*arguments: Any, **_: Any) -> None:
        past.append(arguments)
        raise OSError("this goes past the proxy")

    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, fails)
    monkeypatch.setattr(port_mapping.PortMapping, "start", fails)
    yield
    assert past == []


def configured(directory: Path, *flags: str) -> Config:
    config = load_config(["-a", ADDRESS, "--datadir", str(directory), *flags], directory)
    config.datadir.mkdir(parents=True, exist_ok=True)
    return config


class Wired:
    """A node's parts that mine, started."""

    def __init__(self, config: Config) -> None:
        self.reactor = Reactor()
        self.environment = make_environment(self.reactor)
        self.pool = Pool(self.environment, config)
        self.pool.listen(Factory())
        ensureDeferred(self.pool.load())
        for host in ("8.1.0.1", "2606:4700::1", "192.168.9.9"):
            self.pool.peers.hub.addresses.add(PeerAddress(host, 8999), 0.0, now=0.0, source=NAMED)
        ensureDeferred(self.pool.start(lambda: daemon_addresses(config))).addErrback(lambda f: f.raiseException())
        broadcaster = self.pool.dashd.broadcaster
        assert broadcaster is not None
        broadcaster.book.learn(("8.2.0.1", 9999))
        for _ in range(40):
            self.reactor.advance(1.0)
            self.reactor.asked()

    def stop(self) -> None:
        ensureDeferred(self.pool.stop())


def test_a_node_behind_a_proxy(tmp_path, monkeypatch):
    options: dict[int, str] = {}
    monkeypatch.setattr(zmq.Socket, "setsockopt_string", lambda self, option, text: options.update({option: text}))
    monkeypatch.setattr(zmq.Socket, "connect", lambda self, address: None)
    config = configured(
        tmp_path,
        *("--proxy", "socks5://127.0.0.1", "--dashd-proxy", "socks5://127.0.0.1:1080"),
        *("-n", "node.example", "-n", f"{ONION}:7", "--bootstrap", "names.example"),
        *(
            "--dashd",
            "http://u:p@dashd.example:1?zmq=tcp://dashd.example:2",
            "--merged",
            "http://u:p@aux.example:3",
        ),
    )
    wired = Wired(config)
    reactor = wired.reactor
    assert reactor.called() == {PROXY, DASHD_PROXY}
    names = {"node.example", ONION, "names.example", "dashd.example", "aux.example"}
    assert names | {"8.1.0.1", "192.168.9.9", "8.2.0.1"} <= reactor.asked()
    assert options[zmq.SOCKS_PROXY] == "127.0.0.1:1080"
    assert {interface for _, factory, _, interface in reactor.tcpServers if "Peer" in type(factory).__name__} == {
        "127.0.0.1"
    }
    wired.stop()


def test_who_listens_to_all_behind_a_proxy_asks_no_router_and_tells_nobody(tmp_path):
    wired = Wired(configured(tmp_path, "--proxy", "socks5://127.0.0.1", "--p2pool-port", "0.0.0.0:8999"))
    assert wired.pool.peers._mapping is None
    assert not wired.pool.peers.hub.settings.advertise, "peers see the proxy's address"
    wired.stop()


def test_the_network_can_be_chosen(tmp_path):
    flags = ("--proxy", "socks5://127.0.0.1", "--bootstrap", "names.example", "--bootstrap", ONION)
    dashd = ("--dashd", "http://u:p@127.0.0.1:1")
    wired = Wired(configured(tmp_path, *flags, *dashd, "--onlynet", "onion", "-n", "node.example"))
    assert wired.reactor.asked() == {ONION, "node.example"}, "what the operator names is dialled in any network"
    wired.stop()
    wired = Wired(configured(tmp_path, *flags, *dashd, "--onlynet", "ipv4"))
    assert {"names.example", "8.1.0.1", "8.2.0.1"} <= wired.reactor.asked() - {ONION, "2606:4700::1"}
    assert ONION not in wired.reactor.asked()
    wired.stop()


def test_only_the_named_nodes_are_dialled(tmp_path):
    flags = ("--proxy", "socks5://127.0.0.1", "--dashd", "http://u:p@127.0.0.1:1", "--outgoing-conns", "9")
    with logged() as log:
        wired = Wired(
            configured(tmp_path, *flags, "--connect-only", "-n", "node.example", "--bootstrap", "b.example")
        )
    assert wired.reactor.asked() == {"node.example", "8.2.0.1"}, "8.2.0.1 is a node of Dash, not of the pool"
    port = wired.pool.config.network.p2p_port
    assert f"--connect-only: this node connects only to node.example:{port}" in log.lines
    assert wired.pool.peers.service.last_look_up.time is None
    assert wired.pool.peers.address_counts() == (3, 0), "addresses are kept"
    wired.stop()
    with pytest.raises(OperatorError, match="--connect-only without --p2pool-node"):
        configured(tmp_path, "--connect-only")


@pytest.mark.parametrize(
    ("flags", "kinds"),
    [
        ((), {"ipv4", "ipv6", "onion"}),
        (("--onlynet", "ipv6"), {"ipv6"}),
        (("--p2pool-port", "0.0.0.0:8999"), {"ipv4"}),
        (("--p2pool-port", "127.0.0.1:8999"), None),
        (("--disable-upnp",), None),
        (("--net", "dash_regtest"), None),
    ],
)
def test_which_routers_are_asked(tmp_path, monkeypatch, flags, kinds):
    asked: list[Any] = []
    made = port_mapping.PortMapping.__init__

    def note(self: Any, *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **options)
        asked.append(options)

    def start(self: Any) -> None:
        asked.append(self)

    monkeypatch.setattr(port_mapping.PortMapping, "start", start)
    monkeypatch.setattr(port_mapping.PortMapping, "__init__", note)
    address = [] if "--net" not in flags else ["-a", REGTEST_ADDRESS]
    alone = ("--dashd", "http://u:p@127.0.0.1:1", "--outgoing-conns", "0")
    wired = Wired(configured(tmp_path, *alone, *flags, *address))
    if kinds is None:
        assert asked == []
    else:
        options, mapping = asked
        assert mapping is wired.pool.peers._mapping
        assert {kind.value for kind in options["kinds"]} == kinds
        nonces = [options["nonce_of"](host) for host in ("192.168.1.7", "192.168.1.7", "192.168.1.8")]
        assert nonces[0] == nonces[1] != nonces[2]
        assert len(nonces[0]) == 12
        mapping._networks[0].mapped = MappedPort(mapping._networks[0]._kind, "PCP", "8.1.2.3", 40001, 0.0)
        options["changed"]()
        assert wired.pool.peers.hub.outside_port == (40001 if "ipv4" in kinds else None)
        assert wired.pool.peers.reachable().known_by is KnownBy.ROUTER
    wired.stop()


def test_alerts_behind_a_proxy(tmp_path, monkeypatch):
    asked: list[Any] = []

    def refuse(address: tuple[str, int], timeout: float) -> None:
        asked.append(address)
        raise OSError("no")

    monkeypatch.setattr(socket, "create_connection", refuse)
    config = configured(
        tmp_path,
        *("--proxy", "socks5://127.0.0.1", "--webhook", "http://hook.example/x", "--webhook", "http://10.0.0.5/y"),
        *("--alert-email", "me@a.example", "--alert-from", "n@a.example", "--alert-smtp-server", "mail.example"),
    )
    reactor = Reactor()
    environment = make_environment(reactor)
    pool = Pool(environment, config)
    alerts = AlertsAssembly(environment, config, stats=pool.stats, page=lambda: "", ban_of=lambda host: None)
    for destination in config.alerts.destinations:
        entry = OutboxEntry(id="1", destination=destination.id, content={"event": "test"}, created=0.0)
        Deferred.fromCoroutine(alerts._channel(destination).deliver(entry, 0.0))
    assert reactor.called() == {PROXY, ("10.0.0.5", 80)}
    assert reactor.asked() == {"hook.example"}
    assert asked == [PROXY]


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("-n", ONION), ".onion addresses need --proxy"),
        (("--proxy", "socks5://127.0.0.1", "--alert-url", "json://127.0.0.1/"), "--alert-url with --proxy"),
        (("--onion-web",), "--onion-web without --onion"),
        (("--onlynet", "tor"), "--onlynet tor: give one of ipv4, ipv6, onion"),
    ],
)
def test_what_would_not_go_through_it(tmp_path, monkeypatch, flags, why):
    monkeypatch.setattr(settings, "service_of", lambda url: "json")
    with pytest.raises(OperatorError, match=re.escape(why)):
        configured(tmp_path, *flags)


@pytest.mark.parametrize(
    ("flags", "notice"),
    [
        ((), None),
        (("--dashd", "http://u:p@10.0.0.1"), None),
        (("--dashd", "http://u:p@far.example"), "the daemon at far.example is connected to directly"),
        (("--dashd", "http://u:p@far.example", "--dashd-proxy", "socks5://127.0.0.1"), None),
        (("--merged", "http://u:p@8.8.8.8:1"), "the daemon at 8.8.8.8 is connected to directly"),
        (("--broker", "redis://far.example"), "the broker at far.example is connected to directly"),
        (("--stats-db", "postgresql://u:p@h/d"), "the database of --stats-db is connected to directly"),
    ],
)
def test_what_goes_past_it_is_reported_at_the_start(tmp_path, flags, notice):
    notices = configured(tmp_path, "--proxy", "socks5://127.0.0.1", *flags).notices
    assert [each.partition("; ")[0] for each in notices] == ([] if notice is None else [f"--proxy: {notice}"])
    assert configured(tmp_path, *[f for f in flags if "proxy" not in f and "socks5" not in f]).notices == ()


ALLOWED = {
    "base/outgoing.py": {"HostnameEndpoint", "TCP4ClientEndpoint", "TCP6ClientEndpoint", "getaddrinfo"}
    | {"create_connection"},
    "base/handover_socket.py": {"socket"},  # to the process before this one, on this machine
    "base/service_manager.py": {"socket"},  # to systemd
    "base/endpoints.py": {"socket"},  # whether this machine has IPv4, or an address
    "net/shared_port.py": {"socket", "getaddrinfo"},  # to listen
    "net/router_port.py": {"socket"},  # to the router; not with a proxy
    "operators/machine_facts.py": {"socket", "getaddrinfo", "create_connection"},  # `check`: ports, and the proxy
    "operators/node_api.py": {"build_opener"},  # commands ask the operator's own node
    "alerts/mail.py": {"create_connection"},  # unless it is given another way, as the node does
    "simnet/p2p_dialler.py": {"TCP4ClientEndpoint"},  # simulated machines
    "simnet/miner_connection.py": {"TCP4ClientEndpoint", "HostnameEndpoint"},
    "simnet/swarm.py": {"socket"},
    "simnet/zmq_publisher.py": {"socket"},
    "dashd/zmq_notice.py": {"socket"},  # the library's, which is given the proxy
}
"""The modules that connect, and by what. A new one has to go through base.outgoing, or has a row in the table of
docs/operators.md."""
WAYS = {
    *("HostnameEndpoint", "TCP4ClientEndpoint", "TCP6ClientEndpoint", "clientFromString", "connectTCP"),
    *("connectSSL", "connectUDP", "listenUDP", "getaddrinfo", "gethostbyname", "create_connection", "socket"),
    *("urlopen", "build_opener", "resolve_host", "createResolver", "ClientCreator"),
}


def test_every_module_that_connects_is_known():
    found = {}
    endpoints = "|".join(way for way in WAYS if way.endswith("Endpoint"))
    pattern = re.compile(rf"\b({'|'.join(WAYS)})\(|import .*({endpoints})")
    for path in sorted((ROOT / "p2pool").rglob("*.py")):
        names = {name for each in pattern.findall(path.read_text("utf-8")) for name in each if name}
        if names:
            found[str(path.relative_to(ROOT / "p2pool"))] = names
    unknown = {path: names - ALLOWED.get(path, set()) for path, names in found.items()}
    assert {path: names for path, names in unknown.items() if names} == {}
    assert set(ALLOWED) <= set(found), "a row of the table is no longer needed"
