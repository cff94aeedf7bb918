"""Access control and rate limits: one decision for each request, made before anything else is done for it. Pure:
facts and the time in, a decision out. `request` asks, `settings` come from flags, and figures are for
/web_rate_stats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import unquote_to_bytes

from twisted.logger import Logger

from p2pool.base.bounded import BoundedDict
from p2pool.base.hosts import IpNetwork, host_key, is_in
from p2pool.base.text import printable
from p2pool.web.auth import HashedSecret, find_key, presented_key, presented_login
from p2pool.web.client_address import client_address
from p2pool.web.health import HEALTH_PATHS
from p2pool.web.known_hosts import KnownHosts
from p2pool.web.rate_limit import HostBuckets
from p2pool.web.settings import WebSettings

ADMIN_PREFIX = "/api/v1/admin"
"""Everything below this path is an action, and always needs a key."""
LIVE_PATH = "/ws"
"""Browsers let pages of any site connect there; it is open to pages of this node's own hosts only."""
BURST_SECONDS, MIN_BURST = 5, 10
"""A host may ask for what it has not asked for in the last seconds, and always for a page with all its parts."""
WRONG_TRIES, WRONG_TRY_SECONDS = 10, 6.0
"""Wrong keys or passwords that a host may give in a row; then one in this time."""
WORST_HOSTS = 20
_LOG_PERIOD = 60.0
_LOGGED_HOSTS = 1000
_MAX_SEGMENTS = 64
"""Of a path; none here has more than a few."""
HOW_TO_CONFIGURE = (
    "this node has no API key, which actions require: start it with --api-key KEY, --api-key-file FILE or the "
    "environment variable P2POOL_API_KEYS, and send the key as X-API-Key or Authorization: Bearer"
)
_log = Logger(namespace="p2pool.web")

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who may use the web. `key_endpoints` are globs of paths that need one of the `keys`; `rate_limit` is
    requests a second of one host, 0 for no limit; `trusted_proxies` are believed about the client's address and
    the name and path under which it asked; `host_names` are those of this node in addition to IP addresses and
    localhost."""

    keys: tuple[HashedSecret, ...] = ()
    key_endpoints: tuple[str, ...] = ()
    password: HashedSecret | None = None
    rate_limit: float = WebSettings.web_rate_limit
    trusted_proxies: tuple[IpNetwork, ...] = ()
    host_names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Admitted:
    """The decision to admit a request. `key` is the fingerprint of the key that was presented; `is_open` if
    anybody may read the answer, scripts of other sites included."""

    client: str
    key: str | None
    is_open: bool


@dataclass(frozen=True, slots=True)
class AccessDenied:
    """The decision to refuse a request: an HTTP status and an error, `code` for programs and `message` for
    people."""

    status: int
    code: str
    message: str
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class WebHostFigures:
    """A host (IPv6: its /64) and how many of its requests were refused for coming too fast."""

    host: str
    limited: int


@dataclass(frozen=True, slots=True)
class WebRateFigures:
    """What /web_rate_stats shows. `rate` is requests a second and `burst` requests at once, both of one host
    and None without a limit; `requests` are all since the start, of which `limited` came too fast,
    `wrong_credentials` had a wrong key or password, and `throttled_credentials` came after too many of those.
    `worst` are the hosts that were limited most, the worst first."""

    rate: float | None
    burst: float | None
    requests: int
    limited: int
    wrong_credentials: int
    throttled_credentials: int
    hosts: int
    worst: tuple[WebHostFigures, ...]


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """The facts of a request. `path` is as it came, without the query; `values` gives those of a header, by its
    name in small letters, in the order in which they came."""

    peer: str
    path: bytes
    values: Callable[[str], Sequence[str]]

    def header(self, name: str) -> str | None:
        """Return the last value of a header; None if there is none."""
        values = self.values(name)
        return values[-1] if values else None


class Access:
    """Decides about requests. Bound: hosts that are remembered (`rate_limit.MAX_HOSTS`)."""

    def __init__(self, settings: AccessSettings) -> None:
        self.settings = settings
        self._hosts = KnownHosts(settings.host_names)
        rate = settings.rate_limit
        self._requests = HostBuckets(rate, max(MIN_BURST, rate * BURST_SECONDS)) if rate else None
        self._wrong = HostBuckets(1 / WRONG_TRY_SECONDS, WRONG_TRIES)
        self._count = self._wrong_count = self._throttled = 0
        self._logged: BoundedDict[tuple[str, str], float] = BoundedDict(_LOGGED_HOSTS)
        """When each (host, kind of line) was logged last."""

    def trusts(self, peer: str) -> bool:
        """Return whether a connection from this address is a trusted proxy's."""
        return is_in(peer, self.settings.trusted_proxies)

    def judge(self, asked: AccessRequest, now: float) -> Admitted | AccessDenied:
        """Decide whether to admit a request. `now` in seconds, from any origin."""
        settings = self.settings
        self._count += 1
        client = asked.peer
        if settings.trusted_proxies:
            client = client_address(client, asked.values("x-forwarded-for"), settings.trusted_proxies)
        host = host_key(client)
        if self._requests is not None:
            wait = self._requests.take(host, now)
            if wait:
                return _too_many(wait, f"more than {settings.rate_limit:g} requests per second from {host}")
        if asked.path in HEALTH_PATHS:  # orchestrators have no credentials
            return Admitted(client, None, settings.password is None and not settings.key_endpoints)
        paths = _covered_by(asked.path)
        is_admin = ADMIN_PREFIX in paths
        needs_key = self._needs_key(paths)
        is_open = settings.password is None and not settings.key_endpoints and not is_admin
        if needs_key or settings.password is not None or LIVE_PATH in paths:
            stranger = self._hosts.stranger(
                asked.values("host"), asked.values("x-forwarded-host") if self.trusts(asked.peer) else ()
            )
            if stranger is not None:  # before keys and passwords are compared: none can be tried from there
                return self._wrong_host(printable(stranger, 100), host, now)
        if not needs_key and settings.password is None:
            return Admitted(client, None, is_open)
        if is_admin and not settings.keys:
            return AccessDenied(403, "no_api_key_configured", HOW_TO_CONFIGURE)
        return self._by_credentials(asked, client=client, host=host, needs_key=needs_key, now=now)

    def _needs_key(self, paths: Sequence[str]) -> bool:
        return ADMIN_PREFIX in paths or any(
            fnmatchcase(path, glob) for glob in self.settings.key_endpoints for path in paths
        )

    def watchable(self, admitted: Admitted | None, views: frozenset[str]) -> frozenset[str]:
        """Return those of the views, named by their paths, that a client may watch live: a view that needs a
        key by itself needs one here as well."""
        if admitted is not None and admitted.key is not None:
            return views
        return frozenset(view for view in views if not self._needs_key(_covered_by(b"/" + view.encode())))

    def _by_credentials(
        self, asked: AccessRequest, *, client: str, host: str, needs_key: bool, now: float
    ) -> Admitted | AccessDenied:
        settings = self.settings
        authorization = asked.header("authorization")
        key = presented_key(asked.header("x-api-key"), authorization)
        login = presented_login(authorization)
        if key is None and (needs_key or login is None):
            return _key_wanted() if needs_key else _password_wanted()
        wait = self._wrong.wait(host, now)
        if wait:  # before anything is compared: guesses are not answered
            self._throttled += 1
            return _too_many(wait, f"too many wrong keys or passwords from {host}")
        if key is not None:
            found = find_key(settings.keys, key)
            if found is not None:  # it also opens what the password opens
                return Admitted(client, found.fingerprint, False)
            self._wrong_try(host, "API key", now)
            return _key_wanted(wrong=True)
        if settings.password is not None and login is not None and settings.password.matches(login):
            return Admitted(client, None, False)
        self._wrong_try(host, "password", now)
        return _password_wanted(wrong=True)

    def _wrong_try(self, host: str, what: str, now: float) -> None:
        self._wrong_count += 1
        self._wrong.take(host, now)
        if self._is_news(host, "credentials", now):
            _log.warn("web client {host} presented a wrong {what}", host=host, what=what)

    def _wrong_host(self, name: str, host: str, now: float) -> AccessDenied:
        if self._is_news(host, "host name", now):
            _log.warn(
                "rejected a web request from {host} for the host name {name}: if that is a name of this node, "
                "start it with --web-host {name}; if not, this may be a DNS rebinding attack",
                host=host,
                name=name,
            )
        message = f"{name} is not a known host name of this node; its operator can add it with --web-host"
        return AccessDenied(403, "unknown_host", message)

    def _is_news(self, host: str, kind: str, now: float) -> bool:
        """Return whether no line of this kind about this host was logged within the last minute, and note that
        one is."""
        key = host, kind
        if 0 <= now - self._logged.get(key, -math.inf) < _LOG_PERIOD:
            return False
        self._logged.pop(key, None)
        self._logged[key] = now
        return True

    def figures(self) -> WebRateFigures:
        """Return the counts since the start."""
        limiter = self._requests
        return WebRateFigures(
            rate=None if limiter is None else limiter.rate,
            burst=None if limiter is None else limiter.burst,
            requests=self._count,
            limited=0 if limiter is None else limiter.denied,
            wrong_credentials=self._wrong_count,
            throttled_credentials=self._throttled,
            hosts=0 if limiter is None else len(limiter),
            worst=()
            if limiter is None
            else tuple(WebHostFigures(host, denied) for host, denied in limiter.worst(WORST_HOSTS)),
        )


