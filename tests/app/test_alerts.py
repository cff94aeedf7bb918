"""Alerts put together: what messages say of this node can be stored and sent."""

from __future__ import annotations

import os

from p2pool.app.alerts import AlertsAssembly
from p2pool.app.config import load_config
from p2pool.pool_stats import PoolStats
from tests.environment import make_environment


def test_a_log_whose_path_is_no_text_can_be_named(tmp_path):
    directory = tmp_path / os.fsdecode(b"caf\xe9")  # as Latin-1 writes it
    config = load_config(["--net", "simnet"], directory, {})
    alerting = AlertsAssembly(
        make_environment(),
        config,
        stats=PoolStats(0.0),
        page=lambda: "http://p/",
        ban_of=lambda host: None,
    )
    log = alerting.identity().log
    assert log.encode("utf-8").endswith(b"/caf?/simnet/log")


def test_rules_and_names_can_be_changed_while_the_node_runs(tmp_path):
    mail = ["--net", "simnet", "--alert-email", "a@b.example", "--alert-smtp-server", "h.example"]
    alerting = AlertsAssembly(
        make_environment(),
        load_config(mail, tmp_path, {}),
        stats=PoolStats(0.0),
        page=lambda: "http://p/",
        ban_of=lambda host: None,
    )
    changed = [*mail, "--alert-node", "north", "--alert-group", "77", "--alert-page", "https://pool.example/"]
    changed += ["--alert-threshold", "dashd-lost=77"]
    alerting.apply(load_config(changed, tmp_path, {}))
    identity = alerting.identity()
    assert (identity.node, identity.page) == ("north", "https://pool.example/")
    assert alerting.service._grouper.rules.group == 77
    assert alerting.service._watch._dashd.patience == 77
