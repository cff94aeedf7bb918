"""Webhooks: an event as JSON, POSTed to a URL of the operator's, signed where there is a secret
(docs/alerts.md).

What the other side may do is bounded: a total time, a few redirects, an answer's beginning. A redirect is
followed to the internet at large only, unless it is allowed to lead elsewhere: the URL is the operator's, a
redirect is not. Names are looked up here, and the connection goes to the very address that was judged.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final
from urllib.parse import SplitResult, unquote, unquote_to_bytes, urljoin, urlsplit

import orjson
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from twisted.web.client import Agent, RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from p2pool.alerts.channel import Answer, Delivery, failed, shortened, without_secrets
from p2pool.base.hosts import is_global, parse_address
from p2pool.base.http_client import MeteredEndpoint, RequestBody

TOTAL_TIME: Final = 15.0
"""Seconds that one delivery may take, redirects and all."""
BODY_TIME: Final = 2.0
"""Seconds that an answer's body may take once its status is known; what is not there then does not matter."""
CONNECT_TIME: Final = 10.0
"""Seconds for connecting, with all addresses of a name together."""
MAX_ADDRESSES: Final = 3
"""Addresses of a name that are tried one after another: localhost is ::1 and 127.0.0.1, and many a network has no
way out for IPv6."""
MAX_REDIRECTS: Final = 3
MAX_BODY: Final = 2048
"""Bytes of an answer that are looked at."""
MAX_RECEIVED: Final = 256 * 1024
"""Bytes of an answer's body, on the wire, that a server may send before we hang up: more than comes at once."""
MAX_URL: Final = 2048
USER_AGENT: Final = "p2pool-dash"
FOLLOWED: Final = frozenset({301, 302, 307, 308})
"""The POST goes on as it is. 303 asks for a GET, which would tell nobody anything."""
_AGAIN: Final = frozenset({408, 425, 429})

Address = IPv4Address | IPv6Address
LookUp = Callable[[Callable[[], Any]], Deferred[Any]]
"""Runs a function in a thread that nobody waits for at the end."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart: `url` without credentials; `authorization` is what those make, for its own host alone."""

    url: str = field(repr=False)
    scheme: str
    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)
    secret: str = field(default="", repr=False)
    """What may be one: credentials, path and query, as they stand there and as a server may repeat them."""


class _Refused(Exception):
    """A delivery that ends here; `again` where a later one may go through."""

    def __init__(self, text: str, again: bool = False, status: int | None = None) -> None:
        super().__init__(text)
        self.again = again
        self.status = status


def parse_url(text: str) -> Target:
    """Raises ValueError with what is wrong, without repeating the URL: it may hold a secret."""
    if len(text) > MAX_URL or re.fullmatch(r"[!-~]+", text) is None:
        raise ValueError(f"it must be printable ASCII without spaces, at most {MAX_URL} characters")
    try:
        parts = urlsplit(text)
        given_port, host = parts.port, parts.hostname or ""
    except ValueError:  # which repeats what it stumbled upon: a password with a slash in it
        raise ValueError(
            "its host or port makes no sense; in a login, write / as %2F, [ as %5B and ] as %5D"
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
            raise ValueError(f"no certificate can be made out to {host}") from None
    login, authorization = parts.netloc.rpartition("@")[0], _authorization(parts)
    hidden = f"{login} {parts.path} {parts.query}"
    secret = f"{hidden} {unquote(hidden)} {(authorization or '').removeprefix('Basic ')}"
    return Target(_without_login(parts), parts.scheme, host, port, authorization, secret)


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
    """The signature's header: HMAC-SHA256 of exactly these bytes."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Webhook:
    """One URL. `secret` signs; `allow_private` lets redirects lead anywhere; `look_up` runs the system's
    resolver."""

    def __init__(
        self, reactor: Any, target: Target, secret: str | None, allow_private: bool, look_up: LookUp
    ) -> None:
        self._reactor = reactor
        self._target = target
        self._secret = secret
        self._allow_private = allow_private
        self._look_up = look_up

    async def deliver(self, delivery: Delivery, now: float) -> Answer:
        """Channel's."""
        body = orjson.dumps({**delivery.content, "delivery": delivery.id, "sent": round(now, 3)})
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "X-P2Pool-Event": str(delivery.content.get("event", "")),
            "X-P2Pool-Delivery": delivery.id,
            "X-P2Pool-Timestamp": str(int(now)),
        }
        if self._secret is not None:
            headers["X-P2Pool-Signature"] = sign(self._secret, body)
        posting = Deferred.fromCoroutine(self._post(body, headers))
        deadline = self._reactor.callLater(TOTAL_TIME, posting.cancel)
        try:
            return await posting
        except _Refused as refused:
            return failed(str(refused), refused.status, refused.again)
        except _BROKEN_OFF as error:
            if not deadline.active():
                return failed(f"no answer within {TOTAL_TIME:g} s")
            return failed(f"the connection failed: {_why(error)}")
        finally:
            if deadline.active():
                deadline.cancel()

    async def _post(self, body: bytes, headers: dict[str, str]) -> Answer:
        target, redirected = self._target, False
        for _ in range(MAX_REDIRECTS + 1):
            addresses = await self._addresses_of(target, redirected)
            agent = Agent.usingEndpointFactory(self._reactor, _Endpoints(self._reactor, target, addresses))
            given = dict(headers)
            if target.authorization is not None:
                given["Authorization"] = target.authorization
            response = await agent.request(
                b"POST",
                target.url.encode("ascii"),
                Headers({name: [value] for name, value in given.items()}),
                RequestBody(body),
            )
            if response.code not in FOLLOWED:
                return await self._answer(response)
            response.deliverBody(_Beginning(self._reactor, 0))
            location = _last(response.headers, b"location")
            target, redirected = _redirect(target, location, response.code), True
        raise _Refused(f"more than {MAX_REDIRECTS} redirects")

    async def _addresses_of(self, target: Target, redirected: bool) -> list[Address]:
        """The addresses to connect with, the best first. Raises _Refused."""
        literal = parse_address(target.host)
        found = [literal] if literal is not None else await self._resolve(target)
        if redirected and not self._allow_private:
            allowed = [address for address in found if is_global(address)]
            if not allowed:
                raise _Refused(
                    f"redirected to {target.host} ({found[0]}), which is not on the internet at large: refused "
                    "(--webhook-allow-private allows it)"
                )
            found = allowed
        return list(dict.fromkeys(found))[:MAX_ADDRESSES]

    async def _resolve(self, target: Target) -> list[Address]:
        host, port = target.host, target.port

        def resolve() -> list[Any]:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

        try:
            rows = await self._look_up(resolve)
        except (OSError, UnicodeError):
            rows = []
        addresses = [parse_address(str(row[4][0])) for row in rows]
        found = [address for address in addresses if address is not None]
        if not found:
            raise _Refused(f"the name {host} is not known", again=True)
        return found

    async def _answer(self, response: Any) -> Answer:
        status: int = response.code
        beginning = _Beginning(self._reactor, MAX_BODY)
        response.deliverBody(beginning)
        text = without_secrets((await beginning.complete).decode("utf-8", "replace"), self._target.secret)
        if 200 <= status < 300:
            return Answer(True, text, status)
        again = status in _AGAIN or status >= 500
        said = f"HTTP {status}" + (f": {text}" if text else "")
        return failed(said, status, again, _retry_after(response.headers) if again else 0.0)


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


