"""JSON-RPC to Dash Core over persistent connections."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any, Protocol

import orjson
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.task import Cooperator
from twisted.web.client import (
    Agent,
    FileBodyProducer,
    HTTPConnectionPool,
    ResponseFailed,
    ResponseNeverReceived,
    readBody,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from p2pool.dashd.credentials import Credentials, CredentialSource

CONNECTIONS = 4
"""Persistent connections: one is held by the long poll."""
MAX_ANSWER = 64 * 1024 * 1024


class RpcError(Exception):
    """Dash Core answered with an error: `code` and its text."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} (code {code})")
        self.code = code
        self.message = message


class RpcUnavailable(Exception):
    """No usable answer: not listening, timed out, or not JSON-RPC."""


class RpcUnauthorized(RpcUnavailable):
    """The user or the password is wrong."""


class Caller(Protocol):
    """One method: what the rest of this package needs of a client."""

    async def call(self, method: str, *params: Any, timeout: float = ...) -> Any:
        """The result. Raises RpcError, RpcUnavailable."""


class RpcClient:
    """One Dash Core. `url` without credentials; these come from `source` and are read anew when refused."""

    def __init__(self, reactor: Any, url: str, source: CredentialSource) -> None:
        self.url = url
        self._reactor = reactor
        self._source = source
        self._credentials: Credentials | None = None
        self._pool = HTTPConnectionPool(reactor, persistent=True)
        self._pool.maxPersistentPerHost = CONNECTIONS
        # dashd closes idle connections after 30 s; one that it just closed must not cost us a call
        self._pool.cachedConnectionTimeout = 20
        self._pool.retryAutomatically = False
        self._agent = Agent(reactor, connectTimeout=5, pool=self._pool)
        self._cooperator = Cooperator(scheduler=lambda step: reactor.callLater(0, step))
        self._request_id = 0

    async def call(self, method: str, *params: Any, timeout: float = 15.0) -> Any:
        """The result of a method. Raises RpcError, RpcUnauthorized, RpcUnavailable (also after `timeout` s)."""
        for attempt in (1, 2):
            fresh = self._credentials is None
            credentials = self._credentials or self._source.read()
            self._credentials = credentials
            status, body = await self._post(credentials, method, params, timeout)
            if status != 401:
                return _result(status, body)
            # The cookie is rewritten at each start of dashd: read it again, once.
            self._credentials = None
            if fresh or attempt == 2:
                break
        raise RpcUnauthorized(
            f"{self.url} refuses user {credentials.user!r} with the password {credentials.origin}"
        )

    async def _post(
        self, credentials: Credentials, method: str, params: tuple[Any, ...], timeout: float
    ) -> tuple[int, bytes]:
        self._request_id += 1
        body = orjson.dumps({"jsonrpc": "1.0", "id": self._request_id, "method": method, "params": params})
        token = base64.b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()
        headers = Headers({"Content-Type": ["application/json"], "Authorization": ["Basic " + token]})
        request = Deferred.fromCoroutine(self._exchange(headers, body))
        request.addTimeout(timeout, self._reactor)
        try:
            return await request
        except (TimeoutError, CancelledError):
            raise RpcUnavailable(f"{self.url} did not answer {method} within {timeout:g} s") from None
        except (ConnectError, ConnectionClosed, DNSLookupError) as error:
            raise RpcUnavailable(f"{self.url}: {error}") from None
        except (ResponseFailed, ResponseNeverReceived, PotentialDataLoss):
            raise RpcUnavailable(f"{self.url} broke off its answer to {method}") from None

    async def _exchange(self, headers: Headers, body: bytes) -> tuple[int, bytes]:
        producer = FileBodyProducer(BytesIO(body), cooperator=self._cooperator)
        response = await self._agent.request(b"POST", self.url.encode(), headers, producer)
        if isinstance(response.length, int) and response.length > MAX_ANSWER:
            raise RpcUnavailable(f"{self.url}: an answer of {response.length} bytes")
        return response.code, await readBody(response)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.closeCachedConnections()


def _result(status: int, body: bytes) -> Any:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RpcUnavailable(f"HTTP {status} without JSON: {body[:80]!r}") from None
    if not isinstance(answer, dict):
        raise RpcUnavailable(f"HTTP {status} with {type(answer).__name__} in place of an object")
    error = answer.get("error")
    if error is None:
        if "result" not in answer:
            raise RpcUnavailable(f"HTTP {status} with neither result nor error")
        return answer["result"]
    if isinstance(error, dict) and isinstance(error.get("code"), int):
        raise RpcError(error["code"], str(error.get("message", ""))[:500])
    raise RpcUnavailable(f"HTTP {status} with the error {error!r:.200}")
