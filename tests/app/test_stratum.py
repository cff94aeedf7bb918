"""What has to do with miners, put together: sent away when there is no work for long, welcome when there is."""

from __future__ import annotations

import pytest
from twisted.internet.defer import ensureDeferred
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock

from p2pool.app.config import SIMNET_ADDRESS, load_config
from p2pool.app.stratum import StratumAssembly
from p2pool.node import Node, NodeSettings
from p2pool.pool_stats import PoolStats
from p2pool.sharechain.tracker import Tracker
from p2pool.stratum.work_patience import WORK_PATIENCE
from tests.chains import NOW
from tests.environment import PostponingReactor, make_environment
from tests.logged import logged


class Farm:
    """Mining over a clock; `problem` is what stands against fresh work."""

    def __init__(self, directory, *flags: str) -> None:
        config = load_config(
            ["--net", "simnet", "-a", SIMNET_ADDRESS, "--datadir", str(directory), *flags], directory
        )
        self.reactor = MemoryReactorClock()
        self.problem: str | None = None
        stats = PoolStats(NOW)
        node = Node(
            make_environment(PostponingReactor(lambda call: call()), clock=self.now),
            config.network,
            tracker=Tracker(config.network),
            settings=NodeSettings(lambda: None, 0.0, 0),
            stats=stats,
        )
        self.mining = StratumAssembly(
            make_environment(self.reactor, clock=self.now),
            config,
            work=node,
            stats=stats,
            problem=lambda: self.problem,
        )
        self.mining.start()

    def now(self) -> float:
        return NOW + self.reactor.seconds()

    def wait(self, seconds: float) -> bool:
        """Whether miners are turned away then."""
        for _ in range(round(seconds)):
            self.reactor.advance(1)
        return self.mining.server.suspended


@pytest.fixture
def farm(tmp_path):
    return Farm(tmp_path)


def test_without_fresh_work_for_two_minutes_miners_are_sent_away_and_welcome_within_a_second_of_its_return(farm):
    with logged() as log:
        assert not farm.wait(300)
        farm.problem = "no contact for 5 s: connection refused"
        assert not farm.wait(WORK_PATIENCE - 1)
        assert farm.wait(3)
        farm.problem = "no contact for 130 s: connection refused"
        assert farm.wait(600)
        farm.problem = None
        assert not farm.wait(1)
    sent_away, accepting = log.lines
    assert "no fresh work for 120 s (no contact for 5 s: connection refused)" in sent_away
    assert "fresh work is available again" in accepting


def test_trouble_that_passes_in_time_sends_nobody_away(farm):
    for _ in range(5):
        farm.problem = "stuck"
        assert not farm.wait(WORK_PATIENCE - 1)
        farm.problem = None
        assert not farm.wait(2)


@pytest.mark.parametrize(
    ("interface", "host"), [("[::1]", "[::1]"), ("127.0.0.1", "127.0.0.1"), ("[2001:db8::7]", "[2001:db8::7]")]
)
def test_addresses_of_ports_have_brackets_in_log_lines(tmp_path, interface, host):
    flags = ("-w", f"{interface}:7903", "--stratum-ssl-port", f"{interface}:7904", "--ssl-self-signed")
    farm = Farm(tmp_path, *flags)
    with logged() as log:
        farm.mining.listen(Factory())
    plain, tls = log.lines[-2:]
    assert f"miners (X11) connect to stratum+tcp://{host}:" in plain
    assert f"dashboard: http://{host}:" in plain
    assert f"miners through TLS connect to stratum+ssl://{host}:" in tls


def test_a_node_with_gateways_keeps_the_ports_for_them_and_shows_them(tmp_path):
    flags = ("-w", "127.0.0.1:0", "--stratum-ssl-port", "127.0.0.1:0", "--ssl-self-signed")
    farm = Farm(tmp_path, *flags, "--gateways", "2", "--broker", "redis://h", "--web-port", "127.0.0.1:1")
    with logged() as log:
        farm.mining.listen(Factory(), "http://127.0.0.1:1/")
    assert farm.reactor.tcpServers == []
    plain, tls = farm.mining.port, farm.mining.tls_port
    assert plain > 0
    assert tls not in (None, plain)
    where = f"stratum+tcp://127.0.0.1:{plain}, dashboard: http://127.0.0.1:1/"
    assert f"miners (X11) connect to the gateways at {where}" in log.lines[-1]
    assert [(each.purpose, each.port) for each in farm.mining.listening()] == [
        ("miners, by gateways", plain),
        ("miners, through TLS", tls),
    ]
    assert (tmp_path / "simnet" / "stratum-cert.pem").exists()
    ensureDeferred(farm.mining.stop())


def test_networks_that_are_allowed_later_are_not_banned_any_more(farm, tmp_path):
    guard = farm.mining.server.guard
    with logged():
        for host in ("192.0.2.7", "198.51.100.7"):
            guard.ban(host, now=NOW, seconds=60, reason="test")
    flags = ["--net", "simnet", "-a", SIMNET_ADDRESS, "--ban-allow", "192.0.2.0/24"]
    with logged() as log:
        farm.mining.apply(load_config(flags, tmp_path, {}))
    assert log.lines == ["lifted the ban of 192.0.2.7"]
    assert guard.never_banned("192.0.2.8")
    assert guard.ban_of("192.0.2.7") is None
    assert guard.ban_of("198.51.100.7") is not None
    assert farm.mining.limits.never_banned == 1
