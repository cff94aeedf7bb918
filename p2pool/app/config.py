"""One frozen `Config` from the command line, the environment, the settings file and files with secrets.

A flag wins over the environment, that over the settings file, and that over the default. For a secret, the
environment counts if neither a flag nor the settings file has it. What each setting is, its topic's dataclass
declares (`base.settings` explains how): `Config` has the fields of all of them. Here are only the values that
follow from several settings, and the checks that concern more than one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from p2pool.alerts.channel import DestinationKind
from p2pool.alerts.miners.settings import MinerAlertOptions
from p2pool.alerts.options import AlertOptions, WebhookOptions
from p2pool.alerts.settings import AlertSettings, check_alerts
from p2pool.app.environment_settings import read_environment, unknown_variables
from p2pool.app.flags import parse_command_line
from p2pool.app.legacy_flags import (
    LegacyOptions,
    check_positional,
    expand_files,
    legacy_notices,
    network_name,
)
from p2pool.app.secret_sources import add_secrets
from p2pool.app.settings import LOG_NAME, STANDARD_OUTPUT, GeneralSettings, StartOptions, all_settings
from p2pool.app.settings_file import read_settings_file
from p2pool.base.endpoints import loopback_address
from p2pool.base.errors import OperatorError
from p2pool.base.hosts import is_near, is_onion
from p2pool.base.paths import parse_path
from p2pool.base.settings import Given, Shown, derived, format_number, settings_of
from p2pool.base.text import printable, without_login
from p2pool.broker.settings import BrokerSettings
from p2pool.dash.address import AddressError, encode_address, payout_hash160
from p2pool.dashd.payout_addresses import PayoutMode
from p2pool.dashd.settings import CredentialOptions, DashdSettings, MergedSettings
from p2pool.history.settings import HistorySettings, default_location
from p2pool.net.onion_settings import OnionOptions
from p2pool.networks import NETWORKS, SIMNET, Network
from p2pool.node.settings import PayoutOptions, PayoutSettings, ShareSettings
from p2pool.peers.settings import PeerSettings
from p2pool.simnet.settings import SimnetSettings
from p2pool.stratum.settings import StratumSettings
from p2pool.web.settings import API_KEYS, WebSettings

SIMNET_ADDRESS: Final = encode_address(SIMNET.parent.addresses.pubkey_hash, b"p2pool-simnet-wallet")
"""The address that the simulated network pays unless one is given."""

_ONLY_DYNAMIC: Final = {"numaddresses": "-i/--numaddresses", "timeaddresses": "-t/--timeaddresses"}
"""The settings that have no effect without -a dynamic, and their flags."""

T = TypeVar("T")
Values = dict[str, Any]
"""The settings that were given, parsed, by the name of their field."""


@dataclass(frozen=True, kw_only=True)
class Config(
    GeneralSettings,
    PayoutSettings,
    DashdSettings,
    StratumSettings,
    WebSettings,
    PeerSettings,
    OnionOptions,
    ShareSettings,
    HistorySettings,
    MergedSettings,
    SimnetSettings,
    BrokerSettings,
):
    """Everything that can be set, and what follows from it. Times are in seconds, fees in percent."""

    network: Network = derived(shown=Shown.COMPOSED)
    datadir: Path = derived(shown=Shown.PRESENCE)
    """The network's own directory below that of --datadir."""
    payout_mode: PayoutMode = derived(PayoutMode.GIVEN, shown=Shown.VALUE)
    payout_address: str | None = derived(shown=Shown.VALUE)
    """None if dashd's wallet provides it, see `payout_mode`; as `key_hash`."""
    key_hash: bytes | None = derived(shown=Shown.NEVER)
    alerts: AlertSettings = derived(AlertSettings(), shown=Shown.COMPOSED)
    rpc_arguments: tuple[str, ...] = derived((), shown=Shown.PRESENCE, repr=False)
    """[RPCUSER] RPCPASS of the single daemon."""
    given: tuple[tuple[str, tuple[Given, ...]], ...] = derived((), shown=Shown.NEVER, repr=False)
    """What was given for each setting, secrets included, for the gateways that the node starts."""
    notices: tuple[str, ...] = derived((), shown=Shown.NEVER)
    """What to warn of at the start: flags that have no effect."""

    @property
    def worker_host(self) -> str:
        """Return the interface of the worker port, "" for all of them."""
        return self.worker_endpoint[0]

    @property
    def worker_port(self) -> int:
        """Return the worker port, 0 for any free one."""
        return self.worker_endpoint[1]

    @property
    def p2pool_host(self) -> str:
        """Return the interface of the port for other nodes, "" for all of them."""
        return self.p2pool_endpoint[0]

    @property
    def p2pool_port(self) -> int:
        """Return the port for other nodes, 0 for any free one."""
        return self.p2pool_endpoint[1]

    @property
    def log_path(self) -> Path:
        """Return the file that the log is written to, or STANDARD_OUTPUT."""
        return self.logfile or self.datadir / LOG_NAME

    @property
    def own_stratum_certificate(self) -> tuple[Path, Path]:
        """Return the certificate and key that the node makes itself for miners, unless others are given."""
        return self.datadir / "stratum-cert.pem", self.datadir / "stratum-key.pem"

    @property
    def own_web_certificate(self) -> tuple[Path, Path]:
        """Return the certificate and key that the node makes itself for browsers, unless others are given."""
        return self.datadir / "web-cert.pem", self.datadir / "web-key.pem"

    @property
    def serves_https(self) -> bool:
        """Return whether the port for browsers, if there is one of its own, uses TLS."""
        return self.web_ssl_self_signed or self.web_ssl_cert is not None

    @property
    def embeds_simnet(self) -> bool:
        """Return whether this process runs the simulated Dash Core itself."""
        return self.network is SIMNET and self.dashd_address is None and not self.dashd

    @property
    def single_daemon(self) -> bool:
        """Return whether the flags for a single daemon name one: always, if there is no URL."""
        return not self.dashd or self._flags_name_daemon

    @property
    def names_daemons(self) -> bool:
        """Return whether any setting names a daemon, or the password of its RPC."""
        return bool(self.dashd) or self._flags_name_daemon

    @property
    def _flags_name_daemon(self) -> bool:
        given = (self.dashd_address, self.dashd_rpc_port, self.dashd_p2p_port, self.dashd_zmq)
        flagged = bool(self.rpc_arguments) or self.dashd_rpc_ssl
        return flagged or any(each is not None for each in given)

    @property
    def donation(self) -> int:
        """Return the share's donation field: 65535 for 100 %."""
        return round(65535 * self.give_author / 100)


