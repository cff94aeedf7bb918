"""All figures that pages show, rendered once a second by a timer, however many look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from twisted.logger import Logger

from p2pool.web.api.blocks import learn_payouts
from p2pool.web.api.endpoint import RequestContext, View
from p2pool.web.api.samples import take_sample
from p2pool.web.api.stratum import render_workers
from p2pool.web.api.table import ALIASES, ENDPOINTS
from p2pool.web.collector import Collector
from p2pool.web.metrics import MetricsPage
from p2pool.web.sources import Snapshot, Sources

_log = Logger(namespace="p2pool.web")

VIEWS: dict[str, View] = {each.key: each.view for each in ENDPOINTS if each.view is not None}
"""By the path that serves them, without its first slash."""
_CHORES: dict[str, Callable[[Snapshot], None]] = {"samples": take_sample, "payouts of blocks": learn_payouts}
"""What is kept of each snapshot before it is shown."""


class Views:
    """The rendered bytes, by path, and the values that they are of. Bound: one rendering of each view."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.context = RequestContext(sources)
        """For look-ups."""
        self.rendered: dict[str, bytes] = {}
        self.values: dict[str, Any] = {}
        """Each is new for each rendering, and never changed."""
        self._collector = Collector(sources)
        self._metrics = MetricsPage(sources.metrics_max_workers)

    @property
    def metrics(self) -> bytes:
        """Return /metrics, rendered on request, once for each snapshot; empty before the first."""
        return self._metrics.text()

    def refresh(self, now: float) -> None:
        """Render all views. A view that fails keeps its last rendering; the failure is logged."""
        for _ in self.refreshing(now):
            pass

    def refreshing(self, now: float) -> Iterator[None]:
        """Do the work of `refresh` in steps: with ten thousand workers, all views at once would delay miners."""
        self._collector.collect()
        pool = yield from self.sources.stats.taking(now)
        self._metrics.show(pool)
        snapshot = Snapshot(self.sources, pool)
        for name, chore in _CHORES.items():
            yield
            try:
                chore(snapshot)
            except Exception:
                _log.failure("internal error: recording {name} failed", name=name)
        try:
            yield from render_workers(snapshot)
        except Exception:
            _log.failure("internal error: rendering the workers failed")
        self.context.newest = snapshot
        for path, view in VIEWS.items():
            yield
            try:
                value = view(snapshot)
                self.rendered[path] = orjson.dumps(value)
                self.values[path] = value
            except Exception:
                _log.failure("internal error: rendering view {path} failed; its last answer is served", path=path)
        for alias, path in ALIASES.items():
            if path in self.rendered:
                self.rendered[alias], self.values[alias] = self.rendered[path], self.values[path]
