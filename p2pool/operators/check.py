"""`p2pool-dash check`: whether a node with these settings would work here, and what to do if not."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from p2pool.app.config import Config, load_config
from p2pool.app.dashd import daemon_addresses
from p2pool.app.stratum import OTHER_FILES
from p2pool.base.environment import Environment
from p2pool.base.errors import OperatorError
from p2pool.dash import pow as x11
from p2pool.dashd.payout_addresses import PayoutMode
from p2pool.operators.arguments import read_arguments
from p2pool.operators.asynchronous import run_async
from p2pool.operators.dashd_checks import check_daemon_report
from p2pool.operators.dashd_facts import daemon_report
from p2pool.operators.findings import Finding, exit_status, fault, ok, render, warning
from p2pool.operators.machine_checks import (
    check_broker,
    check_certificate,
    check_directory,
    check_history,
    check_open_files,
    check_ports,
    check_space,
    check_x11,
)
from p2pool.operators.machine_facts import (
    broker_problem,
    certificate_facts,
    directory_facts,
    history_problem,
    open_files_limit,
    port_facts,
)


def check(arguments: Sequence[str], default_datadir: Path) -> int:
    """Print all findings, and return the exit status: 1 if there is a fault."""
    given = read_arguments("check", arguments, default_datadir)
    findings = run_async(lambda environment: _check_all(environment, given.rest, default_datadir))
    sys.stdout.write(render(findings))
    return exit_status(findings)


async def _check_all(environment: Environment, arguments: Sequence[str], default_datadir: Path) -> list[Finding]:
    try:
        config = load_config(arguments, default_datadir)
    except OperatorError as error:
        return [fault("settings", str(error))]
    findings = [ok("settings", f"they are valid, for network {config.network.name}")]
    findings += [warning("settings", notice) for notice in config.notices]
    findings.append(check_address(config))
    findings += check_machine(config, environment.clock())
    return findings + await _check_daemons(environment, config)


def check_address(config: Config) -> Finding:
    """Judge where this node's own payouts go. (An address that is none is found when the settings are read.)"""
    if config.payout_mode is PayoutMode.GIVEN:
        return ok("payout address", f"{config.payout_address} is one of {config.network.parent.name}")
    return ok("payout address", "dashd's wallet provides it; -a ADDRESS gives one")


def check_machine(config: Config, now: float) -> Iterator[Finding]:
    """Check everything but Dash Core, at `now` (Unix seconds)."""
    directory = directory_facts(config)
    yield check_directory(directory)
    yield check_space(directory)
    needed = config.max_connections + OTHER_FILES
    yield check_open_files(open_files_limit(), needed, config.max_connections)
    yield from check_ports(list(port_facts(config, directory.owner)))
    for certificate in certificate_facts(config):
        yield check_certificate(certificate, now)
    yield check_x11(str(x11.PROVIDER), x11.PROBLEM)
    if config.stats_db is not None:
        yield check_history(str(config.stats_db), history_problem(config.stats_db))
    if config.broker is not None:
        yield check_broker(str(config.broker), broker_problem(config))


async def _check_daemons(environment: Environment, config: Config) -> list[Finding]:
    if config.embeds_simnet:
        return [ok("dashd", "the node simulates it")]
    try:
        addresses = daemon_addresses(config)
    except OperatorError as error:
        return [fault("dashd", str(error))]
    return [
        finding
        for address in addresses
        for finding in check_daemon_report(await daemon_report(environment, config, address))
    ]
