"""How an operator names a daemon: `http://USER:PASSWORD@HOST:PORT`, `https://...`, `?cookie=PATH`, `&p2p=PORT`,
`&zmq=ADDRESS`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from twisted.internet.abstract import isIPv6Address

from p2pool.base.endpoints import host_and_port
from p2pool.base.errors import OperatorError
from p2pool.base.paths import parse_path
from p2pool.dashd.credentials import CookieFile, Credentials, CredentialSource, FixedCredentials

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_OPTIONS = ("cookie", "p2p", "zmq")


@dataclass(frozen=True, slots=True)
class DaemonUrl:
    """One daemon's JSON-RPC address. `port` and `p2p_port` are None if the network's own are meant."""

    scheme: str
    host: str
    port: int | None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    cookie: Path | None = None
    p2p_port: int | None = None
    zmq: str | None = None

    def address(self, default_port: int) -> str:
        """Return the address without credentials, fit for logs and for requests."""
        return f"{self.scheme}://{host_and_port(self.host, self.port or default_port)}/"

    def credentials(self, origin: str) -> CredentialSource | None:
        """Return the credentials that it names, or None; `origin` says, for people, where they came from."""
        if self.password is not None:
            return FixedCredentials(Credentials(self.user or "", self.password, origin))
        return None if self.cookie is None else CookieFile(self.cookie)


def parse_daemon_url(flag: str, text: str) -> DaemonUrl:
    """Return the value of `--dashd URL` or `--merged URL`. Raises OperatorError, which never shows a password."""

    def refuse(why: str) -> OperatorError:
        return OperatorError(
            f"{flag} {_without_secrets(text)}: {why}; give http://USER:PASSWORD@HOST:PORT or ...?cookie=FILE "
            "(with %2F, %3F, %23 for /, ?, # in a password)"
        )

    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise refuse("this is not a URL with a port between 1 and 65535") from None
    if parts.scheme not in ("http", "https"):
        raise refuse("it begins with neither http:// nor https://")
    if parts.hostname and not is_host(parts.hostname):
        raise refuse("this is not a host name (give the IP address)")
    if not parts.hostname or parts.path not in ("", "/") or parts.fragment or port == 0:
        raise refuse("it names no host, or more than a host and a port")
    # People write paths as they are: a plus sign is one, and no space.
    options = dict(parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True))
    unknown = [name for name in options if name not in _OPTIONS]
    if unknown:
        named = "" if "@" in parts.query else f" {unknown[0]!r}"  # may be a part of a password
        raise refuse(f"there is no option{named} (only {', '.join(_OPTIONS)})")
    cookie = options.get("cookie")
    if cookie is not None and (parts.username is not None or not cookie):
        raise refuse("either user and password or the path of a cookie file")
    if parts.username is not None and parts.password is None:
        raise refuse("a user without a password")
    return DaemonUrl(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port,
        user=None if parts.username is None else unquote(parts.username, errors="surrogateescape"),
        password=None if parts.password is None else unquote(parts.password, errors="surrogateescape"),
        cookie=None if cookie is None else parse_path(f"{flag} ...?cookie=", cookie),
        p2p_port=_p2p_port(options.get("p2p"), refuse),
        zmq=None if options.get("zmq") is None else check_zmq_address(flag, options["zmq"]),
    )


def _without_secrets(text: str) -> str:
    """Return a URL for an error message. A malformed one may have a password in any place: all before the last @
    may be one, and what is in the place of a port."""
    shown = re.sub(r"^(https?://)?.*@", r"\1...@", text, flags=re.DOTALL)
    return shown if "[" in shown else re.sub(r":(?!//|[0-9]{1,5}(?:[/?]|$))[^/?]*", ":...", shown)


def is_host(name: str) -> bool:
    """Return whether Twisted can connect to it: an IP address, or labels of ASCII letters, digits and hyphens.
    Names with "_", as containers may have, are none."""
    if isIPv6Address(name):
        return True
    return len(name) <= 253 and re.fullmatch(rf"{_LABEL}(\.{_LABEL})*\.?", name) is not None


def _p2p_port(text: str | None, refuse: Callable[[str], OperatorError]) -> int | None:
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise refuse(f"p2p={_without_secrets(text)!r} is not a port between 1 and 65535")
    return int(text)


def check_zmq_address(flag: str, text: str) -> str:
    """Check an address `tcp://HOST:PORT`, as Dash Core's -zmqpubhashblock takes it, and return it. Raises
    OperatorError."""
    match = re.fullmatch(r"tcp://([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})", text)
    if match is None or not 0 < int(match[2]) < 65536 or (match[1][0] == "[" and not _is_ipv6(match[1][1:-1])):
        raise OperatorError(f"{flag}: the ZMQ address {_without_secrets(text)!r} is not tcp://HOST:PORT")
    return text


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
