"""JSON-RPC to Dash Core over persistent connections."""

from __future__ import annotations

import base64
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed, DNSLookupError
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from typing_extensions import override

from p2pool.base.endpoints import unreachable_hint
from p2pool.base.environment import Environment
from p2pool.base.errors import OperatorError
from p2pool.base.http_client import LimitedEndpoints, RequestBody, ResponseTooLarge
from p2pool.base.text import excerpt, printable
from p2pool.dashd.credentials import Credentials, CredentialSource

CONNECTIONS = 4
"""Persistent connections: one is held by the long poll."""
BLOCK_NOT_FOUND = -5
WARMING_UP = -28
STILL_COMING_UP = frozenset({WARMING_UP, -10, -9})
"""Codes of a daemon that is warming up, in initial download, or without connections: temporary states."""
MAX_ANSWER = 64 * 1024 * 1024
_FRAMING = 64 * 1024
"""Bytes that the framing of an answer in chunks may take besides an eighth of MAX_ANSWER."""
_CONNECT_TIMEOUT = 5.0
_QUEUE_FULL = b"Work queue depth exceeded"
"""What Dash Core sends with HTTP 500 or 503."""


class RpcError(Exception):
    """An error that Dash Core answered with: `code` and its text."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} (code {code})")
        self.code = code
        self.message = message


class RpcUnavailable(Exception):
    """No usable answer: not listening, timed out, or not JSON-RPC."""


class RpcTimeout(RpcUnavailable):
    """No answer within the time given."""


class RpcUnauthorized(RpcUnavailable):
    """The user or the password is wrong."""


class RpcForbidden(RpcUnavailable):
    """Dash Core does not let this machine in, or does not let this user call the method."""


class Caller(Protocol):
    """What the rest of this package needs of a client: one method."""

    async def call(self, method: str, *params: Any, timeout: float = ...) -> Any:
        """Return the result of a method. Raises RpcError, RpcUnavailable."""


class RpcClient:
    """One Dash Core. `url` without credentials; these come from `source` and are read anew when refused. An answer
    has at most `max_answer` bytes (MAX_ANSWER where None is given)."""

    def __init__(
        self, environment: Environment, url: str, source: CredentialSource, *, max_answer: int | None = None
    ) -> None:
        reactor = environment.reactor
        self.url = url
        self._max_answer = max_answer
        self._reactor = reactor
        self._source = source
        self._credentials: Credentials | None = None
        self._pool = HTTPConnectionPool(reactor, persistent=True)
        self._pool.maxPersistentPerHost = CONNECTIONS
        # dashd closes idle connections after 30 s; one that it just closed must not cost a call
        self._pool.cachedConnectionTimeout = 20
        self._pool.retryAutomatically = False
        most = MAX_ANSWER if max_answer is None else max_answer
        endpoints = LimitedEndpoints(environment, _CONNECT_TIMEOUT, most + most // 8 + _FRAMING)
        self._agent = Agent.usingEndpointFactory(reactor, endpoints, self._pool)
        self._request_id = 0
        self._is_let_in = False
        """Whether a call succeeded: what is forbidden then is so by rpcwhitelist."""

    async def call(self, method: str, *params: Any, timeout: float = 15.0) -> Any:
        """Return the result of a method.

        Raises RpcError, RpcUnauthorized, RpcTimeout (after `timeout` s), RpcUnavailable; CancelledError if the
        caller gave up.
        """
        for attempt in (1, 2):
            fresh = self._credentials is None
            credentials = self._credentials = self._credentials or self._read_credentials()
            status, body = await self._post(credentials, method, params, timeout=timeout)
            if status != 401:
                self._check_status(status, body, credentials=credentials, method=method)
                result = _result(status, body)
                self._is_let_in = True
                return result
            # The cookie is rewritten at each start of dashd: read it again, once.
            self._credentials = None
            if fresh or attempt == 2:
                break
        raise RpcUnauthorized(
            f"{self.url} rejects user {credentials.user!r} with the password {credentials.origin}"
        )

    def _check_status(self, status: int, body: bytes, *, credentials: Credentials, method: str) -> None:
        """Raise what the status of an answer without JSON means: RpcForbidden, RpcUnavailable."""
        if status == 403 and not body.startswith(b"{"):
            whom = f"user {credentials.user!r} call it: add {method} to its rpcwhitelist in dash.conf"
            if self._is_let_in:
                raise RpcForbidden(f"{self.url} answered {method} with HTTP 403: it does not let {whom}")
            raise RpcForbidden(
                f"{self.url} answered {method} with HTTP 403: it does not let this machine in (allow it with "
                f"rpcallowip in dash.conf), or does not let {whom}"
            )
        if status == 503 or (status == 500 and _QUEUE_FULL in body[:200]):
            raise RpcUnavailable(
                f"{self.url} answered {method} with HTTP {status}: too many calls are queued; set rpcworkqueue=64 "
                "and rpcthreads=16 in dash.conf"
            )

    def _read_credentials(self) -> Credentials:
        try:
            return self._source.read()
        except OperatorError as error:  # a cookie is missing while dashd is down
            raise RpcUnavailable(str(error)) from None

    async def _post(
        self, credentials: Credentials, method: str, params: tuple[Any, ...], *, timeout: float
    ) -> tuple[int, bytes]:
        self._request_id += 1
        body = orjson.dumps({"jsonrpc": "1.0", "id": self._request_id, "method": method, "params": params})
        # Bytes that are not UTF-8 come from arguments and files as surrogates, and leave as they were.
        secret = f"{credentials.user}:{credentials.password}".encode("utf-8", "surrogateescape")
        token = base64.b64encode(secret).decode()
        headers = Headers({"Content-Type": ["application/json"], "Authorization": ["Basic " + token]})
        request = Deferred.fromCoroutine(self._exchange(headers, body))
        # Not addTimeout: what a cancelled request fails with depends on how far it was (see _was_cancelled).
        deadline = self._reactor.callLater(timeout, request.cancel)
        try:
            return await request
        except (ConnectError, ConnectionClosed, DNSLookupError) as error:
            hint = unreachable_hint(error, urlsplit(self.url).hostname or "")
            raise RpcUnavailable(f"{self.url}: {error}{hint}") from None
        except _BROKEN_OFF as error:
            if not deadline.active():
                raise RpcTimeout(f"{self.url} did not answer {method} within {timeout:g} s") from None
            if _was_cancelled(error):
                raise CancelledError from None
            for reason in getattr(error, "reasons", ()):
                if reason.check(ResponseTooLarge):
                    raise RpcUnavailable(f"{self.url} answered {method} with {reason.value}") from None
            raise RpcUnavailable(f"{self.url} closed the connection during its answer to {method}") from None
        finally:
            if deadline.active():
                deadline.cancel()

    async def _exchange(self, headers: Headers, body: bytes) -> tuple[int, bytes]:
        try:
            response = await self._agent.request(b"POST", self.url.encode(), headers, RequestBody(body))
        except ValueError as error:  # what Twisted raises for an address that it cannot use
            raise RpcUnavailable(f"{self.url} cannot be reached: {error}") from None
        answer = _AnswerBody(self.url, MAX_ANSWER if self._max_answer is None else self._max_answer)
        response.deliverBody(answer)
        return response.code, await answer.complete

    async def close(self) -> None:
        """Close the connections to the daemon."""
        await self._pool.closeCachedConnections()


_BROKEN_OFF = (
    CancelledError,
    ConnectingCancelledError,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
)


def _was_cancelled(error: Exception) -> bool:
    """Return whether a request failed because it was cancelled: Twisted raises that itself or in a wrapper."""
    cancelled = (CancelledError, ConnectingCancelledError)
    return isinstance(error, cancelled) or any(
        reason.check(*cancelled) for reason in getattr(error, "reasons", ())
    )


class _AnswerBody(TwistedProtocol):
    """Collects an answer of at most `limit` bytes; `complete` fires with it. Cancelling it disconnects."""

    def __init__(self, url: str, limit: int) -> None:
        self.complete: Deferred[bytes] = Deferred(lambda _: self._disconnect())
        self._url = url
        self._limit = limit
        self._data = bytearray()
        """Not a list of pieces: an answer in chunks of a byte each would take fifty times its size."""

    def _disconnect(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()

    @override
    def dataReceived(self, data: bytes) -> None:
        if self.complete.called:
            return
        if len(self._data) + len(data) <= self._limit:
            self._data += data
            return
        self._data = bytearray()
        self._disconnect()
        self.complete.errback(RpcUnavailable(f"{self._url}: an answer of more than {self._limit} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End the answer. A body without a length ends with the connection (PotentialDataLoss): JSON shows whether
        it is whole."""
        if self.complete.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.complete.callback(bytes(self._data))
        else:
            self.complete.errback(reason)


def _result(status: int, body: bytes) -> Any:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RpcUnavailable(f"HTTP {status} without JSON: {body[:80]!r}") from None
    if not isinstance(answer, dict):
        raise RpcUnavailable(f"HTTP {status} with {type(answer).__name__} instead of an object")
    error = answer.get("error")
    if error is None:
        if "result" not in answer:
            raise RpcUnavailable(f"HTTP {status} with neither result nor error")
        return answer["result"]
    if isinstance(error, dict) and isinstance(error.get("code"), int):
        message = error.get("message", "")
        raise RpcError(error["code"], printable(message, 500) if isinstance(message, str) else excerpt(message))
    raise RpcUnavailable(f"HTTP {status} with the error {excerpt(error)}")
