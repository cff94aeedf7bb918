"""Alerts put together: what messages say of this node can be stored and sent."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from p2pool.app.alerts import Alerting
from p2pool.app.config import load_config
from p2pool.pool_stats import PoolStats


def test_a_log_whose_path_is_no_text_can_be_named(tmp_path):
    directory = tmp_path / os.fsdecode(b"caf\xe9")  # as Latin-1 writes it
    config = load_config(["--net", "simnet"], directory, {})
    alerting = Alerting(
        *(Clock(), config, PoolStats(0.0), lambda: 0.0, lambda function: Deferred()),
        *(lambda: "http://p/", lambda host: None),
    )
    log = alerting._place().log
    assert log.encode("utf-8").endswith(b"/caf?/simnet/log")
