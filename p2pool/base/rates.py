"""Rates in constant space: what happened in the last N seconds, whatever the number of events."""

from __future__ import annotations

import math


class WindowedSum:
    """The sum of amounts over a sliding window, kept in a ring of buckets.

    `window` seconds are split into `buckets`; memory and the cost of `add` do not depend on how much is
    added. The figure lags by at most one bucket. A clock that steps back by more than the window resets it.
    """

    __slots__ = ("_buckets", "_epoch", "_first", "_span", "_total", "window")

    def __init__(self, window: float, buckets: int = 30) -> None:
        self.window = window
        self._span = window / buckets
        self._buckets = [0.0] * buckets
        self._epoch: int | None = None
        self._first: float | None = None
        self._total = 0.0

    def _advance(self, now: float) -> None:
        epoch = int(now / self._span)
        if self._epoch is None:
            self._epoch = epoch
            return
        steps = epoch - self._epoch
        size = len(self._buckets)
        if steps <= -size:
            # The clock was set back by more than the window: waiting for it would add up for hours or years.
            self._buckets = [0.0] * size
            self._total, self._epoch, self._first = 0.0, epoch, None
            return
        if steps <= 0:
            return
        if steps >= size:
            self._buckets = [0.0] * size
        else:
            for i in range(self._epoch + 1, epoch + 1):
                self._buckets[i % size] = 0.0
        # Summed again: subtracting would let small amounts drown in the rounding of large ones, for good.
        self._total = sum(self._buckets)
        self._epoch = epoch

    def add(self, amount: float, now: float, *, span: float = 0.0) -> None:
        """Count `amount` at `now` (seconds; a clock that steps back counts into the newest bucket). It may be that
        of the `span` seconds before, which then count as passed."""
        self._advance(now)
        if self._first is None or now - span < self._first:
            self._first = now - span
        if self._epoch is not None:
            self._buckets[self._epoch % len(self._buckets)] += amount
            self._total += amount

    def total(self, now: float) -> float:
        """Return the sum over the window that ends at `now`."""
        self._advance(now)
        return self._total

    def rate(self, now: float) -> float:
        """Return the amount a second over the window or, before it has passed once, over the time since the first
        add."""
        total = self.total(now)
        if self._first is None:
            return 0.0
        return total / min(self.window, max(now - self._first, self._span))


class DecayingRates:
    """Smoothed rates over several windows at once, in constant space: what is `window` seconds old counts 1/e.

    `add` costs one addition; the windows are brought up to date when `rates` is called. Before a window has passed
    once, its rate is that of the time since the start.
    """

    __slots__ = ("_pending", "_rates", "_start", "_updated", "_windows")

    def __init__(self, windows: tuple[float, ...], now: float) -> None:
        self._windows = windows
        self._rates = [0.0] * len(windows)
        self._pending = 0.0
        self._start = self._updated = now

    def add(self, amount: float) -> None:
        """Count `amount` at the current time."""
        self._pending += amount

    def rates(self, now: float) -> tuple[float, ...]:
        """Return the amount a second, one figure for each window."""
        elapsed = now - self._updated
        if elapsed < 0:
            # The clock was set back: what was counted so far is taken as if it had come until now.
            self._start += elapsed
            self._updated = now
        elif elapsed >= 1:
            rate, exp = self._pending / elapsed, math.exp
            self._rates = [
                rate + (before - rate) * exp(-elapsed / window)
                for before, window in zip(self._rates, self._windows, strict=True)
            ]
            self._pending, self._updated = 0.0, now
        age = max(self._updated - self._start, 1.0)
        expm1 = math.expm1
        return tuple(
            [rate / -expm1(-age / window) for rate, window in zip(self._rates, self._windows, strict=True)]
        )
