"""What a metric is: its name, type, labels and help text, and how its values follow from a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    UntypedMetricFamily,
)

from p2pool.base.histogram import HistogramSnapshot
from p2pool.pool_stats import PoolSnapshot

Sample = tuple[tuple[str, ...], float]
"""The labels' values, and the metric's."""
Times = tuple[tuple[str, ...], HistogramSnapshot]


class MetricType(StrEnum):
    """The types that Prometheus knows."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


_FAMILIES: dict[MetricType, Callable[..., GaugeMetricFamily | CounterMetricFamily]] = {
    MetricType.GAUGE: GaugeMetricFamily,
    MetricType.COUNTER: CounterMetricFamily,
}


@dataclass(frozen=True, slots=True)
class View:
    """What metrics are made of: a snapshot, and how many workers may be named."""

    snapshot: PoolSnapshot
    max_workers: int


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric of numbers. A counter's name ends in _total, unless it is `announced`: one of the first names,
    which stay as they are."""

    name: str
    kind: MetricType
    help: str
    samples: Callable[[View], Iterable[Sample]]
    labels: tuple[str, ...] = ()
    announced: bool = False

    def family(self, view: View) -> Metric:
        """Return the family with its samples now. prometheus_client would give an announced counter the suffix
        _total: it is rendered as untyped, and `page` corrects that line."""
        kind = UntypedMetricFamily if self.announced else _FAMILIES[self.kind]
        family = kind(self.name, self.help, labels=self.labels)
        for labels, value in self.samples(view):
            family.add_metric(labels, value)
        return family


@dataclass(frozen=True, slots=True)
class DeclaredTimes:
    """A metric of durations: buckets, sum and count, in seconds."""

    name: str
    help: str
    times: Callable[[View], Iterable[Times]]
    labels: tuple[str, ...] = ()
    kind: MetricType = MetricType.HISTOGRAM

    def family(self, view: View) -> Metric:
        """Return the family with its samples now."""
        family = HistogramMetricFamily(self.name, self.help, labels=self.labels)
        for labels, times in self.times(view):
            family.add_metric(labels, _buckets(times), times.total)
        return family


def _buckets(times: HistogramSnapshot) -> list[tuple[str, float]]:
    """Return the buckets, cumulative as Prometheus counts."""
    ends = [*(str(bound) for bound in times.bounds), "+Inf"]
    return list(zip(ends, accumulate(times.counts), strict=True))


def gauge(name: str, help_text: str, value: Callable[[PoolSnapshot], float | None]) -> Declared:
    """Declare a gauge without labels; absent while its value is None."""
    return Declared(name, MetricType.GAUGE, help_text, lambda view: _one(value(view.snapshot)))


def counter(name: str, help_text: str, value: Callable[[PoolSnapshot], float]) -> Declared:
    """Declare a counter without labels."""
    return Declared(name, MetricType.COUNTER, help_text, lambda view: _one(value(view.snapshot)))


def announced_counter(name: str, help_text: str, value: Callable[[PoolSnapshot], float]) -> Declared:
    """Declare a counter without labels and without the suffix _total."""
    return Declared(name, MetricType.COUNTER, help_text, lambda view: _one(value(view.snapshot)), announced=True)


def times(name: str, help_text: str, value: Callable[[PoolSnapshot], HistogramSnapshot]) -> DeclaredTimes:
    """Declare a histogram without labels."""
    return DeclaredTimes(name, help_text, lambda view: [((), value(view.snapshot))])


def by_word(
    name: str, kind: MetricType, help_text: str, *, label: str, values: Callable[[PoolSnapshot], dict[str, float]]
) -> Declared:
    """Declare a metric with one label, whose values are words."""

    def samples(view: View) -> Iterator[Sample]:
        for word, value in values(view.snapshot).items():
            yield (word,), value

    return Declared(name, kind, help_text, samples, (label,))


def _one(value: float | None) -> list[Sample]:
    return [] if value is None else [((), value)]
