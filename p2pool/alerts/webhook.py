"""Webhooks: an event as JSON, POSTed to a URL of the operator's, signed if there is a secret (docs/alerts.md).

What the server may do is bounded: a total time, a few redirects, the beginning of a response. A redirect is
followed only to a globally reachable address, unless it is allowed to lead elsewhere: the URL is the operator's, a
redirect is not. A URL that a stranger gave (`miners`) may itself lead only to such an address, and none of its
redirects is followed. Names are resolved here, and the connection goes to the very address that was checked.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final
from urllib.parse import SplitResult, unquote, unquote_to_bytes, urljoin, urlsplit

import orjson
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from twisted.web.client import Agent, RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from typing_extensions import override
from zope.interface import implementer

from p2pool.alerts.channel import (
    DeliveryOutcome,
    DeliveryResult,
    OutboxEntry,
    delivered,
    failed,
    shortened,
    without_secrets,
)
from p2pool.base.endpoints import is_of_this_machine
from p2pool.base.environment import Environment, IReactor
from p2pool.base.hosts import is_global, parse_address
from p2pool.base.http_client import MeteredEndpoint, RequestBody
from p2pool.base.outgoing import endpoint_to, proxy_for, resolve

TOTAL_TIME: Final = 15.0
"""Seconds that one delivery may take, redirects and all."""
BODY_TIME: Final = 2.0
"""Seconds that a response's body may take once its status is known; the rest is ignored."""
CONNECT_TIME: Final = 10.0
"""Seconds for connecting, with all addresses of a name together."""
MAX_ADDRESSES: Final = 3
"""Addresses of a name that are tried one after another: localhost is ::1 and 127.0.0.1, and many networks have no
IPv6 route."""
MAX_REDIRECTS: Final = 3
MAX_BODY: Final = 2048
"""Bytes of a response that are read."""
MAX_RECEIVED: Final = 256 * 1024
"""Bytes of a response's body, on the wire, that a server may send before this node disconnects; more than arrives
at once."""
MAX_URL: Final = 2048
USER_AGENT: Final = "p2pool-dash"
FOLLOWED: Final = frozenset({301, 302, 307, 308})
"""The POST is repeated as it is. 303 asks for a GET, which would deliver nothing."""
_TEMPORARY: Final = frozenset({408, 425, 429})

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A parsed URL: `url` without credentials; `authorization` is the header made of those, for its own host
    only."""

    url: str = field(repr=False)
    scheme: str
    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)
    secret: str = field(default="", repr=False)
    """Parts that may be secret: credentials, path and query, as they are there and as a server may repeat them."""


class _Rejected(Exception):
    """An attempt that ends here; `outcome` says whether a later one may succeed."""

    def __init__(
        self, text: str, outcome: DeliveryOutcome = DeliveryOutcome.REJECTED, status: int | None = None
    ) -> None:
        super().__init__(text)
        self.outcome = outcome
        self.status = status


def parse_url(text: str) -> WebhookUrl:
    """Parse a URL. Raises ValueError with what is wrong, without repeating the URL: it may hold a secret."""
    if len(text) > MAX_URL or re.fullmatch(r"[!-~]+", text) is None:
        raise ValueError(f"it must be printable ASCII without spaces, at most {MAX_URL} characters")
    try:
        parts = urlsplit(text)
        given_port, host = parts.port, parts.hostname or ""
    except ValueError:  # its text may repeat a part of a password with a slash in it
        raise ValueError(
            "its host or port is malformed; in a login, write / as %2F, [ as %5B and ] as %5D"
        ) from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("it must begin with http:// or https://")
    port = given_port or (443 if parts.scheme == "https" else 80)
    if not _is_host(host):
        raise ValueError("it names no host")
    if parts.scheme == "https":
        try:
            optionsForClientTLS(host)
        except ValueError:
            raise ValueError(f"no certificate can be issued for {host}") from None
    login, authorization = parts.netloc.rpartition("@")[0], _authorization(parts)
    hidden = f"{login} {parts.path} {parts.query}"
    secret = f"{hidden} {unquote(hidden)} {(authorization or '').removeprefix('Basic ')}"
    return WebhookUrl(_without_login(parts), parts.scheme, host, port, authorization, secret)


def _is_host(host: str) -> bool:
    name = re.fullmatch(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_-]{1,63})*\.?", host)
    return parse_address(host) is not None or name is not None


def _without_login(parts: SplitResult) -> str:
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()


def _authorization(parts: SplitResult) -> str | None:
    login, at, _ = parts.netloc.rpartition("@")
    if not at:
        return None
    user, _, password = login.partition(":")
    return "Basic " + base64.b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password)).decode()


def sign(secret: str, body: bytes) -> str:
    """Return the value of the signature's header: HMAC-SHA256 of exactly these bytes."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Webhook:
    """The channel to one URL. `secret` signs; `allow_private` lets redirects lead anywhere. Names are resolved
    by the system's resolver in a thread."""

    def __init__(
        self, environment: Environment, target: WebhookUrl, *, secret: str | None, allow_private: bool
    ) -> None:
        self._poster = Poster(environment, target, Trust.OPERATOR_WIDELY if allow_private else Trust.OPERATOR)
        self._secret = secret

    async def deliver(self, entry: OutboxEntry, now: float) -> DeliveryResult:
        """Post the entry's content, signed, and return the result."""
        body, headers = hook_request(entry, now)
        if self._secret is not None:
            headers["X-P2Pool-Signature"] = sign(self._secret, body)
        return await self._poster.post(body, headers)


