"""A gateway's parts are connected to each other."""

from __future__ import annotations

from pathlib import Path

from p2pool.app.config import load_config
from p2pool.app.gateway import GatewayApp
from tests.environment import make_environment


def gateway(directory: Path) -> GatewayApp:
    """A gateway that has not been started."""
    flags = ["--net", "simnet", "--broker", "redis://127.0.0.1:9", "--datadir", str(directory)]
    return GatewayApp(load_config(flags, directory, {}), make_environment())


def test_what_waits_is_delivered_when_the_broker_is_back_and_not_when_it_is_lost(tmp_path, monkeypatch):
    app = gateway(tmp_path)
    delivered: list[bool] = []
    monkeypatch.setattr(app.sender, "broker_is_back", lambda: delivered.append(True))
    app.broker.changed.fire("gone")
    assert delivered == []
    app.broker.changed.fire(None)
    assert delivered == [True]


def test_a_gateway_without_work_names_the_broker_if_that_is_why(tmp_path):
    app = gateway(tmp_path)
    assert [each.code for each in app.missing()] == ["no_broker"]
    app.broker.problem = None
    assert [each.code for each in app.missing()] == ["no_work"]
    app.work.problem = lambda: None  # type: ignore[method-assign]
    assert app.missing() == []