def _covered_by(path: bytes) -> list[str]:
    """Return the path as resources are looked up, and all paths above it: a glob that protects /web protects
    /web/share as well, however it is written."""
    # The search for a resource skips the first byte, whatever it is: so does this.
    text = "/" + unquote_to_bytes(path[1:]).decode("utf-8", "replace")
    segments = text.split("/", _MAX_SEGMENTS + 1)
    covered = [text]
    if len(segments) > 2:
        covered += ["/".join(segments[:end]) for end in range(2, min(len(segments), _MAX_SEGMENTS))]
    return covered


def _too_many(wait: float, message: str) -> AccessDenied:
    seconds = max(1, math.ceil(wait))
    return AccessDenied(
        429,
        "too_many_requests",
        printable(f"{message}; try again in {seconds} s", 200),
        ((b"Retry-After", b"%d" % seconds),),
    )


def _key_wanted(wrong: bool = False) -> AccessDenied:
    message = "send an API key of this node as X-API-Key or Authorization: Bearer"
    return AccessDenied(
        401,
        "wrong_api_key" if wrong else "api_key_required",
        f"the API key is wrong; {message}" if wrong else message,
        ((b"WWW-Authenticate", b'Bearer realm="p2pool"'),),
    )


def _password_wanted(wrong: bool = False) -> AccessDenied:
    message = "this node's pages require a user and password (HTTP Basic)"
    return AccessDenied(
        401,
        "wrong_password" if wrong else "password_required",
        f"user or password is wrong; {message}" if wrong else message,
        ((b"WWW-Authenticate", b'Basic realm="p2pool", charset="UTF-8"'),),
    )
