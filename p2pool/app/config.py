"""Flags and TOML -> one frozen `Config`. A flag wins over the file, the file over the default."""

from __future__ import annotations

import argparse
import os
import re
import secrets
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, NoReturn

from p2pool.alerts.settings import AlertSettings, check_alerts
from p2pool.app.flags import build_parser
from p2pool.app.legacy_flags import check_positional, expand_files, take_legacy_flags
from p2pool.base.endpoints import HOST, parse_host_and_port
from p2pool.base.errors import OperatorError, ParseError
from p2pool.base.hosts import parse_address
from p2pool.base.paths import decode_text, parse_path
from p2pool.dash.address import AddressError, encode_address, payout_hash160
from p2pool.dashd.daemon_url import DaemonUrl, check_zmq_address, is_host, parse_daemon_url
from p2pool.dashd.merged import parse_merged_urls
from p2pool.dashd.payout_addresses import MAX_ADDRESSES, PayoutMode
from p2pool.history.database import Target, parse_target
from p2pool.networks import NETWORKS, SIMNET, Network
from p2pool.simnet.rule_sets import V23, parse_rules
from p2pool.web.auth import HashedSecret, hash_keys, hash_password
from p2pool.web.known_hosts import parse_host_name

IpNetwork = IPv4Network | IPv6Network

SIMNET_ADDRESS = encode_address(SIMNET.parent.addresses.pubkey_hash, b"p2pool-simnet-wallet")
"""Whom the simulated network pays where no address is given."""

MAX_DIFFICULTY = 1_000_000.0
MAX_FILE = 1 << 20
"""Bytes of the file with the settings."""
MAX_DAEMONS = 16
"""Each is asked twice a second whether it lives."""
API_KEYS_VARIABLE = "P2POOL_API_KEYS"
_PATHS = (
    *("logfile", "web_static", "import_shares", "dashd_config_path", "ssl_cert", "ssl_key"),
    *("web_ssl_cert", "web_ssl_key", "api_key_file"),
)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set. Ports are None for the network's own; times in seconds, fees in percent."""

    network: Network
    payout_address: str | None
    """None where dashd's wallet gives it, see `payout_mode`; as `key_hash`."""
    key_hash: bytes | None
    datadir: Path
    payout_mode: PayoutMode = PayoutMode.GIVEN
    numaddresses: int = 2
    timeaddresses: float = 172_800.0
    logfile: Path | None = None
    debug: bool = False
    bench: bool = False
    worker_host: str = ""
    worker_port: int = 0
    p2pool_host: str = ""
    p2pool_port: int = 0
    p2pool_nodes: tuple[tuple[str, int], ...] = ()
    """(host, port) to stay connected with; port 0 for the network's own."""
    bootstrap: tuple[tuple[str, int], ...] = ()
    """(host, port) where nodes are looked for if too few are connected; port 0 for the network's own."""
    max_conns: int = 40
    outgoing_conns: int = 6
    external_ip: tuple[str, int] | None = None
    """What to tell others of ourselves; port 0 for the one that we listen on."""
    disable_advertise: bool = False
    disable_upnp: bool = False
    fee: float = 0.0
    give_author: float = 1.0
    share_rate: float = 10.0
    start_difficulty: float | None = None
    min_difficulty: float | None = None
    """None for the network's, as for `start_difficulty`."""
    max_difficulty: float = MAX_DIFFICULTY
    max_connections: int = 10_000
    max_connections_per_ip: int = 1000
    session_timeout: float = 3600.0
    ban_duration: float = 300.0
    ban_allow: tuple[IpNetwork, ...] = ()
    login_time: float = 30.0
    max_line: int = 8192
    max_unsent: int = 256 * 1024
    """Bytes, as `max_line`."""
    keepalive: int = 60
    stratum_ssl_port: tuple[str, int] | None = None
    """(interface, port)"""
    ssl_cert: Path | None = None
    ssl_key: Path | None = None
    ssl_self_signed: bool = False
    stratum_proxy_protocol: tuple[IpNetwork, ...] = ()
    web_static: Path | None = None
    metrics_max_workers: int = 100
    web_port: tuple[str, int] | None = None
    """(interface, port); None for the worker port."""
    web_ssl_cert: Path | None = None
    web_ssl_key: Path | None = None
    web_ssl_self_signed: bool = False
    web_password: HashedSecret | None = None
    web_trusted_proxy: tuple[IpNetwork, ...] = ()
    web_host: frozenset[str] = frozenset()
    """Names by which browsers reach this node."""
    web_rate_limit: float = 200.0
    """Requests a second of one host; 0 for no limit."""
    api_keys: tuple[HashedSecret, ...] = ()
    api_key_endpoints: tuple[str, ...] = ()
    """Globs of paths that need one of the keys."""
    alerts: AlertSettings = field(default_factory=AlertSettings)
    """Webhooks and messages for people."""
    ws_allow_origin: frozenset[str] = frozenset()
    """Sites whose pages may listen to live updates besides our own: scheme://host[:port]."""
    stats_db: Target | None = None
    """None for no history."""
    stats_retention: float = 30.0
    """Days."""
    stats_node: str | None = None
    import_shares: Path | None = None
    disable_share_archive: bool = False
    dashd_address: str | None = None
    dashd_rpc_port: int | None = None
    dashd_rpc_ssl: bool = False
    dashd_p2p_port: int | None = None
    dashd_config_path: Path | None = None
    rpc_arguments: tuple[str, ...] = field(default=(), repr=False)
    dashd_zmq: str | None = None
    """tcp://HOST:PORT of the single daemon."""
    dashd: tuple[DaemonUrl, ...] = ()
    """Daemons named by URL, beside or in place of the single one."""
    broadcaster_max_peers: int = 20
    disable_broadcaster: bool = False
    merged: tuple[DaemonUrl, ...] = ()
    """Daemons of auxiliary chains, each with a port and credentials."""
    simnet_miners: int = 2
    simnet_hash_rate: float | None = None
    """Hashes a second of each embedded miner; None for as many as it can make with what others leave of the
    CPU."""
    simnet_block_period: float = 60.0
    simnet_rules: str = V23
    """As `simnet.rule_sets.parse_rules` reads it."""
    no_console: bool = False
    """Log to the file only."""
    notices: tuple[str, ...] = ()
    """What to warn of at the start: flags that have no effect."""

    @property
    def embeds_simnet(self) -> bool:
        """Whether this process runs the simulated Dash Core itself."""
        return self.network is SIMNET and self.dashd_address is None and not self.dashd

    @property
    def single_daemon(self) -> bool:
        """Whether the flags for a single daemon name one: always, where no URL does."""
        given = (self.dashd_address, self.dashd_rpc_port, self.dashd_p2p_port, self.dashd_zmq)
        flagged = bool(self.rpc_arguments) or self.dashd_rpc_ssl
        return not self.dashd or flagged or any(each is not None for each in given)

    @property
    def donation(self) -> int:
        """The share's donation field: 65535 for 100 %."""
        return round(65535 * self.give_author / 100)


