"""The alerts of miners, put together for the composition root, and the port through which the web asks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from p2pool.alerts.message import NodeIdentity
from p2pool.alerts.miners.service import MinerAlertPorts, MinerAlerts
from p2pool.app.config import Config
from p2pool.app.routes import public_environment
from p2pool.base.environment import Environment
from p2pool.pool_stats import PoolStats

SNAPSHOT_AGE = 10.0
"""Seconds: the pages take a newer one each second."""


def miner_alerts(
    environment: Environment,
    config: Config,
    *,
    stats: PoolStats,
    identity: Callable[[], NodeIdentity],
    paid: Callable[[int], Mapping[str, int] | None],
    has_secret: Callable[[str, str], bool],
) -> MinerAlerts:
    """Return the alerts of miners of this node. `paid` returns duffs by address of a block, None while they are
    not known; `has_secret` whether a connected miner of an address has a secret."""
    ports = MinerAlertPorts(
        environment=public_environment(environment, config),
        network=config.network,
        identity=identity,
        snapshot=lambda: stats.snapshot(environment.clock(), good_for=SNAPSHOT_AGE),
        paid=paid,
        # The passwords of a gateway's miners stay in the gateway.
        has_secret=None if config.broker is not None else has_secret,
    )
    return MinerAlerts(ports, config.alerts.miners, config.datadir)
