"""The settings that are public: /api/v1/config and the node's page show them.

Each field of `Config` says how much of it is shown (`base.settings.Shown`); a field that does not say it fails
the tests. Here is the form of the values, and of those that are shown in another form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

from p2pool.app.config import Config
from p2pool.base.endpoints import host_and_port, host_in_url
from p2pool.base.hosts import IpNetwork
from p2pool.base.settings import Shown, shown_of
from p2pool.dashd.daemon_url import DaemonUrl

_SHOWN: Final = shown_of(Config)


def shown_settings(config: Config) -> dict[str, Any]:
    """Return values for JSON by the flag's name (`max-conns`), in their alphabetical order."""
    shown: dict[str, Any] = {}
    for name, how in _SHOWN.items():
        if how is Shown.VALUE:
            shown[name] = _plain(getattr(config, name))
        elif how is Shown.PRESENCE:
            shown[name] = "set" if getattr(config, name) else None
    shown |= {name: compose(config) for name, compose in _COMPOSED.items()}
    return {name.replace("_", "-"): shown[name] for name in sorted(shown)}


def _alerts(config: Config) -> str:
    """Return how many destinations there are of each kind: addresses and hosts are private."""
    counts = Counter(each.kind.value for each in config.alerts.destinations)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "none"


def _plain(value: Any) -> Any:
    """Return the value as JSON has it. Raises TypeError for a type that is not known here."""
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
    """Return host:port; the port alone for every interface, the host alone for the usual port."""
    if not host:
        return str(port)
    return host_and_port(host, port) if port else host_in_url(host)


def _daemon(url: DaemonUrl, default_port: int) -> str:
    """Return a daemon's URL without credentials."""
    options = [f"p2p={url.p2p_port}"] if url.p2p_port is not None else []
    options += [f"zmq={url.zmq}"] if url.zmq is not None else []
    return url.address(default_port) + ("?" + "&".join(options) if options else "")


_COMPOSED: Final[Mapping[str, Callable[[Config], Any]]] = {
    "net": lambda config: config.network.name,
    "worker_port": lambda config: _endpoint(*config.worker_endpoint),
    "p2pool_port": lambda config: _endpoint(*config.p2pool_endpoint),
    "dashd": lambda config: [_daemon(url, config.network.parent.rpc_port) for url in config.dashd],
    "proxy": lambda config: None if config.proxy is None else str(config.proxy),
    "dashd_proxy": lambda config: None if config.dashd_proxy is None else str(config.dashd_proxy),
    "merged": lambda config: [_daemon(url, 0) for url in config.merged],
    "stats_db": lambda config: "none" if config.stats_db is None else config.stats_db.kind,
    "broker": lambda config: None if config.broker is None else str(config.broker),
    "alerts": _alerts,
}
"""What is shown of the fields that are `Shown.COMPOSED`, by the flag's name."""
