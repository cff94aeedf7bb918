"""The settings that everybody may see: /api/v1/config and the page of the node show them.

What is shown is named here, and so is what is withheld: a new setting stands in neither list until somebody has
thought about it (tests/app/test_shown_settings.py), and is not shown until then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

from p2pool.alerts.channel import Destination
from p2pool.app.config import Config, IpNetwork
from p2pool.base.endpoints import host_and_port, host_in_url
from p2pool.dashd.daemon_url import DaemonUrl

SHOWN: Final = (
    *("payout_address", "payout_mode", "numaddresses", "timeaddresses", "debug", "bench"),
    *(
        "p2pool_nodes",
        "bootstrap",
        "max_conns",
        "outgoing_conns",
        "external_ip",
        "disable_advertise",
        "disable_upnp",
    ),
    *("fee", "give_author", "share_rate", "start_difficulty", "min_difficulty", "max_difficulty"),
    *("max_connections", "max_connections_per_ip", "session_timeout", "ban_duration", "ban_allow"),
    *("login_time", "max_line", "max_unsent", "keepalive", "stratum_ssl_port", "ssl_self_signed"),
    *("stratum_proxy_protocol", "metrics_max_workers", "web_port", "web_ssl_self_signed", "web_trusted_proxy"),
    *("web_host", "web_rate_limit", "api_key_endpoints", "ws_allow_origin", "disable_share_archive"),
    *("dashd_address", "dashd_rpc_port", "dashd_rpc_ssl", "dashd_p2p_port", "dashd_zmq"),
    *(
        "broadcaster_max_peers",
        "disable_broadcaster",
        "simnet_miners",
        "simnet_hash_rate",
        "simnet_block_period",
        "simnet_rules",
    ),
    *("stats_retention", "stats_node", "no_console"),
)
"""Fields of Config that are shown as they are."""
COMPOSED: Final = (
    "network",
    "worker_host",
    "worker_port",
    "p2pool_host",
    "p2pool_port",
    "dashd",
    "merged",
    "stats_db",
    "alerts",
)
"""Those that are shown in another form: daemons' addresses without credentials, the kind of the database."""
WITHHELD: Final = (
    *("api_keys", "web_password", "rpc_arguments"),
    *("datadir", "logfile", "ssl_cert", "ssl_key", "web_static", "web_ssl_cert", "web_ssl_key"),
    *("import_shares", "dashd_config_path"),
)
"""Secrets, and paths, which tell strangers of the machine: only whether they are set is shown."""
DERIVED: Final = ("key_hash", "notices")
"""What follows from another field."""


def shown_settings(config: Config) -> dict[str, Any]:
    """Values for JSON by the flag's name (`max-conns`), in their alphabetical order."""
    shown: dict[str, Any] = {name: _plain(getattr(config, name)) for name in SHOWN}
    shown |= {name: "set" if getattr(config, name) else None for name in WITHHELD}
    shown["net"] = config.network.name
    shown["worker_port"] = _endpoint(config.worker_host, config.worker_port)
    shown["p2pool_port"] = _endpoint(config.p2pool_host, config.p2pool_port)
    shown["dashd"] = [_daemon(url, config.network.parent.rpc_port) for url in config.dashd]
    shown["merged"] = [_daemon(url, 0) for url in config.merged]
    shown["stats_db"] = "none" if config.stats_db is None else config.stats_db.kind
    shown["alerts"] = _alerts(config.alerts.destinations)
    return {name.replace("_", "-"): shown[name] for name in sorted(shown)}


def _alerts(destinations: Sequence[Destination]) -> str:
    """How many there are of each way: addresses and hosts are nobody's business."""
    counts = Counter(each.kind.value for each in destinations)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "none"


def _plain(value: Any) -> Any:
    """The value as JSON has it. TypeError for what nobody has thought of."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, IpNetwork):
        return str(value)
    if isinstance(value, tuple | frozenset):
        match value:
            case (str(host), int(port)):
                return _endpoint(host, port)
        return sorted(map(_plain, value)) if isinstance(value, frozenset) else [_plain(each) for each in value]
    raise TypeError(f"a setting is of type {type(value).__name__}")


def _endpoint(host: str, port: int) -> str:
    """host:port; the port alone for every interface, the host alone for the usual port."""
    if not host:
        return str(port)
    return host_and_port(host, port) if port else host_in_url(host)


def _daemon(url: DaemonUrl, default_port: int) -> str:
    options = [f"p2p={url.p2p_port}"] if url.p2p_port is not None else []
    options += [f"zmq={url.zmq}"] if url.zmq is not None else []
    return url.address(default_port) + ("?" + "&".join(options) if options else "")