def load_config(argv: Sequence[str], default_datadir: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """The configuration of a command line (without the program's name) and, for secrets, the environment. Raises
    OperatorError; `--help`, `--version` and unknown flags end the program as argparse does."""
    parser = build_parser(default_datadir)
    given = vars(parser.parse_args(expand_files(argv)))
    check_positional(given.get("rpc_arguments", ()))
    path = given.pop("config", None)
    settings = _read_toml(parse_path("--config", path), parser) if path is not None else {}
    settings.update(given)
    settings["api_keys"] = environment.get(API_KEYS_VARIABLE, "")
    settings["alerts"] = check_alerts(settings, environment)
    return _checked(settings, default_datadir)


def _read_toml(path: Path, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """The file's settings as if they had been flags, so that both are checked alike."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise OperatorError(
                f"--config: {path} has more than {MAX_FILE} bytes: is it the file with the settings?"
            )
        table = tomllib.loads(decode_text(data))
    except OSError as error:
        raise OperatorError(f"--config: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OperatorError(f"--config: {path} is not TOML: it is no text in UTF-8; save it as such") from None
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"--config: {path} is not TOML: {error}") from None
    except RecursionError:
        raise OperatorError(
            f"--config: {path} is nested too deeply: settings are text, numbers and lists"
        ) from None

    def refuse(message: str) -> NoReturn:
        raise OperatorError(f"--config: {path}: {message}")

    actions = {option: action for action in parser._actions for option in action.option_strings}
    if "rpcuser" in table and "rpcpassword" not in table:
        refuse("rpcuser without rpcpassword")
    arguments: list[str] = []
    for key, value in table.items():
        flag = "--" + key.replace("_", "-")
        if flag not in actions or flag in ("--config", "--help", "--version"):
            refuse(f"there is no setting {key!r} (settings are named like the flags)")
        if isinstance(value, list) and isinstance(actions[flag], argparse._AppendAction):
            arguments += [f"{flag}={_text(key, item, refuse)}" for item in value]
        elif actions[flag].nargs != 0:
            arguments.append(f"{flag}={_text(key, value, refuse)}")
        elif not isinstance(value, bool):
            refuse(f"{key} is true or false, not {value!r}")
        elif value:
            arguments.append(flag)
    parser.error = refuse  # type: ignore[method-assign]
    settings = vars(parser.parse_args(arguments))
    settings.pop("rpc_arguments", None)  # a file has none
    return settings


def _text(key: str, value: object, refuse: Callable[[str], NoReturn]) -> str:
    """A TOML value as the text that a flag would have had."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        refuse(f"{key} cannot be a {type(value).__name__}")
    return str(value)


def _checked(settings: dict[str, Any], default_datadir: Path) -> Config:
    notices = take_legacy_flags(settings)
    network = NETWORKS[settings.pop("net", "dash")]
    mode, address, key_hash = _payouts(settings, network, notices)
    rpc_arguments = _rpc_arguments(settings)
    _check_ranges(settings)
    settings["dashd"] = _daemons(settings.get("dashd", ()))
    host = settings.get("dashd_address")
    if host is not None and not is_host(host):
        raise OperatorError(f"--dashd-address {host}: this is neither an IP address nor the name of a host")
    if settings.get("dashd_zmq") is not None:
        settings["dashd_zmq"] = check_zmq_address("--dashd-zmq", settings["dashd_zmq"])
    host, port = _endpoint("-w/--worker-port", settings.pop("worker_port", None), network.worker_port)
    peer_host, peer_port = _endpoint("--p2pool-port", settings.pop("p2pool_port", None), network.p2p_port)
    external = settings.pop("external_ip", None)
    datadir = parse_path("--datadir", settings.pop("datadir", default_datadir)) / network.name
    for name in _PATHS:
        if settings.get(name) is not None:
            settings[name] = parse_path("--" + name.replace("_", "-"), settings[name])
    web_static = settings.get("web_static")
    if web_static is not None and not web_static.is_dir():
        raise OperatorError(f"--web-static: {web_static} is not a directory")
    for name in ("ban_allow", "stratum_proxy_protocol", "web_trusted_proxy"):
        flag = "--" + name.replace("_", "-")
        settings[name] = tuple(_network(flag, text) for text in settings.get(name, ()))
    settings["web_host"] = frozenset(parse_host_name("--web-host", text) for text in settings.get("web_host", ()))
    settings["ws_allow_origin"] = frozenset(_origin(text) for text in settings.get("ws_allow_origin", ()))
    _check_simnet(settings, network)
    _check_tls(settings)
    _check_web(settings)
    _check_history(settings, datadir)
    known = {f.name for f in fields(Config)}
    return Config(
        network=network,
        payout_address=address,
        key_hash=key_hash,
        payout_mode=mode,
        datadir=datadir,
        worker_host=host,
        worker_port=port,
        p2pool_host=peer_host,
        p2pool_port=peer_port,
        p2pool_nodes=tuple(_node("-n/--p2pool-node", text) for text in settings.pop("p2pool_node", ())),
        bootstrap=tuple(_node("--bootstrap", text) for text in settings.pop("bootstrap", ())),
        external_ip=None if external is None else _node("--external-ip", external),
        rpc_arguments=rpc_arguments,
        merged=parse_merged_urls(settings.pop("merged", ())),
        notices=tuple(notices),
        **{name: value for name, value in settings.items() if name in known},
    )


def _rpc_arguments(settings: dict[str, Any]) -> tuple[str, ...]:
    """[RPCUSER] RPCPASS, as words or as flags; the words win."""
    words = tuple(settings.pop("rpc_arguments", ()))
    user, password = settings.pop("rpcuser", None), settings.pop("rpcpassword", None)
    if words or (user is None and password is None):
        return words
    if password is None:
        raise OperatorError("--rpcuser without --rpcpassword: give both, or neither")
    return (password,) if user is None else (user, password)


def _daemons(texts: Sequence[str]) -> tuple[DaemonUrl, ...]:
    """--dashd URL, as often as it was given."""
    if len(texts) > MAX_DAEMONS:
        raise OperatorError(f"--dashd was given {len(texts)} times; at most {MAX_DAEMONS} daemons are watched")
    return tuple(parse_daemon_url("--dashd", text) for text in texts)


def _payouts(
    settings: dict[str, Any], network: Network, notices: list[str]
) -> tuple[PayoutMode, str | None, bytes | None]:
    """What -a says: (mode, address, its key hash); the latter two are None where dashd's wallet gives them."""
    address = settings.pop("address", SIMNET_ADDRESS if network is SIMNET else None)
    if address == "dynamic":
        return PayoutMode.DYNAMIC, None, None
    for flag, name in (("-i/--numaddresses", "numaddresses"), ("-t/--timeaddresses", "timeaddresses")):
        if settings.pop(name, None) is not None:
            notices.append(f"{flag} has no effect without -a dynamic")
    if address is None:
        return PayoutMode.WALLET, None, None
    try:
        return PayoutMode.GIVEN, address, payout_hash160(address, network.parent.addresses, network.name)
    except AddressError as error:
        raise OperatorError(f"-a {address}: {error} (give a Dash address, or 'dynamic')") from None


def _check_simnet(settings: dict[str, Any], network: Network) -> None:
    """CPU miners and the block period are the embedded simulation's: without it they would do nothing."""
    if network is not SIMNET and settings.get("simnet_miners"):
        raise OperatorError("--simnet-miners is for --net simnet: leave it out, or choose that network")
    other = "--dashd" if settings["dashd"] else "--dashd-address" if settings.get("dashd_address") else None
    rules = settings.get("simnet_rules")
    if rules is not None:
        try:
            parse_rules(rules)
        except ValueError as error:
            raise OperatorError(f"--simnet-rules: {error}") from None
    for name in ("simnet_miners", "simnet_block_period", "simnet_rules"):
        if network is SIMNET and other is not None and settings.get(name):  # 0 miners are what there is
            raise OperatorError(
                f"--{name.replace('_', '-')} is for the simulated Dash Core in this process, whose place {other} "
                "takes: leave one of them out (python -m p2pool.simnet.miner mines at any node)"
            )


def _check_tls(settings: dict[str, Any]) -> None:
    """A TLS port has its certificate, and a certificate its port."""
    given = [name for name in ("ssl_cert", "ssl_key", "ssl_self_signed") if settings.get(name)]
    port = settings.pop("stratum_ssl_port", None)
    if port is None and given:
        raise OperatorError(f"--{given[0].replace('_', '-')} without --stratum-ssl-port: say where to listen")
    if ("ssl_cert" in given) != ("ssl_key" in given):
        raise OperatorError("--ssl-cert and --ssl-key belong together: give both")
    if port is not None:
        if not given:
            raise OperatorError(
                "--stratum-ssl-port needs a certificate: give --ssl-cert FILE and --ssl-key FILE, "
                "or have one made with --ssl-self-signed"
            )
        settings["stratum_ssl_port"] = _endpoint("--stratum-ssl-port", port, 0)


def _check_web(settings: dict[str, Any]) -> None:
    """The web's port and certificate, keys and password: of the latter only what tells them apart is kept."""
    given = [name for name in ("web_ssl_cert", "web_ssl_key", "web_ssl_self_signed") if settings.get(name)]
    port = settings.pop("web_port", None)
    if port is None and given:
        raise OperatorError(
            f"--{given[0].replace('_', '-')} without --web-port: the worker port speaks plain HTTP; say where to "
            "listen for HTTPS"
        )
    if ("web_ssl_cert" in given) != ("web_ssl_key" in given):
        raise OperatorError("--web-ssl-cert and --web-ssl-key belong together: give both")
    if port is not None:
        settings["web_port"] = _endpoint("--web-port", port, 0)
    salt = secrets.token_bytes(16)
    keys, file = settings.pop("api_key", ()), settings.pop("api_key_file", None)
    settings["api_keys"] = hash_keys(keys, file, settings["api_keys"], salt)
    password = settings.pop("web_password", None)
    if password is not None:
        settings["web_password"] = hash_password(password, salt)
    endpoints = settings.pop("api_key_endpoints", None)
    if endpoints is not None:
        globs = tuple(text.strip() for text in endpoints.split(","))
        if not all(text.startswith("/") for text in globs):
            raise OperatorError(
                f"--api-key-endpoints {endpoints}: give paths that begin with a slash, separated by commas, like "
                "/metrics,/api/v1/*"
            )
        if not settings["api_keys"]:
            raise OperatorError(
                "--api-key-endpoints without an API key: nobody could ask there; give --api-key KEY, "
                f"--api-key-file FILE or {API_KEYS_VARIABLE} in the environment"
            )
        settings["api_key_endpoints"] = globs


def _check_history(settings: dict[str, Any], datadir: Path) -> None:
    """The database, where there is to be one."""
    given = settings.pop("stats_db", None)
    if given == "none":
        return
    target = settings["stats_db"] = parse_target("--stats-db", given or str(datadir / "history.sqlite"))
    if given is not None and target.path is not None:
        _check_directory("--stats-db", target.path)
    name = settings.get("stats_node")
    if name is not None and not re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", name):
        raise OperatorError(f"--stats-node {name}: give up to 64 letters, digits and .-_:")


def _network(flag: str, text: str) -> IpNetwork:
    """An address or a network in CIDR notation."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise OperatorError(f"{flag} {text}: give an address or a network like 192.168.0.0/16") from None


def _origin(text: str) -> str:
    """A site as browsers name it: scheme://host[:port]."""
    if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?", text):
        raise OperatorError(
            f"--ws-allow-origin {text}: give a site like https://example.org or http://10.0.0.1:8080"
        )
    return text


def _check_directory(flag: str, path: Path) -> None:
    """A directory that is not there is rather a slip, or a disk that is not mounted, than to be made."""
    if not path.parent.is_dir():
        raise OperatorError(
            f"{flag} {path}: there is no directory {path.parent}: make it, or mount its disk, first"
        )


def _check_ranges(settings: dict[str, Any]) -> None:
    for name, low, high in (
        ("fee", 0, 100),
        ("give_author", 0, 100),
        ("share_rate", 0.1, 3600),
        ("numaddresses", 1, MAX_ADDRESSES),
        ("timeaddresses", 1, 10 * 366 * 86400),
        ("max_conns", 0, 1000),
        ("outgoing_conns", 0, 100),
        ("simnet_miners", 0, 64),
        ("simnet_block_period", 1, 86400),
        ("simnet_hash_rate", 1, 1e9),
        ("start_difficulty", 1e-12, 1e12),
        ("min_difficulty", 1e-12, 1e12),
        ("max_difficulty", 1e-12, 1e12),
        ("max_connections", 1, 1_000_000),
        ("max_connections_per_ip", 1, 1_000_000),
        ("session_timeout", 0, 30 * 86400),
        ("ban_duration", 1, 366 * 86400),
        ("login_time", 1, 3600),
        ("max_line", 1024, 1 << 20),
        ("max_unsent", 16384, 1 << 30),
        ("keepalive", 5, 7200),
        ("broadcaster_max_peers", 1, 500),
        ("stats_retention", 1, 100 * 366),
        ("metrics_max_workers", 0, 1000),  # a scrape costs 3 ms a hundred
        ("web_rate_limit", 0, 1_000_000),
    ):
        value = settings.get(name)
        if value is not None and not low <= value <= high:
            raise OperatorError(f"--{name.replace('_', '-')} {value:g}: must be between {low:g} and {high:g}")
    least, most = settings.get("min_difficulty"), settings.get("max_difficulty", MAX_DIFFICULTY)
    if least is not None and least > most:
        raise OperatorError(f"--min-difficulty {least:g} is above --max-difficulty {most:g}")
    for name in ("dashd_rpc_port", "dashd_p2p_port"):
        value = settings.get(name)
        if value is not None and not 0 < value < 65536:
            raise OperatorError(f"--{name.replace('_', '-')} {value}: a port is between 1 and 65535")


def _endpoint(flag: str, text: str | None, default_port: int) -> tuple[str, int]:
    """PORT or ADDR:PORT; port 0 is any free one."""
    if text is None:
        return "", default_port
    host, _, port = str(text).rpartition(":")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise OperatorError(f"{flag} {text}: give PORT or ADDR:PORT")
    address = host[1:-1] if re.fullmatch(r"\[.*:.*\]", host) else host
    if not re.fullmatch(HOST + "?", address) and parse_address(address) is None:
        raise OperatorError(f"{flag} {text}: give PORT or ADDR:PORT, an IPv6 address in brackets: [::1]:7903")
    return address, int(port)


def _node(flag: str, text: str) -> tuple[str, int]:
    """ADDR or ADDR:PORT, IPv6 addresses in brackets where a port follows; port 0 where none is given."""
    try:
        return parse_host_and_port(text)
    except ParseError as error:
        raise OperatorError(f"{flag} {text}: {error}") from None