def hook_request(entry: OutboxEntry, now: float) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers that a webhook is sent, without a signature."""
    body = orjson.dumps({**entry.content, "delivery": entry.id, "sent": round(now, 3)})
    return body, {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "X-P2Pool-Event": str(entry.content.get("event", "")),
        "X-P2Pool-Delivery": entry.id,
        "X-P2Pool-Timestamp": str(int(now)),
    }


class Trust(Enum):
    """Where a URL and its redirects may lead, by who gave it."""

    OPERATOR = auto()
    """Anywhere; its redirects only to globally reachable addresses."""
    OPERATOR_WIDELY = auto()
    """Anywhere, its redirects as well."""
    STRANGER = auto()
    """Only to globally reachable addresses of other machines; redirects are refused."""
    STRANGER_ALLOWED = auto()
    """Anywhere, because the operator named its host; redirects are refused."""


class Poster:
    """Posts to one URL."""

    def __init__(self, environment: Environment, target: WebhookUrl, trust: Trust) -> None:
        self._environment = environment
        self._reactor = environment.reactor
        self._target = target
        self._trust = trust
        self._redirects = MAX_REDIRECTS if trust in (Trust.OPERATOR, Trust.OPERATOR_WIDELY) else 0

    async def post(self, body: bytes, headers: Mapping[str, str]) -> DeliveryResult:
        """Make one attempt, which takes TOTAL_TIME at most, and return its result."""
        posting = Deferred.fromCoroutine(self._post(body, headers))
        deadline = self._reactor.callLater(TOTAL_TIME, posting.cancel)
        try:
            return await posting
        except _Rejected as rejected:
            return failed(str(rejected), rejected.status, outcome=rejected.outcome)
        except _BROKEN_OFF as error:
            if not deadline.active():
                return failed(f"no answer within {TOTAL_TIME:g} s")
            return failed(f"the connection failed: {_why(error)}")
        finally:
            if deadline.active():
                deadline.cancel()

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> DeliveryResult:
        target, redirected = self._target, False
        for _ in range(self._redirects + 1):
            endpoints = _Endpoints(
                self._environment,
                target,
                await self._hosts_of(target, redirected),
                named=self._trust is not Trust.STRANGER,
            )
            agent = Agent.usingEndpointFactory(self._reactor, endpoints)
            given = dict(headers)
            if target.authorization is not None:
                given["Authorization"] = target.authorization
            response = await agent.request(
                b"POST",
                target.url.encode("ascii"),
                Headers({name: [value] for name, value in given.items()}),
                RequestBody(body),
            )
            if response.code not in FOLLOWED or not self._redirects:
                return await self._answer(response)
            response.deliverBody(_Beginning(self._reactor, 0))
            location = _last(response.headers, b"location")
            target, redirected = _redirect(target, location, response.code), True
        raise _Rejected(f"more than {MAX_REDIRECTS} redirects")

    async def _hosts_of(self, target: WebhookUrl, redirected: bool) -> list[str]:
        """Return the addresses to connect to, the best first; for a name that a proxy resolves, the name. Raises
        _Rejected."""
        if self._trust is Trust.STRANGER:
            return await self._public_hosts_of(target)
        checked = redirected and self._trust is Trust.OPERATOR
        proxy = proxy_for(self._environment, target.host, named=True)
        if proxy is not None and parse_address(target.host) is None:
            if checked and target.host != self._target.host:
                raise _Rejected(
                    f"redirected to {target.host}, whose address only the proxy knows: refused "
                    "(--webhook-allow-private allows it)"
                )
            return [target.host]
        found = await self._addresses_of(target, replace(self._environment, proxy=None))
        if checked:
            allowed = [address for address in found if is_global(address)]
            if not allowed:
                raise _Rejected(
                    f"redirected to {target.host} ({found[0]}), which is not globally reachable: refused "
                    "(--webhook-allow-private allows it)"
                )
            found = allowed
        return _in_turn(found)

    async def _public_hosts_of(self, target: WebhookUrl) -> list[str]:
        """Return the addresses of a stranger's URL. Without an address that may be connected to there is no
        connection, nor to a name that only the proxy could resolve. Raises _Rejected."""
        found = await self._addresses_of(target, self._environment)
        if self._environment.proxy is None:
            found = [address for address in found if not is_of_this_machine(address)]
        found = [address for address in found if is_global(address)]
        if not found:
            raise _Rejected("its host is not on the public internet")  # and no word about the network here
        return _in_turn(found)

    async def _addresses_of(self, target: WebhookUrl, environment: Environment) -> list[Address]:
        """Return the addresses of a target's host. Raises _Rejected if it has none."""
        literal = parse_address(target.host)
        if literal is not None:
            return [literal]
        try:
            hosts = await resolve(environment, target.host, target.port)
        except (OSError, UnicodeError, ConnectError):
            hosts = []
        addresses = [parse_address(host) for host in hosts]
        found = [address for address in addresses if address is not None]
        if not found:
            raise _Rejected(f"the name {target.host} cannot be resolved", DeliveryOutcome.RETRY)
        return found

    async def _answer(self, response: Any) -> DeliveryResult:
        status: int = response.code
        beginning = _Beginning(self._reactor, MAX_BODY)
        response.deliverBody(beginning)
        text = without_secrets((await beginning.complete).decode("utf-8", "replace"), self._target.secret)
        if 200 <= status < 300:
            return delivered(text, status)
        is_temporary = status in _TEMPORARY or status >= 500
        answer = f"HTTP {status}" + (f": {text}" if text else "")
        return failed(
            answer,
            status,
            outcome=DeliveryOutcome.RETRY if is_temporary else DeliveryOutcome.REJECTED,
            wait=_retry_after(response.headers) if is_temporary else 0.0,
        )


