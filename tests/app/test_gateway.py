"""What a gateway answers to browsers and health checks on its worker port."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.web.test.requesthelper import DummyRequest

from p2pool.app.config import load_config
from p2pool.app.gateway import GatewayApp
from tests.environment import make_environment


@pytest.fixture
def gateway(tmp_path) -> GatewayApp:
    flags = ["--net", "simnet", "--broker", "redis://127.0.0.1:1", "--gateway-name", "north"]
    app = GatewayApp(load_config(flags, tmp_path, {}, gateway=True), make_environment())
    app.stratum.server.start()
    return app


def answer(gateway: GatewayApp, path: bytes) -> tuple[int, bytes]:
    """Return the status and the body that a gateway answers to GET."""
    request: Any = DummyRequest([path])
    resource = gateway.site_root().getChildWithDefault(path, request)
    body = resource.render(request)
    return request.responseCode or 200, body


def test_health_is_a_status_as_well(gateway, monkeypatch):
    status, body = answer(gateway, b"healthz")
    health = json.loads(body)
    assert (status, health["work"], health["gateway"]) == (503, False, "north")
    assert health["problem"] == "not connected yet"
    monkeypatch.setattr(gateway.work, "problem", lambda: None)
    status, body = answer(gateway, b"healthz")
    assert (status, json.loads(body)["work"]) == (200, True)


def test_metrics(gateway):
    status, body = answer(gateway, b"metrics")
    assert status == 200
    assert b"p2pool_connections 0" in body


def test_who_looks_for_pages_is_told_where_they_are(gateway):
    status, body = answer(gateway, b"")
    assert status == 200
    assert b"pages" in body
