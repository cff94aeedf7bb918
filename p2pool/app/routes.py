"""Which way each part of the program reaches other machines: docs/operators.md has the table ("Privacy")."""

from __future__ import annotations

from dataclasses import replace

from p2pool.app.config import Config
from p2pool.base.environment import Environment


def public_environment(environment: Environment, config: Config) -> Environment:
    """Return the environment of what talks to strangers: other nodes, those of Dash, alerts."""
    return replace(environment, proxy=config.proxy)


def dashd_environment(environment: Environment, config: Config) -> Environment:
    """Return the environment of what talks to the operator's daemons."""
    return replace(environment, proxy=config.dashd_proxy)
