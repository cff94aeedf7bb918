"""What an operator can set about Dash Core, and about the daemons of chains that are mined with the same work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2pool.base.errors import OperatorError
from p2pool.base.setting_values import PORT_LIMITS, read_path
from p2pool.base.settings import Given, Secret, Shown, read_integer, setting, switch
from p2pool.base.socks import Proxy, read_proxy
from p2pool.dashd.daemon_url import DaemonUrl, check_zmq_address, is_host, parse_daemon_url
from p2pool.networks import NETWORKS

MAX_DAEMONS: Final = 16
"""Each is polled twice a second."""
DASH_CONF: Final = ".dashcore/dash.conf"
"""Dash Core's own settings file, in the home directory of its user."""
MAX_MERGED: Final = 16
"""Daemons of auxiliary chains: each is polled once a second."""


def read_daemon_url(given: Given) -> DaemonUrl:
    """Return a Dash Core named by URL. Raises OperatorError, which repeats no password."""
    return parse_daemon_url(given.source, given.text)


def read_merged_url(given: Given) -> DaemonUrl:
    """Return the daemon of an auxiliary chain, with its port and credentials. Raises OperatorError, which repeats
    no password."""
    url = parse_daemon_url(given.source, given.text)
    shown = f"{given.source} {url.scheme}://{url.host}"  # without what may be a password
    if url.port is None:
        raise OperatorError(
            f"{shown}: name the RPC port of the chain's daemon, as in http://USER:PASSWORD@HOST:PORT"
        )
    if url.user is None and url.cookie is None:
        raise OperatorError(
            f"{shown}: no credentials for the daemon; give http://USER:PASSWORD@HOST:PORT or ...?cookie=FILE"
        )
    if url.p2p_port is not None or url.zmq is not None:
        raise OperatorError(f"{shown}: p2p and zmq are for Dash Core only; leave them out")
    return url


def _each_once(urls: Iterable[DaemonUrl]) -> tuple[DaemonUrl, ...]:
    found: dict[str, DaemonUrl] = {}
    for url in urls:
        address = url.address(0)
        if address in found:
            raise OperatorError(f"--merged {address} is given more than once; name each daemon once")
        found[address] = url
    return tuple(found.values())


def _read_host(given: Given) -> str:
    if not is_host(given.text):
        raise given.refused("this is neither an IP address nor the name of a host")
    return given.text


def _read_zmq_address(given: Given) -> str:
    return check_zmq_address(given.source, given.text)


@dataclass(frozen=True, kw_only=True)
class CredentialOptions:
    """Credentials for the RPC of the single daemon. The command line can also have them as words."""

    rpcuser: str | None = setting(
        None, metavar="NAME", shown=Shown.NEVER, help="user name for dashd's RPC, with --rpcpassword"
    )
    rpcpassword: str | None = setting(
        None,
        metavar="PASSWORD",
        secret=Secret("P2POOL_RPC_PASSWORD"),
        shown=Shown.NEVER,
        help="password for dashd's RPC",
        default_text="from dash.conf, else dashd's .cookie file",
    )


@dataclass(frozen=True, kw_only=True)
class DashdSettings:
    """Settings of the connections with Dash Core. Ports are None for the network's own."""

    dashd_address: str | None = setting(
        None,
        metavar="HOST",
        read=_read_host,
        shown=Shown.VALUE,
        help="the host that dashd runs on",
        default_text="this machine; with --net simnet a simulated dashd in this process; for a gateway none",
    )
    dashd_rpc_port: int | None = setting(
        None,
        metavar="PORT",
        read=read_integer,
        limits=PORT_LIMITS,
        shown=Shown.VALUE,
        help="dashd's RPC port",
        default_text="from dash.conf, else "
        + ", ".join(f"{name} {network.parent.rpc_port}" for name, network in NETWORKS.items()),
    )
    dashd_rpc_ssl: bool = switch(help="use TLS for dashd's RPC")
    dashd_p2p_port: int | None = setting(
        None,
        metavar="PORT",
        read=read_integer,
        limits=PORT_LIMITS,
        shown=Shown.VALUE,
        help="dashd's P2P port",
        default_text=", ".join(f"{name} {network.parent.p2p_port}" for name, network in NETWORKS.items()),
    )
    dashd_config_path: Path | None = setting(
        None,
        metavar="FILE",
        read=read_path,
        shown=Shown.PRESENCE,
        help="the dash.conf to read rpcuser and rpcpassword from",
        default_text=f"~/{DASH_CONF}",
    )
    dashd_zmq: str | None = setting(
        None,
        metavar="ADDRESS",
        read=_read_zmq_address,
        shown=Shown.VALUE,
        help="also receive block notifications by ZMQ: tcp://HOST:PORT of dashd's zmqpubhashblock",
    )
    dashd: tuple[DaemonUrl, ...] = setting(
        (),
        metavar="URL",
        read=read_daemon_url,
        collect=tuple,
        most=MAX_DAEMONS,
        secret=Secret("P2POOL_DASHD_URLS"),
        shown=Shown.COMPOSED,
        help=(
            "URL of a dashd: http://USER:PASSWORD@HOST:PORT, https://..., or http://HOST:PORT/?cookie=FILE; "
            "further options follow the ?, separated by &: p2p=PORT, zmq=tcp://HOST:PORT. The best dashd provides "
            "work; all of them receive found blocks. The local dashd is also used only if one of its own flags or "
            "its RPC password is given"
        ),
    )
    dashd_proxy: Proxy | None = setting(
        None,
        metavar="URL",
        read=read_proxy,
        secret=Secret("P2POOL_DASHD_PROXY_URL"),
        shown=Shown.COMPOSED,
        help="connect with dashd, and with daemons of merged mining, through this SOCKS5 proxy, as --proxy; "
        "addresses of this machine and of private networks are reached directly",
        default_text="none: connect directly, also with --proxy",
    )
    broadcaster_max_peers: int = setting(
        20,
        metavar="N",
        limits=(1, 500),
        shown=Shown.VALUE,
        help="stay connected with this many nodes of the Dash network, to send them found blocks",
    )
    disable_broadcaster: bool = switch(help="send found blocks to your own dashds only")


@dataclass(frozen=True, kw_only=True)
class MergedSettings:
    """Settings of merged mining."""

    merged: tuple[DaemonUrl, ...] = setting(
        (),
        metavar="URL",
        read=read_merged_url,
        collect=_each_once,
        most=MAX_MERGED,
        secret=Secret("P2POOL_MERGED_URLS"),
        shown=Shown.COMPOSED,
        help=(
            "also mine the chain of this daemon, with the same work: http://USER:PASSWORD@HOST:PORT, or "
            "http://HOST:PORT?cookie=FILE. The daemon must support getauxblock"
        ),
    )
