"""How long things take, counted in fixed buckets: constant space, as Prometheus expects it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HistogramSnapshot:
    """`counts` has one entry a bound, and one more for what lies above the last; `total` is the sum of all."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """Return how many values there were."""
        return sum(self.counts)

    def quantile(self, part: float) -> float | None:
        """Return the bound of the bucket below which this part of the values lies; None without values, the last
        bound if it lies above."""
        needed, seen = part * self.count, 0
        if not self.count:
            return None
        for bound, count in zip(self.bounds, self.counts, strict=False):
            seen += count
            if seen >= needed:
                return bound
        return self.bounds[-1]


class Histogram:
    """Counts values into buckets. `bounds` are the buckets' upper ends, rising; a value on one is counted below
    it."""

    __slots__ = ("_counts", "_total", "bounds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, value: float, count: int = 1) -> None:
        """Count one value, or `count` equal ones."""
        self._counts[bisect_left(self.bounds, value)] += count
        self._total += value * count

    def snapshot(self) -> HistogramSnapshot:
        """Return the counts so far."""
        return HistogramSnapshot(self.bounds, tuple(self._counts), self._total)
