"""What an operator can set about the onion service of a node."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.base.endpoints import loopback_address
from p2pool.base.setting_values import read_node_address
from p2pool.base.settings import Given, Secret, Shown, setting, switch

CONTROL_PORT = 9051


def _read_control(given: Given) -> tuple[str, int]:
    host, port = read_node_address(given)
    return host, port or CONTROL_PORT


def _read_password(given: Given) -> str:
    if not given.text.isprintable():
        raise given.refused("give printable characters")
    return given.text


@dataclass(frozen=True, kw_only=True)
class OnionOptions:
    """Settings of the onion service."""

    onion: bool = switch(
        help="publish the port for other nodes as a Tor onion service, through Tor's control port; its key is "
        "DATADIR/NET/onion-key. Other nodes connect to it with -n only: addresses of this kind cannot be passed on"
    )
    onion_stratum: bool = switch(help="publish the port for miners as well (the same address)")
    onion_web: bool = switch(help="publish the pages as well, on port 80 of the same address")
    tor_control: tuple[str, int] = setting(
        (loopback_address(), CONTROL_PORT),
        metavar="ADDR[:PORT]",
        read=_read_control,
        shown=Shown.VALUE,
        help="Tor's control port, for --onion",
        default_text=f"this machine, {CONTROL_PORT}",
    )
    tor_control_password: str | None = setting(
        None,
        metavar="PASSWORD",
        read=_read_password,
        secret=Secret("P2POOL_TOR_CONTROL_PASSWORD"),
        shown=Shown.PRESENCE,
        help="password of Tor's control port",
        default_text="none: prove to know Tor's cookie",
    )
