"""What an operator can set about miners: where they connect, their difficulty, limits, and TLS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from p2pool.base.hosts import IpNetwork
from p2pool.base.setting_values import read_ip_network, read_listen_endpoint, read_path
from p2pool.base.settings import Shown, read_number, setting, switch
from p2pool.networks import NETWORKS

_DIFFICULTIES = (1e-12, 1e12)
UNREAD_LINES = 4
"""Notify lines that a slow reader may leave unread, however long they are."""


@dataclass(frozen=True, kw_only=True)
class StratumSettings:
    """Settings of the Stratum server. Endpoints are (interface, port)."""

    worker_endpoint: tuple[str, int] = setting(
        ("", 0),  # the network's own port is put in its place
        flag="--worker-port",
        short="-w",
        metavar="[ADDR:]PORT",
        read=read_listen_endpoint,
        shown=Shown.COMPOSED,
        help="listen here for miners and, unless --web-port is given, for browsers",
        default_text="all interfaces, "
        + ", ".join(f"{name} {network.worker_port}" for name, network in NETWORKS.items()),
    )
    share_rate: float = setting(
        10.0,
        short="-s",
        metavar="SECONDS",
        limits=(0.1, 3600),
        unit="seconds",
        shown=Shown.VALUE,
        help="adjust each connection's difficulty so that it submits about once in this time",
    )
    start_difficulty: float | None = setting(
        None,
        metavar="D",
        read=read_number,
        limits=_DIFFICULTIES,
        shown=Shown.VALUE,
        help="difficulty of a new connection, rounded down to a power of two; a miner can request another one "
        "with d=D as its password",
        default_text=", ".join(f"{name} {network.start_difficulty:g}" for name, network in NETWORKS.items()),
    )
    min_difficulty: float | None = setting(
        None,
        metavar="D",
        read=read_number,
        limits=_DIFFICULTIES,
        shown=Shown.VALUE,
        help="never go below this difficulty",
        default_text=", ".join(f"{name} {network.min_difficulty:.2g}" for name, network in NETWORKS.items()),
    )
    max_difficulty: float = setting(
        1_000_000.0,
        metavar="D",
        limits=_DIFFICULTIES,
        shown=Shown.VALUE,
        help="never go above this difficulty",
    )
    max_connections: int = setting(
        10_000,
        metavar="N",
        limits=(1, 1_000_000),
        shown=Shown.VALUE,
        help="maximum number of miner connections",
    )
    max_connections_per_ip: int = setting(
        1000,
        metavar="N",
        limits=(1, 1_000_000),
        shown=Shown.VALUE,
        help="maximum number of miner connections from one IPv4 address or IPv6 /64",
    )
    session_timeout: float = setting(
        3600.0,
        metavar="SECONDS",
        limits=(0, 30 * 86400),
        unit="seconds",
        shown=Shown.VALUE,
        help="a miner that reconnects within this time keeps its session; 0 turns this off",
    )
    ban_duration: float = setting(
        300.0,
        metavar="SECONDS",
        limits=(1, 366 * 86400),
        unit="seconds",
        shown=Shown.VALUE,
        help="how long a misbehaving address is banned",
    )
    ban_allow: tuple[IpNetwork, ...] = setting(
        (),
        metavar="CIDR",
        read=read_ip_network,
        collect=tuple,
        shown=Shown.VALUE,
        help="never ban addresses in this network (--max-connections-per-ip still applies)",
    )
    stratum_proxy_protocol: tuple[IpNetwork, ...] = setting(
        (),
        metavar="CIDR",
        read=read_ip_network,
        collect=tuple,
        shown=Shown.VALUE,
        help="expect a PROXY protocol header (version 1 or 2) on connections from this address or network, such "
        "as a load balancer, and apply limits and bans to the address in it",
    )
    login_time: float = setting(
        30.0,
        metavar="SECONDS",
        limits=(1, 3600),
        unit="seconds",
        shown=Shown.VALUE,
        help="disconnect a miner that has not subscribed and authorized within this time",
    )
    max_line: int = setting(
        8192,
        metavar="BYTES",
        limits=(1024, 1 << 20),
        unit="bytes",
        shown=Shown.VALUE,
        help="disconnect a miner that sends a line longer than this",
    )
    max_unsent: int = setting(
        256 * 1024,
        metavar="BYTES",
        limits=(16384, 1 << 30),
        unit="bytes",
        shown=Shown.VALUE,
        help=f"disconnect a miner that leaves more data than this, and more than {UNREAD_LINES} jobs, unread",
    )
    keepalive: int = setting(
        60,
        metavar="SECONDS",
        limits=(5, 7200),
        unit="seconds",
        shown=Shown.VALUE,
        help="idle time before TCP keep-alive probes are sent, to miners and browsers",
    )
    stratum_ssl_port: tuple[str, int] | None = setting(
        None,
        metavar="[ADDR:]PORT",
        read=read_listen_endpoint,
        shown=Shown.VALUE,
        help="listen here for miners that use TLS (stratum+ssl)",
    )
    ssl_cert: Path | None = setting(
        None,
        metavar="FILE",
        read=read_path,
        shown=Shown.PRESENCE,
        help="with --stratum-ssl-port: the certificate with its chain, in PEM; a renewed one is loaded without a "
        "restart",
    )
    ssl_key: Path | None = setting(
        None,
        metavar="FILE",
        read=read_path,
        shown=Shown.PRESENCE,
        help="the certificate's private key, in PEM, without a passphrase",
    )
    ssl_self_signed: bool = switch(
        help="with --stratum-ssl-port: make a self-signed certificate if there is none (by default in "
        "DATADIR/NET/stratum-cert.pem)",
    )
