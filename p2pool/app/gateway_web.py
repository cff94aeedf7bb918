"""What a gateway shows of itself on its worker port: /healthz and /readyz to everybody, /metrics to those whom the
settings of the web let see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import orjson
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request
from typing_extensions import override

from p2pool.app.config import Config
from p2pool.app.web import web_access
from p2pool.base.environment import Environment
from p2pool.base.time_slice import cooperator
from p2pool.pool_stats import PoolStats
from p2pool.web.health import Missing, liveness, readiness, readiness_status
from p2pool.web.metrics import render_metrics
from p2pool.web.request import WebRequest
from p2pool.web.resources import GetResource, StatusAndBody, answer_later
from p2pool.web.site import METRICS_TYPE, GuardedSite

PERIOD: Final = 1.0
"""Seconds for which a text of /metrics is served: one with ten thousand workers takes 100 ms."""


def gateway_site(
    environment: Environment,
    config: Config,
    *,
    stats: PoolStats,
    health: Callable[[], dict[str, object]],
    missing: Callable[[], Sequence[Missing]],
) -> GuardedSite:
    """Return the site of a gateway. `health` returns what /healthz says besides that it is alive, unless the
    web is restricted: it may name addresses. `missing` is what keeps miners from getting work, for /readyz."""
    root = Resource()
    root.putChild(b"", _Hint())
    root.putChild(b"healthz", _Health(health))
    root.putChild(b"readyz", _Readiness(missing))
    root.putChild(b"metrics", _Metrics(MetricsText(environment, stats, config.metrics_max_workers)))
    return GuardedSite(environment, root, web_access(config))


class _Hint(GetResource):
    """The resource that tells people who look for pages here where they are."""

    content_type = b"text/plain; charset=utf-8"

    @override
    def answer(self, request: Request) -> StatusAndBody:
        return (
            200,
            b"This is a gateway of a p2pool-dash node, which has the pages; here are /healthz, /readyz and "
            b"/metrics\n",
        )


class _Health(GetResource):
    """The resource that answers /healthz."""

    content_type = b"application/json"

    def __init__(self, health: Callable[[], dict[str, object]]) -> None:
        super().__init__()
        self._health = health

    @override
    def answer(self, request: Request) -> StatusAndBody:
        details = self._health() if isinstance(request, WebRequest) and request.is_open else {}
        return 200, orjson.dumps(liveness() | details)


class _Readiness(GetResource):
    """The resource that answers /readyz."""

    def __init__(self, missing: Callable[[], Sequence[Missing]]) -> None:
        super().__init__()
        self._missing = missing

    @override
    def answer(self, request: Request) -> StatusAndBody:
        answer = readiness(self._missing())
        return readiness_status(answer), orjson.dumps(answer)


class _Metrics(GetResource):
    """The resource that answers /metrics."""

    content_type = METRICS_TYPE

    def __init__(self, text: MetricsText) -> None:
        super().__init__()
        self._text = text

    @override
    def render_GET(self, request: Request) -> bytes | int:
        text = self._text.newest()
        return answer_later(request, self.content_type, text.addCallback(lambda body: (200, body)))


class MetricsText:
    """The text of /metrics, made when it is requested, in steps between which miners have their turn, and once for
    all who request it meanwhile or soon after."""

    def __init__(self, environment: Environment, stats: PoolStats, max_workers: int) -> None:
        self._environment = environment
        self._stats = stats
        self._max_workers = max_workers
        self._text = b""
        self._made: float | None = None
        """When the newest text was made, by the clock that never steps."""
        self._cooperator = cooperator(environment)
        self._waiting: list[Deferred[bytes]] = []
        """Those who wait for the next text. Bound: the connections of browsers."""

    def newest(self) -> Deferred[bytes]:
        """Return a text that is no older than PERIOD."""
        if self._made is not None and self._environment.monotonic() - self._made < PERIOD:
            return succeed(self._text)
        waiting: Deferred[bytes] = Deferred()
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            making = self._cooperator.cooperate(self._making())
            making.whenDone().addCallbacks(lambda _: self._answer(self._text), self._answer)
        return waiting

    def _making(self) -> Iterator[None]:
        snapshot = yield from self._stats.taking(self._environment.clock())
        yield
        self._text = render_metrics(snapshot, self._max_workers)
        self._made = self._environment.monotonic()

    def _answer(self, result: bytes | Failure | Any) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(result)