def load_config(
    argv: Sequence[str],
    default_datadir: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    gateway: bool = False,
) -> Config:
    """Return the configuration of a node's or a `gateway`'s command line, without the words before the flags.

    Raises OperatorError; `--help`, `--version` and unknown flags end the program as argparse does.
    """
    given, words = gather_settings(argv, default_datadir, environment, gateway=gateway)
    config = make_config(given, words, default_datadir)
    notices = [
        f"the variable {name} in the environment is not a setting: see docs/settings.md"
        for name in unknown_variables(all_settings().values(), environment)
    ]
    config = replace(config, notices=(*config.notices, *notices))
    return replace(config, given=tuple(given.items())) if config.gateways else config


def gather_settings(
    argv: Sequence[str], default_datadir: Path, environment: Mapping[str, str], *, gateway: bool = False
) -> tuple[dict[str, tuple[Given, ...]], tuple[str, ...]]:
    """Return what is given for each setting, secrets included, and [RPCUSER] RPCPASS. Raises as `load_config`."""
    settings = all_settings()
    given, words = parse_command_line(expand_files(argv), default_datadir, gateway=gateway)
    check_positional(words)
    given = read_environment(settings.values(), environment) | given
    if "config" in given:
        path = settings["config"].parse(given["config"])
        from_file = read_settings_file(path)
        _check_login_of_file(path, from_file, environment)
        given = _without_replaced(from_file, given) | given
    add_secrets(given, settings.values(), environment)
    return given, words


def make_config(given: Mapping[str, Sequence[Given]], words: tuple[str, ...], default_datadir: Path) -> Config:
    """Return the configuration of what `gather_settings` returned. Raises OperatorError."""
    return _checked(_parsed(given), words, default_datadir)


def _parsed(given: Mapping[str, Sequence[Given]]) -> Values:
    """Return the values of what was given. A number that has no effect may be out of range: command lines written
    for legacy p2pool-dash may contain one."""
    is_dynamic = "address" in given and given["address"][-1].text == PayoutMode.DYNAMIC.value
    values = {}
    for key, each in given.items():
        setting = all_settings()[key]
        if setting.name in _ONLY_DYNAMIC and not is_dynamic:
            setting = replace(setting, limits=None)
        values[setting.name] = setting.parse(each)
    return values


def _without_replaced(
    from_file: Mapping[str, tuple[Given, ...]], given: Mapping[str, tuple[Given, ...]]
) -> dict[str, tuple[Given, ...]]:
    """Return what a settings file gives, without the secrets, and the files of secrets, that a flag of the command
    line replaces."""
    kept = dict(from_file)
    for setting in all_settings().values():
        keys = {setting.key, setting.file_key}
        if setting.secret is not None and not setting.is_list and keys & given.keys():
            for key in keys:
                kept.pop(key, None)
    return kept


