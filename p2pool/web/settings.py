"""What an operator can set about the web: where it is, access control, and what it shows."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2pool.base.errors import OperatorError
from p2pool.base.hosts import IpNetwork
from p2pool.base.setting_values import read_existing_directory, read_ip_network, read_listen_endpoint, read_path
from p2pool.base.settings import Given, Secret, Shown, setting, switch
from p2pool.web.auth import HashedSecret
from p2pool.web.known_hosts import parse_host_name

MIN_KEY: Final = 16
"""Characters of an API key: sixteen cannot be guessed."""
MAX_KEY: Final = 256
MAX_KEYS: Final = 100
"""Each is compared with at every request that has a key."""
API_KEYS: Final = Secret("P2POOL_API_KEYS", commas=True)
_KEY = re.compile(r"[!-+\--~]+")
"""Printable ASCII except white space and the comma, as headers and lists carry them."""
_SALT_SIZE = 16


def parse_api_keys(given: Sequence[Given]) -> tuple[HashedSecret, ...]:
    """Return the API keys that were given, each once, hashed. Raises OperatorError, which repeats no key."""
    sources: dict[str, str] = {}
    for each in given:
        sources.setdefault(each.text.strip(), each.source)
    if len(sources) > MAX_KEYS:
        raise OperatorError(f"{len(sources)} API keys are given; at most {MAX_KEYS} can be used: remove some")
    for key, source in sources.items():
        if not MIN_KEY <= len(key) <= MAX_KEY or not _KEY.fullmatch(key):
            raise OperatorError(
                f"{source}: a key of {len(key)} characters cannot be used; give {MIN_KEY} to {MAX_KEY} printable "
                "ASCII characters without spaces or commas (openssl rand -hex 24 makes a good one)"
            )
    salt = secrets.token_bytes(_SALT_SIZE)
    return tuple(HashedSecret.of(key.encode(), salt) for key in sources)


def read_password(given: Given) -> HashedSecret:
    """Return the hash of USER:PASSWORD. Raises OperatorError, which does not repeat the password."""
    user, colon, password = given.text.partition(":")
    if not colon or not user or not password or not given.text.isprintable() or len(given.text) > MAX_KEY:
        raise OperatorError(
            f"{given.source}: give USER:PASSWORD, printable, together at most {MAX_KEY} characters"
        )
    return HashedSecret.of(given.text.encode("utf-8", "replace"), secrets.token_bytes(_SALT_SIZE))


def _read_origin(given: Given) -> str:
    """Return a site as browsers name it: scheme://host[:port]."""
    if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?", given.text):
        raise given.refused("give a site like https://example.org or http://10.0.0.1:8080")
    return given.text


def _read_host_name(given: Given) -> str:
    return parse_host_name(given.source, given.text)


def _read_globs(given: Given) -> tuple[str, ...]:
    globs = tuple(text.strip() for text in given.text.split(","))
    if not all(text.startswith("/") for text in globs):
        raise given.refused(
            "give paths that begin with a slash, separated by commas, like /metrics,/api/v1/*",
        )
    return globs


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    """Settings of pages, API and metrics. Of keys and the password only hashes are kept."""

    web_port: tuple[str, int] | None = setting(
        None,
        metavar="[ADDR:]PORT",
        read=read_listen_endpoint,
        shown=Shown.VALUE,
        help="serve pages, API and metrics here, and miners only on the worker port",
        default_text="the worker port",
    )
    web_ssl_cert: Path | None = setting(
        None,
        metavar="FILE",
        read=read_path,
        shown=Shown.PRESENCE,
        help="with --web-port: serve HTTPS with this certificate and its chain, in PEM",
    )
    web_ssl_key: Path | None = setting(
        None,
        metavar="FILE",
        read=read_path,
        shown=Shown.PRESENCE,
        help="the certificate's private key, in PEM, without a passphrase",
    )
    web_ssl_self_signed: bool = switch(
        help=(
            "with --web-port: serve HTTPS with a self-signed certificate, which is made if there is none (by "
            "default in DATADIR/NET/web-cert.pem)"
        ),
    )
    web_password: HashedSecret | None = setting(
        None,
        metavar="USER:PASSWORD",
        read=read_password,
        secret=Secret("P2POOL_WEB_PASSWORD"),
        shown=Shown.PRESENCE,
        help="require this login (HTTP Basic) for everything",
    )
    api_keys: tuple[HashedSecret, ...] = setting(
        (),
        flag="--api-key",
        metavar="KEY",
        parse_all=parse_api_keys,
        secret=API_KEYS,
        shown=Shown.PRESENCE,
        help=(
            f"API key that admin actions require, at least {MIN_KEY} characters (sent as X-API-Key or "
            "Authorization: Bearer)"
        ),
    )
    api_key_endpoints: tuple[str, ...] = setting(
        (),
        metavar="LIST",
        read=_read_globs,
        shown=Shown.VALUE,
        help=(
            "paths that also require an API key, separated by commas, with the wildcards * and ?, like "
            "/metrics,/api/v1/*"
        ),
    )
    web_trusted_proxy: tuple[IpNetwork, ...] = setting(
        (),
        metavar="CIDR",
        read=read_ip_network,
        collect=tuple,
        shown=Shown.VALUE,
        help="trust X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Prefix from the reverse proxy at this "
        "address or network",
    )
    web_host: frozenset[str] = setting(
        frozenset(),
        metavar="NAME",
        read=_read_host_name,
        collect=frozenset,
        shown=Shown.VALUE,
        help=(
            "a host name under which browsers reach this node. Under any other name, the node rejects live "
            "updates and everything that requires a key or the password; it always accepts this machine's own "
            "name, localhost and IP addresses"
        ),
    )
    web_rate_limit: float = setting(
        200.0,
        metavar="N",
        limits=(0, 1_000_000),
        unit="requests per second",
        shown=Shown.VALUE,
        help=(
            "maximum requests per second from one IPv4 address or IPv6 /64, with bursts of up to 5 seconds' "
            "worth; 0: no limit"
        ),
    )
    ws_allow_origin: frozenset[str] = setting(
        frozenset(),
        metavar="ORIGIN",
        read=_read_origin,
        collect=frozenset,
        shown=Shown.VALUE,
        help="let pages of this site, such as https://example.org, receive live updates (/ws)",
        default_text="this node's own pages only",
    )
    web_static: Path | None = setting(
        None,
        metavar="DIR",
        read=read_existing_directory,
        shown=Shown.PRESENCE,
        help="serve web pages from this directory instead of the built-in ones",
    )
    metrics_max_workers: int = setting(
        100,
        metavar="N",
        limits=(0, 1000),  # a scrape costs 3 ms for each hundred
        shown=Shown.VALUE,
        help="number of workers that /metrics names: those with the highest hash rate",
    )
