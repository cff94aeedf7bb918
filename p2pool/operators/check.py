"""`p2pool-dash check`: whether a node with these settings would work here, and what to do if not."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from p2pool.app.config import Config, load_config
from p2pool.app.dashd import daemon_addresses
from p2pool.app.routes import dashd_environment
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
    check_proxy,
    check_space,
    check_x11,
)
from p2pool.operators.machine_facts import (
    GATEWAY_PORTS,
    PORTS,
    broker_problem,
    certificate_facts,
    directory_facts,
    history_problem,
    open_files_limit,
    port_facts,
    proxy_problem,
)


def check(arguments: Sequence[str], default_datadir: Path) -> int:
    """Print all findings, and return the exit status: 1 if there is a fault."""
    given = read_arguments("check", arguments, default_datadir)
    check_all = _check_gateway if given.words else _check_node
    findings = run_async(lambda environment: check_all(environment, given.rest, default_datadir))
    sys.stdout.write(render(findings))
    return exit_status(findings)


async def _check_gateway(
    environment: Environment, arguments: Sequence[str], default_datadir: Path
) -> list[Finding]:
    """Check what a gateway needs: neither a payout address nor history, and a Dash Core only if one is named."""
    try:
        config = load_config(arguments, default_datadir, gateway=True)
    except OperatorError as error:
        return [fault("settings", str(error))]
    findings = [ok("settings", f"they are valid, for a gateway on network {config.network.name}")]
    if config.broker is None:
        findings.append(fault("--broker", "no broker is named", "give --broker URL: the Redis that its node uses"))
    # It opens the ports for miners only.
    served = replace(config, web_port=None, stats_db=None)
    findings += check_machine(served, environment.clock(), ports=GATEWAY_PORTS)
    try:
        addresses = daemon_addresses(config, local=False)
    except OperatorError as error:
        return [*findings, fault("dashd", str(error))]
    if not addresses:
        findings.append(ok("dashd", "none is named: found blocks go to the node, through the broker"))
    for address in addresses:
        report = await daemon_report(environment, replace(config, payout_mode=PayoutMode.GIVEN), address)
        findings += check_daemon_report(report)
    return findings


async def _check_node(environment: Environment, arguments: Sequence[str], default_datadir: Path) -> list[Finding]:
    try:
        config = load_config(arguments, default_datadir)
    except OperatorError as error:
        return [fault("settings", str(error))]
    findings = [ok("settings", f"they are valid, for network {config.network.name}")]
    findings += [warning("settings", notice) for notice in config.notices]
    findings.append(check_address(config))
    findings += check_machine(config, environment.clock())
    for flag, proxy in (("--proxy", config.proxy), ("--dashd-proxy", config.dashd_proxy)):
        if proxy is not None:
            findings.append(check_proxy(flag, str(proxy), proxy_problem(environment, proxy)))
    return findings + await _check_daemons(dashd_environment(environment, config), config)


def check_address(config: Config) -> Finding:
    """Judge where this node's own payouts go. (An address that is none is found when the settings are read.)"""
    if config.payout_mode is PayoutMode.GIVEN:
        return ok("payout address", f"{config.payout_address} is one of {config.network.parent.name}")
    return ok("payout address", "dashd's wallet provides it; -a ADDRESS gives one")


def check_machine(config: Config, now: float, ports: Collection[str] = PORTS) -> Iterator[Finding]:
    """Check everything but Dash Core, at `now` (Unix seconds), with the ports of these flags."""
    directory = directory_facts(config)
    yield check_directory(directory)
    yield check_space(directory)
    needed = config.max_connections + OTHER_FILES
    yield check_open_files(open_files_limit(), needed, config.max_connections)
    yield from check_ports([each for each in port_facts(config, directory.owner) if each.flag in ports])
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
