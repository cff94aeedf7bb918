"""What an operator can set about the broker between a node and its gateways."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from p2pool.base.endpoints import host_and_port
from p2pool.base.settings import Given, Secret, Shown, setting, switch

DEFAULT_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
MAX_NAME: Final = 100
"""Characters of a gateway's name."""
_FORM: Final = (
    "give redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss://... for TLS, or "
    "redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT],.../MASTER[/DATABASE]"
)
_NO_HOST: Final = "there is no host (in a password write %2F for /, %3F for ?, %23 for #)"
_OPTIONS: Final = ("ca", "cert", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Where Redis is. With `master`, `hosts` are Sentinels that know the address of the master of that name."""

    hosts: tuple[tuple[str, int], ...]
    master: str | None = None
    database: int = 0
    tls: bool = False
    ca_file: str | None = None
    """The certificates to trust, in PEM; None for those of the system."""
    certificate_file: str | None = None
    """The certificate that a server with `tls-auth-clients yes` demands, in PEM; `key_file` has its key."""
    key_file: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return the URL without credentials."""
        scheme = ("rediss" if self.tls else "redis") + ("+sentinel" if self.master is not None else "")
        hosts = ",".join(host_and_port(host, port) for host, port in self.hosts)
        path = f"/{self.database}" if self.master is None else f"/{self.master}/{self.database}"
        return f"{scheme}://{hosts}{path}"


def read_broker_address(given: Given) -> BrokerAddress:
    """Return the address that a URL names. Raises OperatorError, which does not repeat the URL: it may hold a
    password."""
    try:
        return _parse(given.text)
    except ValueError as error:
        raise given.refused(f"{error}; {_FORM}") from None


def _parse(text: str) -> BrokerAddress:
    scheme, separator, rest = text.partition("://")
    name, plus, kind = scheme.partition("+")
    if not separator or name not in ("redis", "rediss") or (plus and kind != "sentinel"):
        raise ValueError("this is not a URL of Redis")
    # Newer versions of urlsplit reject a list of hosts that has an IPv6 address in it.
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    parts = urlsplit("//_" + rest.removeprefix(authority))
    login, _, places = authority.rpartition("@")
    user, colon, password = login.partition(":")
    hosts = tuple(_parse_host(place, SENTINEL_PORT if plus else DEFAULT_PORT) for place in places.split(","))
    if len(hosts) > 1 and not plus:
        raise ValueError("several hosts are for redis+sentinel://")
    options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    if options.keys() - set(_OPTIONS):
        raise ValueError("the options are ?ca=FILE&cert=FILE&key=FILE")
    if options and name != "rediss":
        raise ValueError("files of certificates are for TLS: rediss://")
    if ("cert" in options) != ("key" in options):
        raise ValueError("cert=FILE and key=FILE belong together")
    path = [unquote(part) for part in parts.path.strip("/").split("/") if part]
    master = path.pop(0) if plus and path else None
    if plus and master is None:
        raise ValueError("the name of the master is missing")
    if len(path) > 1 or (path and not path[0].isascii()) or (path and not path[0].isdigit()):
        raise ValueError("the database is not a number")
    return BrokerAddress(
        hosts=hosts,
        master=master,
        database=int(path[0]) if path else 0,
        tls=name == "rediss",
        ca_file=options.get("ca"),
        certificate_file=options.get("cert"),
        key_file=options.get("key"),
        user=unquote(user) or None if colon else None,
        password=unquote(password) if colon else (unquote(user) or None),
    )


def _parse_host(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit("//" + text)
    if not parts.hostname or parts.path or parts.query:
        raise ValueError(_NO_HOST)
    return parts.hostname, parts.port or port


def _read_name(given: Given) -> str:
    """Return the name of a gateway. Raises OperatorError."""
    if not given.text.isprintable() or not 0 < len(given.text) <= MAX_NAME:
        raise given.refused(f"give up to {MAX_NAME} printable characters")
    return given.text


@dataclass(frozen=True, kw_only=True)
class BrokerSettings:
    """Settings of the broker."""

    broker: BrokerAddress | None = setting(
        None,
        metavar="URL",
        read=read_broker_address,
        secret=Secret("P2POOL_BROKER"),
        shown=Shown.COMPOSED,
        help="share the work with gateways through this Redis 7 or Valkey: redis://[USER:PASSWORD@]HOST[:PORT], "
        "rediss:// for TLS (options: ?ca=FILE&cert=FILE&key=FILE), or redis+sentinel://HOST,HOST,.../MASTER or "
        "rediss+sentinel://... (needs the packages redis and msgspec)",
        default_text="no gateways",
    )
    gateway_name: str | None = setting(
        None,
        metavar="NAME",
        read=_read_name,
        shown=Shown.VALUE,
        help="the name of this gateway, unlike that of any other one of its pool",
        default_text="HOST:PORT",
    )
    gateways: int = setting(
        0,
        metavar="N",
        limits=(0, 64),
        shown=Shown.VALUE,
        help="start so many gateways on this machine, which share the worker port and serve the miners in place "
        "of the node; needs --broker and --web-port",
    )
    share_port: bool = switch(
        help="share the worker port and the TLS port with other gateways on this machine that run as the same "
        "user (SO_REUSEPORT)",
    )
    supervised: bool = switch(
        help="run as the child of another program: stop when standard input ends, and print a line to standard "
        "output every 5 seconds",
    )