def _check_login_of_file(
    path: Path, from_file: Mapping[str, Sequence[Given]], environment: Mapping[str, str]
) -> None:
    """Raise OperatorError if a settings file names dashd's user and nothing has the password."""
    password = all_settings()["rpcpassword"]
    variable = "" if password.secret is None else password.secret.variable
    has_password = {password.key, password.file_key} & from_file.keys() or variable in environment
    if "rpcuser" in from_file and not has_password:
        raise OperatorError(f"--config: {path}: rpcuser without rpcpassword")


def _options(options_class: type[T], values: Values) -> T:
    """Take a dataclass of options out of the values."""
    names = [each.name for each in settings_of(options_class)]
    return options_class(**{name: values.pop(name) for name in names if name in values})


def _checked(values: Values, words: tuple[str, ...], default_datadir: Path) -> Config:
    start, legacy = _options(StartOptions, values), _options(LegacyOptions, values)
    network = NETWORKS[network_name(start.net, legacy)]
    notices = legacy_notices(network.name, legacy)
    datadir = parse_path("--datadir", default_datadir) if start.datadir is None else start.datadir
    values["datadir"] = datadir / network.name
    _set_payouts(values, _options(PayoutOptions, values), network=network, notices=notices)
    values["rpc_arguments"] = _rpc_arguments(words, _options(CredentialOptions, values))
    values["alerts"] = check_alerts(
        *(_options(WebhookOptions, values), _options(AlertOptions, values), _options(MinerAlertOptions, values))
    )
    values.setdefault("worker_endpoint", ("", network.worker_port))
    # A node behind a proxy is not to be found by those who try all addresses.
    host = "" if values.get("proxy") is None else loopback_address()
    values.setdefault("p2pool_endpoint", (host, network.p2p_port))
    if "stats_db" not in values:
        values["stats_db"] = default_location(values["datadir"])
    _check_simnet(values, network)
    config = Config(network=network, notices=tuple(notices), **values)
    if config.no_console and config.log_path == STANDARD_OUTPUT:
        raise OperatorError("--no-console with --logfile - would leave no log: leave one of them out")
    _check_difficulties(config)
    _check_tls(config)
    _check_web(config)
    _check_gateways(config)
    _check_connect_only(config)
    _check_proxy(config)
    _check_onion(config)
    return replace(config, notices=(*config.notices, *_without_effect(config), *_direct_connections(config)))


def _check_connect_only(config: Config) -> None:
    """Raise OperatorError for a node that would connect to nobody."""
    if config.connect_only and not config.p2pool_nodes:
        raise OperatorError("--connect-only without --p2pool-node: give the nodes to connect to with -n")


def _without_effect(config: Config) -> Iterator[str]:
    """Yield a notice for each setting that another one leaves without effect."""
    if config.connect_only and config.bootstrap:
        yield "--bootstrap has no effect with --connect-only: the node looks for no other nodes"


def _check_proxy(config: Config) -> None:
    """Raise OperatorError for what needs a proxy, and for what would go past it."""
    if config.proxy is None:
        for host, _ in config.p2pool_nodes:
            if is_onion(host):
                raise OperatorError(
                    f"-n {printable(host)}: .onion addresses need --proxy (Tor: socks5://127.0.0.1)"
                )
    elif any(each.kind is DestinationKind.SERVICE for each in config.alerts.destinations):
        raise OperatorError(
            "--alert-url with --proxy: the library that delivers these alerts makes its own connections, which "
            "would not go through the proxy; use --webhook or --alert-email"
        )


def _check_onion(config: Config) -> None:
    """Raise OperatorError for an onion service of miners or browsers alone: its ports are those of one service."""
    for name in ("onion_stratum", "onion_web"):
        if getattr(config, name) and not config.onion:
            raise OperatorError(f"--{name.replace('_', '-')} without --onion: give both")


def _direct_connections(config: Config) -> Iterator[str]:
    """Yield a notice for each connection that leaves directly although there is a proxy."""
    if config.proxy is None:
        return
    daemons = [*(url.host for url in (*config.dashd, *config.merged)), config.dashd_address or "localhost"]
    far = [] if config.dashd_proxy is not None else [host for host in daemons if not is_near(host)]
    for host in dict.fromkeys(far):
        yield f"--proxy: the daemon at {host} is connected to directly; --dashd-proxy URL changes that"
    for host, _ in () if config.broker is None else config.broker.hosts:
        if not is_near(host):
            yield f"--proxy: the broker at {host} is connected to directly"
    if config.stats_db is not None and config.stats_db.path is None:
        yield "--proxy: the database of --stats-db is connected to directly"