_BROKEN_OFF = (
    CancelledError,
    ConnectError,
    ConnectionClosed,
    ConnectingCancelledError,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    OSError,
)


def _in_turn(addresses: Iterable[Address]) -> list[str]:
    return [str(address) for address in dict.fromkeys(addresses)][:MAX_ADDRESSES]


def _why(error: Exception) -> str:
    """Return what a library's error says; those that wrap others say nothing themselves."""
    reasons = getattr(error, "reasons", None)
    inner = reasons[0].value if reasons else error
    return shortened(str(inner) or type(inner).__name__)


def _last(headers: Headers, name: bytes) -> str:
    """Return the last header of a name, empty if there is none: any bytes, which need not be UTF-8."""
    return headers.getRawHeaders(name, [b""])[-1].decode("latin-1")


def _retry_after(headers: Headers) -> float:
    """Return the seconds that the server asks for; dates are ignored."""
    given = _last(headers, b"retry-after")
    return float(given) if re.fullmatch("[0-9]{1,6}", given) else 0.0


def _redirect(target: WebhookUrl, location: str, status: int) -> WebhookUrl:
    """Return the target of a redirect. Raises _Rejected."""
    if not location:
        raise _Rejected(f"HTTP {status} without a Location header", status=status)
    try:
        new = parse_url(urljoin(target.url, location))
    except ValueError as error:
        raise _Rejected(f"redirected to an address that cannot be used: {error}", status=status) from None
    if target.scheme == "https" and new.scheme != "https":
        raise _Rejected(f"redirected from https to http ({new.host}): refused", status=status)
    if new.authorization is not None:
        raise _Rejected(f"redirected to {new.host} with a login in the address: refused", status=status)
    return new


@implementer(IStreamClientEndpoint)
class _InTurn:
    """Connects to the first of `endpoints` that accepts."""

    def __init__(self, endpoints: list[Any]) -> None:
        self._endpoints = endpoints

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Connect to one endpoint after another until one accepts."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: Any) -> Any:
        *others, last = self._endpoints
        for endpoint in others:
            with contextlib.suppress(ConnectError):
                return await endpoint.connect(factory)
        return await last.connect(factory)


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """Connects to one of these hosts, whatever the URL says; its certificate must be the URL's host's."""

    def __init__(
        self, environment: Environment, target: WebhookUrl, hosts: list[str], *, named: bool = True
    ) -> None:
        self._environment = environment
        self._target = target
        self._hosts = hosts
        self._named = named

    def endpointForURI(self, uri: Any) -> Any:
        """Return the endpoint for the addresses that were checked."""
        endpoint: Any = _InTurn([self._endpoint(host) for host in self._hosts])
        if self._target.scheme == "https":
            endpoint = wrapClientTLS(optionsForClientTLS(self._target.host), endpoint)
        return MeteredEndpoint(endpoint, MAX_RECEIVED)

    def _endpoint(self, host: str) -> Any:
        timeout = CONNECT_TIME / len(self._hosts)
        return endpoint_to(self._environment, host, self._target.port, timeout=timeout, named=self._named)


class _Beginning(Protocol):
    """Reads the first `limit` bytes of a response, then disconnects; `complete` fires with them, also if fewer
    came in time."""

    def __init__(self, reactor: IReactor, limit: int) -> None:
        self.complete: Deferred[bytes] = Deferred(lambda _: self._finish())
        self._limit = limit
        self._data = b""
        self._over = False
        self._deadline = reactor.callLater(BODY_TIME, self._finish)

    @override
    def connectionMade(self) -> None:
        if not self._limit:
            self._finish()

    @override
    def dataReceived(self, data: bytes) -> None:
        self._data += data[: self._limit - len(self._data)]
        if len(self._data) >= self._limit:
            self._finish()

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._finish()

    def _finish(self) -> None:
        if self._over:
            return
        self._over = True
        if self._deadline.active():
            self._deadline.cancel()
        abort = getattr(self.transport, "abortConnection", None)
        if abort is not None:
            abort()
        if not self.complete.called:
            self.complete.callback(self._data)