def _why(error: Exception) -> str:
    """What a library's error says; those that wrap others say nothing themselves."""
    reasons = getattr(error, "reasons", None)
    inner = reasons[0].value if reasons else error
    return shortened(str(inner) or type(inner).__name__)


def _last(headers: Headers, name: bytes) -> str:
    """The last header of a name, empty where there is none: any bytes, which need not be UTF-8."""
    return headers.getRawHeaders(name, [b""])[-1].decode("latin-1")


def _retry_after(headers: Headers) -> float:
    """Seconds that the server wishes; dates are not read."""
    given = _last(headers, b"retry-after")
    return float(given) if re.fullmatch("[0-9]{1,6}", given) else 0.0


def _redirect(target: Target, location: str, status: int) -> Target:
    """Where a redirect leads. Raises _Refused."""
    if not location:
        raise _Refused(f"HTTP {status} without a Location", status=status)
    try:
        new = parse_url(urljoin(target.url, location))
    except ValueError as error:
        raise _Refused(f"redirected to an address that cannot be used: {error}", status=status) from None
    if target.scheme == "https" and new.scheme != "https":
        raise _Refused(f"redirected from https to http ({new.host}): refused", status=status)
    if new.authorization is not None:
        raise _Refused(f"redirected to {new.host} with a login in the address: refused", status=status)
    return new


@implementer(IStreamClientEndpoint)
class _InTurn:
    """Connects with the first of `endpoints` that takes it."""

    def __init__(self, endpoints: list[Any]) -> None:
        self._endpoints = endpoints

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Twisted's."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: Any) -> Any:
        *others, last = self._endpoints
        for endpoint in others:
            with contextlib.suppress(ConnectError):
                return await endpoint.connect(factory)
        return await last.connect(factory)


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """Connects with one of these addresses, whatever the URL says; its certificate must be the host's."""

    def __init__(self, reactor: Any, target: Target, addresses: list[Address]) -> None:
        self._reactor = reactor
        self._target = target
        self._addresses = addresses

    def endpointForURI(self, uri: Any) -> Any:
        """Twisted's."""
        endpoint: Any = _InTurn([self._endpoint(address) for address in self._addresses])
        if self._target.scheme == "https":
            endpoint = wrapClientTLS(optionsForClientTLS(self._target.host), endpoint)
        return MeteredEndpoint(endpoint, MAX_RECEIVED)

    def _endpoint(self, address: Address) -> Any:
        kind = TCP4ClientEndpoint if address.version == 4 else TCP6ClientEndpoint
        timeout = CONNECT_TIME / len(self._addresses)
        return kind(self._reactor, str(address), self._target.port, timeout=timeout)


class _Beginning(Protocol):
    """Takes the first `limit` bytes of an answer, then hangs up; `complete` fires with them, also where no more
    came in time."""

    def __init__(self, reactor: Any, limit: int) -> None:
        self.complete: Deferred[bytes] = Deferred(lambda _: self._finish())
        self._limit = limit
        self._data = b""
        self._over = False
        self._deadline = reactor.callLater(BODY_TIME, self._finish)

    def connectionMade(self) -> None:
        """Twisted's."""
        if not self._limit:
            self._finish()

    def dataReceived(self, data: bytes) -> None:
        """Twisted's."""
        self._data += data[: self._limit - len(self._data)]
        if len(self._data) >= self._limit:
            self._finish()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted's."""
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