def _set_payouts(values: Values, options: PayoutOptions, *, network: Network, notices: list[str]) -> None:
    """Set what -a says. Address and key hash are None if dashd's wallet provides them."""
    address = options.address
    if address is None and network is SIMNET:
        address = SIMNET_ADDRESS
    values["payout_address"] = values["key_hash"] = None
    if address == PayoutMode.DYNAMIC.value:
        values["payout_mode"] = PayoutMode.DYNAMIC
        return
    for name, flag in _ONLY_DYNAMIC.items():
        if values.pop(name, None) is not None:
            notices.append(f"{flag} has no effect without -a dynamic")
    if address is None:
        values["payout_mode"] = PayoutMode.WALLET
        return
    try:
        values["key_hash"] = payout_hash160(address, network.parent.addresses, network.name)
    except AddressError as error:
        raise OperatorError(f"-a {without_login(address)}: {error} (give a Dash address, or 'dynamic')") from None
    values["payout_address"] = address


def _rpc_arguments(words: tuple[str, ...], options: CredentialOptions) -> tuple[str, ...]:
    """Return [RPCUSER] RPCPASS, given as words or as flags; words win."""
    if words or (options.rpcuser is None and options.rpcpassword is None):
        return words
    if options.rpcpassword is None:
        raise OperatorError("--rpcuser without --rpcpassword: give both, or neither")
    return (options.rpcpassword,) if options.rpcuser is None else (options.rpcuser, options.rpcpassword)


def _check_simnet(values: Values, network: Network) -> None:
    """Raise OperatorError for settings of the embedded simulation, which would do nothing without it."""
    if network is not SIMNET and values.get("simnet_miners"):
        raise OperatorError("--simnet-miners is for --net simnet: leave it out, or choose that network")
    other = "--dashd" if values.get("dashd") else "--dashd-address" if values.get("dashd_address") else None
    for name in ("simnet_miners", "simnet_block_period", "simnet_rules"):
        if network is SIMNET and other is not None and values.get(name):  # without it there are 0 miners
            raise OperatorError(
                f"--{name.replace('_', '-')} is for the simulated Dash Core in this process, which {other} "
                "replaces: leave one of them out (python -m p2pool.simnet.miner mines on any node)"
            )


def _check_difficulties(config: Config) -> None:
    least, most = config.min_difficulty, config.max_difficulty
    if least is not None and least > most:
        raise OperatorError(
            f"--min-difficulty {format_number(least)} is above --max-difficulty {format_number(most)}"
        )


def _check_tls(config: Config) -> None:
    """Raise OperatorError for a TLS port without a certificate, or a certificate without a port."""
    given = [name for name in ("ssl_cert", "ssl_key", "ssl_self_signed") if getattr(config, name)]
    if config.stratum_ssl_port is None and given:
        raise OperatorError(
            f"--{given[0].replace('_', '-')} without --stratum-ssl-port: give the port to listen on"
        )
    if (config.ssl_cert is None) != (config.ssl_key is None):
        raise OperatorError("--ssl-cert and --ssl-key belong together: give both")
    if config.stratum_ssl_port is not None and not given:
        raise OperatorError(
            "--stratum-ssl-port needs a certificate: give --ssl-cert FILE and --ssl-key FILE, or let the node "
            "make one with --ssl-self-signed"
        )


def _check_web(config: Config) -> None:
    """Raise OperatorError for a certificate without a port, or protected paths without a key."""
    given = [name for name in ("web_ssl_cert", "web_ssl_key", "web_ssl_self_signed") if getattr(config, name)]
    if config.web_port is None and given:
        raise OperatorError(
            f"--{given[0].replace('_', '-')} without --web-port: the worker port serves plain HTTP; give the port "
            "for HTTPS"
        )
    if (config.web_ssl_cert is None) != (config.web_ssl_key is None):
        raise OperatorError("--web-ssl-cert and --web-ssl-key belong together: give both")
    if config.api_key_endpoints and not config.api_keys:
        raise OperatorError(
            "--api-key-endpoints without an API key would close them to everybody: give --api-key KEY, "
            f"--api-key-file FILE or {API_KEYS.variable} in the environment"
        )


def _check_gateways(config: Config) -> None:
    """Raise OperatorError for gateways on this machine without a broker, or without a port for browsers."""
    if config.gateways and config.broker is None:
        raise OperatorError("--gateways needs --broker URL: the Redis between the node and its gateways")
    if config.gateways and config.web_port is None:
        raise OperatorError(
            "--gateways gives the worker port to the gateways: give --web-port [ADDR:]PORT for this node's pages"
        )
