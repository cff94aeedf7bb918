"""What a gateway that the node starts is given: the settings that a gateway uses, and nothing else of the node's.

Settings are flags; secrets are in its environment, never on its command line. It reads no settings file and no
file of secrets: it has what the node read at its start. Of the node's own environment it gets what programs need.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from p2pool.app.config import Config
from p2pool.app.settings import all_settings
from p2pool.base.endpoints import host_and_port, loopback_address
from p2pool.base.settings import Given, Setting, settings_of
from p2pool.dashd.settings import DashdSettings
from p2pool.stratum.settings import StratumSettings

GATEWAY: Final = "gateway"
"""The first word of a command line that starts a gateway."""
_OWN: Final = frozenset(
    ("worker_endpoint", "stratum_ssl_port", "ssl_cert", "ssl_key", "ssl_self_signed", "broadcaster_max_peers")
)
"""Settings that a gateway uses with a value of its own."""
_DASHD: Final = frozenset(each.name for each in settings_of(DashdSettings)) - _OWN
_USED: Final = (
    frozenset(each.name for each in settings_of(StratumSettings)) - _OWN
    | _DASHD
    | {"broker", "debug", "log_format", "onlynet", "proxy", "metrics_max_workers"}
)
"""Settings that a gateway uses as the node has them."""
_PASSED: Final = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LANGUAGE", "TZ", "TZDIR", "VIRTUAL_ENV"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "GLIBC_TUNABLES", "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF"),
    )
)
_PASSED_PREFIXES: Final = ("LC_", "PYTHON", "MALLOC_")
LEAST_PEERS: Final = 2
"""Nodes of the Dash network that each gateway sends its blocks to, at least."""


@dataclass(frozen=True, slots=True)
class ChildCommand:
    """The arguments of a gateway, and its environment."""

    arguments: list[str]
    environment: dict[str, str] = field(repr=False)


def child_command(
    config: Config,
    number: int,
    *,
    port: int,
    tls_port: int | None,
    environment: Mapping[str, str] = os.environ,
) -> ChildCommand:
    """Return how the node starts the gateway of a number, from 1 on."""
    command = ChildCommand([GATEWAY, "--net", config.network.name], passed_environment(environment))
    for setting, given in _used(config):
        if setting.secret is not None:
            command.environment[setting.secret.variable] = _variable(setting, given)
        elif setting.is_switch:
            command.arguments.append(setting.flag)
        else:
            values = given if setting.is_list else given[-1:]
            command.arguments.extend(f"{setting.flag}={each.text}" for each in values)
    if not config.embeds_simnet:
        _add_dashd(command, config)
    command.arguments.extend(_own(config, number, port=port, tls_port=tls_port))
    return command


def passed_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of an environment that a gateway gets: it has no secret."""
    return {
        name: value for name, value in environment.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)
    }


def _used(config: Config) -> Iterator[tuple[Setting, Sequence[Given]]]:
    """Yield the settings that were given and that a gateway uses. The simulated Dash Core in the node is not for
    gateways: it ends with the node."""
    for key, given in config.given:
        setting = all_settings()[key]
        if setting.name in _USED and not (config.embeds_simnet and setting.name in _DASHD):
            yield setting, given


def _variable(setting: Setting, given: Sequence[Given]) -> str:
    """Return a secret as the environment has it. A list is separated by white space, which its URLs may have as
    well."""
    if not setting.is_list:
        return given[-1].text
    return " ".join(re.sub(r"\s", lambda match: quote(match[0]), each.text) for each in given)


def _add_dashd(command: ChildCommand, config: Config) -> None:
    """Let a gateway send its blocks to the node's daemons itself: then they need neither Redis nor the node."""
    if not config.names_daemons:
        command.arguments.extend(("--dashd-address", loopback_address()))
    if config.rpc_arguments:
        *user, password = config.rpc_arguments
        command.arguments.extend(f"--rpcuser={name}" for name in user)
        variable = all_settings()["rpcpassword"].secret
        if variable is not None:
            command.environment[variable.variable] = password
    peers = max(LEAST_PEERS, config.broadcaster_max_peers // config.gateways)
    command.arguments.extend(("--broadcaster-max-peers", str(min(peers, config.broadcaster_max_peers))))


def _own(config: Config, number: int, *, port: int, tls_port: int | None) -> Iterator[str]:
    """Yield what makes it a child, and what it has of its own: name, directory, log."""
    directory = config.datadir / "gateways" / str(number)
    yield from ("--share-port", "--supervised", "--no-console", "--take-over")
    yield from ("--gateway-name", f"{socket.gethostname()}:{port}/{number}")
    yield from ("--datadir", str(directory), "--logfile", str(directory / "log"))
    yield from ("--worker-port", host_and_port(config.worker_host, port) if config.worker_host else str(port))
    if config.stratum_ssl_port is not None and tls_port is not None:
        host = config.stratum_ssl_port[0]
        yield from ("--stratum-ssl-port", host_and_port(host, tls_port) if host else str(tls_port))
        # One certificate for all: the node makes it.
        certificate, key = config.own_stratum_certificate
        yield from ("--ssl-cert", str(config.ssl_cert or certificate))
        yield from ("--ssl-key", str(config.ssl_key or key))
