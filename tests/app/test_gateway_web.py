"""What a gateway shows of itself: to whom the settings of the web say, and without delaying miners."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from p2pool.app.config import Config, load_config
from p2pool.app.gateway_web import PERIOD, gateway_site
from p2pool.base.environment import Environment
from p2pool.pool_stats import PoolStats
from p2pool.web.health import NO_BROKER, Missing
from tests.environment import make_environment
from tests.web.pages import Answer, take_apart

KEY = "0123456789abcdef-key"


class Web:
    """The site of a gateway with one worker."""

    def __init__(self, *flags: str) -> None:
        self.lacks: list[Missing] = []
        self.clock = Clock()
        self.clock.advance(1000)
        self.environment: Environment = make_environment(self.clock)
        self.stats = PoolStats(0.0)
        self.stats.record_worker_on("me.rig", difficulty=1.0, now=1.0)
        self.config: Config = load_config(["--net", "simnet", "--broker", "redis://h", *flags], Path("/d"), {})
        self.site = gateway_site(
            self.environment,
            self.config,
            stats=self.stats,
            health=lambda: {"problem": "no connection to 192.0.2.1"},
            missing=lambda: self.lacks,
        )

    def ask(self, path: str, *headers: str, method: str = "GET") -> StringTransport:
        channel: Any = self.site.buildProtocol(IPv4Address("TCP", "192.0.2.7", 1))
        transport = StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.7", 1))
        channel.makeConnection(transport)
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]
        channel.dataReceived("\r\n".join(lines).encode())
        return transport

    def get(self, path: str, *headers: str, method: str = "GET") -> Answer:
        transport = self.ask(path, *headers, method=method)
        self.run()
        return take_apart(transport.value())

    def run(self) -> None:
        for _ in range(100):
            self.clock.advance(0)


def test_health_and_metrics_are_open_without_settings():
    web = Web()
    health = web.get("/healthz")
    expected = {"alive": True, "problem": "no connection to 192.0.2.1"}
    assert (health.status, json.loads(health.body)) == (200, expected)
    assert health.headers["content-type"] == "application/json"
    metrics = web.get("/metrics")
    assert metrics.status == 200
    assert b'worker="me.rig"' in metrics.body
    assert web.get("/metrics", method="HEAD").status == 200
    assert web.get("/other").status == 404
    assert b"/healthz, /readyz and /metrics" in web.get("/").body


def test_load_balancers_see_by_the_status_that_there_is_no_work():
    web = Web()
    assert (web.get("/readyz").status, web.get("/readyz").json) == (200, {"ready": True, "missing": []})
    web.lacks = [NO_BROKER]
    ready = web.get("/readyz")
    told = {"code": "no_broker", "message": NO_BROKER.message}
    assert (ready.status, ready.json) == (503, {"ready": False, "missing": [told]})
    assert web.get("/healthz").status == 200, "a restart would not help"
    assert web.get("/readyz", method="HEAD").status == 503


@pytest.mark.parametrize(
    "flags",
    [("--web-password", "me:a long password"), ("--api-key-endpoints", "/metrics", "--api-key", KEY)],
)
def test_they_are_as_closed_as_the_node_s_pages(flags):
    web = Web(*flags)
    assert web.get("/metrics").status == 401
    assert b"me.rig" not in web.get("/metrics").body
    assert web.get("/metrics", f"X-API-Key: {KEY}").status == (200 if "--api-key" in flags else 401)


@pytest.mark.parametrize(
    "flags",
    [("--web-password", "me:a long password"), ("--api-key-endpoints", "/*", "--api-key", KEY)],
)
def test_orchestrators_need_no_password_and_learn_no_addresses(flags):
    web = Web(*flags)
    health = web.get("/healthz")
    assert (health.status, json.loads(health.body)) == (200, {"alive": True})
    assert web.get("/readyz").status == 200
    assert web.get("/healthz/").status == 401
    assert web.get("/healthz/../metrics").status == 401


def test_the_rate_of_requests_is_limited_as_at_the_node():
    web = Web("--web-rate-limit", "1")
    assert 429 in [web.get("/healthz").status for _ in range(50)]


def test_a_text_is_made_in_steps_and_once_for_all_who_wait_for_it():
    web = Web()
    taken = []
    real = web.stats.taking

    def taking(now: float) -> Any:
        taken.append(now)
        return real(now)

    web.stats.taking = taking  # type: ignore[method-assign]
    waiting = [web.ask("/metrics") for _ in range(3)]
    assert [each.value() for each in waiting] == [b""] * 3
    web.run()
    assert {take_apart(each.value()).status for each in waiting} == {200}
    assert len(taken) == 1
    web.get("/metrics")
    assert len(taken) == 1
    web.clock.advance(PERIOD)
    web.get("/metrics")
    assert len(taken) == 2


def test_a_text_that_cannot_be_made_is_an_error_and_the_next_request_tries_again(monkeypatch):
    web = Web()
    real = web.stats.taking
    web.stats.taking = lambda now: iter([1 / 0])  # type: ignore[method-assign]
    assert web.get("/metrics").status == 500
    web.stats.taking = real  # type: ignore[method-assign]
    assert web.get("/metrics").status == 200
