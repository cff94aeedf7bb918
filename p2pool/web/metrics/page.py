"""The text that Prometheus fetches, rendered when it is asked for, and once for each snapshot however many ask."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import CollectorRegistry
from twisted.logger import Logger

from p2pool.pool_stats import PoolSnapshot
from p2pool.web.metrics.chain import CHAIN
from p2pool.web.metrics.dash_core import DASH_CORE
from p2pool.web.metrics.declared import Declared, View
from p2pool.web.metrics.gateways import GATEWAYS
from p2pool.web.metrics.miners import MINERS
from p2pool.web.metrics.other_nodes import OTHER_NODES
from p2pool.web.metrics.process import PROCESS
from p2pool.web.metrics.transition import TRANSITION

_log = Logger(namespace="p2pool.web")

METRICS = (*MINERS, *GATEWAYS, *CHAIN, *TRANSITION, *OTHER_NODES, *DASH_CORE, *PROCESS)
"""All metrics, in the order of the page."""
_RETYPED = [
    (f"\n# TYPE {each.name} untyped\n".encode(), f"\n# TYPE {each.name} {each.kind}\n".encode())
    for each in METRICS
    if isinstance(each, Declared) and each.announced
]
"""Lines of the rendered text and what replaces them. No label can contain one: its newlines are escaped."""


class _Collector:
    """Yields the metrics of one snapshot."""

    def __init__(self, view: View) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """Yield the families of all metrics, as prometheus_client asks for them."""
        for metric in METRICS:
            yield metric.family(self._view)


def render_metrics(snapshot: PoolSnapshot, max_workers: int) -> bytes:
    """Return the exposition text; of workers, the `max_workers` strongest are named."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(View(snapshot, max_workers)))
    text = generate_latest(registry)
    for untyped, typed in _RETYPED:
        text = text.replace(untyped, typed, 1)
    return text


class MetricsPage:
    """The newest text. Snapshots come once a second at most; so do renderings."""

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._snapshot: PoolSnapshot | None = None
        """The newest snapshot, if it was not requested yet."""
        self._text = b""

    def show(self, snapshot: PoolSnapshot) -> None:
        """Render this snapshot from now on."""
        self._snapshot = snapshot

    def text(self) -> bytes:
        """Return the text of the newest snapshot; empty before the first. If rendering fails, the last one
        stays; that is logged once for each snapshot."""
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            try:
                self._text = render_metrics(snapshot, self._max_workers)
            except Exception:
                _log.failure("internal error: rendering /metrics failed; the last text is served")
        return self._text
