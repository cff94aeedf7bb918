"""Rates in constant space: what happened in the last N seconds, whatever the number of events.

There are some for each worker. They keep numbers only, so garbage collection need not visit them.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Final

from p2pool.base.acyclic import never_in_cycles

RATE_WINDOW: Final = 600.0
"""Seconds that hash rates are measured over. A process without any event for that long seems to have stopped,
unless its events are rare."""
MEMORY: Final = RATE_WINDOW / 2
"""Seconds after which a RateEstimator remembers 1/e of its events, as long as there are more than RECALL: then its
errors are those of an average over RATE_WINDOW."""
RECALL: Final = 16.0
"""Events that are remembered however long ago they were. Their rate is known within a third or so."""
PRIOR_TIME: Final = 10.0
"""Seconds between two events that a difficulty is meant for: the usual --share-rate."""
SILENT: Final = 8.0
"""Mean intervals without an event after which a process seems to have stopped: by chance once in 3,000."""
LONGEST_WAIT: Final = 86400.0
"""Seconds without an event that count at most."""


class WindowedSum:
    """The sum of amounts over a sliding window, kept in a ring of buckets.

    `window` seconds are split into `buckets`; memory and the cost of `add` do not depend on how much is
    added. The figure lags by at most one bucket. A clock that steps back by more than the window resets it.
    """

    __slots__ = ("_buckets", "_epoch", "_first", "_size", "_span", "_total", "window")

    def __init__(self, window: float, buckets: int = 30) -> None:
        self.window = window
        self._span = window / buckets
        self._size = buckets
        self._buckets = _NONE
        """Empty until the first amount: many members never add any."""
        self._epoch: int | None = None
        self._first: float | None = None
        self._total = 0.0
        never_in_cycles(self)

    @property
    def first(self) -> float | None:
        """Return when the first amount was counted; None without any."""
        return self._first

    def _advance(self, now: float) -> None:
        epoch = int(now / self._span)
        if self._epoch is None:
            self._epoch = epoch
            return
        steps = epoch - self._epoch
        size = self._size
        if steps <= -size:
            # The clock was set back by more than the window: waiting for it would add up for hours or years.
            self._buckets = _NONE
            self._total, self._epoch, self._first = 0.0, epoch, None
            return
        if steps <= 0:
            return
        if steps >= size:
            self._buckets = _NONE
        elif self._buckets:
            for i in range(self._epoch + 1, epoch + 1):
                self._buckets[i % size] = 0.0
        # Summed again: subtracting would let small amounts drown in the rounding of large ones, for good.
        self._total = sum(self._buckets, 0.0)
        self._epoch = epoch

    def add(self, amount: float, now: float, *, span: float = 0.0) -> None:
        """Count `amount` at `now` (seconds; a clock that steps back counts into the newest bucket). It may be that
        of the `span` seconds before, which then count as passed."""
        self._advance(now)
        if self._first is None or now - span < self._first:
            self._first = now - span
        if self._epoch is not None:
            if not self._buckets:
                self._buckets = _zeros(self._size)
            self._buckets[self._epoch % self._size] += amount
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


class RateEstimator:
    """The rate of a Poisson process whose events each stand for an amount, such as the hash rate behind accepted
    submissions, in constant space and time.

    It is a Gamma-Poisson estimate: `rate` is the median of the distribution of what the rate may be; `estimate`
    adds its 5 % and 95 % quantiles. The prior says that any order of magnitude is as likely as any other, up to
    the rate that a difficulty is meant for. What is older than MEMORY seconds fades, unless there are fewer than
    RECALL events. docs/design/hash-rate.md has the reasons, and simulated errors.
    """

    __slots__ = ("_amount", "_count", "_late", "_time", "_updated")

    def __init__(self, now: float) -> None:
        self._amount = 0.0
        self._late = 0.0
        """The part of the amount that came too late."""
        self._count = 0.0
        """Events. All sums fade together, so it is not whole."""
        self._time = 0.0
        """Seconds in which these came, until `_updated`."""
        self._updated = now
        never_in_cycles(self)

    def resume(self, now: float) -> None:
        """Count time from `now` on (seconds of any clock): nobody could cause events since the last one."""
        self._updated = max(self._updated, now)

    def add(self, amount: float, now: float, *, count: float = 1.0, late: float = 0.0, span: float = 0.0) -> None:
        """Count `count` events that stand for `amount` together, `late` of it too late. They may be those of the
        `span` seconds before."""
        elapsed = min(max(now - self._updated, 0.0), LONGEST_WAIT)
        self._updated = now
        if self._count and elapsed - span > (patience := self._patience()):
            # It had stopped: what came before says nothing about now.
            self._amount = self._late = self._count = self._time = 0.0
            elapsed = patience
        elapsed = max(elapsed, span - self._time)
        self._amount += amount
        self._late += late
        self._count += count
        self._time += elapsed
        if self._time > MEMORY and self._count > RECALL:
            kept = max(MEMORY / self._time, RECALL / self._count)
            self._amount *= kept
            self._late *= kept
            self._count *= kept
            self._time *= kept

    def merge(self, others: Sequence[RateEstimator], now: float) -> None:
        """Take the sum of the rates of other processes for the rate until `now`."""
        self._updated = now
        self._time = max([each._seconds(now) for each in others], default=0.0)
        for each in others:
            if each._count:
                part = self._time / each._seconds(now)
                self._amount += each.rate(now) * self._time
                self._late += each._late * part
                self._count += each._count * part

    def rate(self, now: float) -> float:
        """Return the amount a second; 0 before the first event, and if the process seems to have stopped."""
        if not self._count or self._has_stopped(now):
            return 0.0
        events = self._count - self._doubt() / 3  # the median of a Gamma distribution, nearly
        return events * (self._amount / self._count) / self._seconds(now)

    def estimate(self, now: float, size: float) -> tuple[float, float, float, float]:
        """Return the rate, the part of it that came too late, and the bounds between which the rate is with a
        probability of 90 %. `size` is the amount of the next event, which bounds the rate before the first one."""
        count, rate = self._count, self.rate(now)
        if count:
            if not rate:
                return 0.0, 0.0, 0.0, 0.0
            size = self._amount / count
        shape = count + 0.5
        # The quantiles of a Gamma distribution, by Wilson and Hilferty.
        centre, spread = 1.0 - 1.0 / (9.0 * shape), 1.645 / (3.0 * math.sqrt(shape))
        whole = shape * size / self._seconds(now)
        low, high = max(0.0, centre - spread), centre + spread
        late = rate * self._late / self._amount if self._late else 0.0
        return rate, late, whole * low * low * low if count else 0.0, whole * high * high * high

    def _doubt(self) -> float:
        """Return how much the prior counts, from 1 to 0."""
        return max(0.0, 1.0 - self._count / RECALL)

    def _seconds(self, now: float) -> float:
        """Return the seconds in which the events came, with those of the prior: never 0, whatever a clock does."""
        return max(self._time + max(now - self._updated, 0.0), 1.0) + self._doubt() * PRIOR_TIME

    def _has_stopped(self, now: float) -> bool:
        return now - self._updated > self._patience()

    def _patience(self) -> float:
        """Return the seconds of silence after which the process seems to have stopped."""
        return max(RATE_WINDOW, SILENT * self._time / self._count)


class DecayingRates:
    """Smoothed rates over several windows at once, in constant space: what is `window` seconds old counts 1/e.

    `add` costs one addition; the windows are brought up to date when `rates` is called. Before a window has passed
    once, its rate is that of the time since the start.
    """

    __slots__ = ("_pending", "_rates", "_start", "_updated", "_windows")

    def __init__(self, windows: tuple[float, ...], now: float) -> None:
        self._windows = windows
        self._rates = _NONE
        """Empty as long as all are 0."""
        self._pending = 0.0
        self._start = self._updated = now
        never_in_cycles(self)

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
        elif elapsed >= 1 and (self._pending or self._rates):
            if not self._rates:
                self._rates = _zeros(len(self._windows))
            rate, exp, rates = self._pending / elapsed, math.exp, self._rates
            for index, window in enumerate(self._windows):
                rates[index] = rate + (rates[index] - rate) * exp(-elapsed / window)
            self._pending, self._updated = 0.0, now
        elif elapsed >= 1:
            self._updated = now
        if not self._rates:
            return (0.0,) * len(self._windows)
        age = max(self._updated - self._start, 1.0)
        expm1 = math.expm1
        return tuple(
            [rate / -expm1(-age / window) for rate, window in zip(self._rates, self._windows, strict=True)]
        )


def _zeros(count: int) -> array[float]:
    zeros = array("d", bytes(8 * count))
    never_in_cycles(zeros)
    return zeros


_NONE: Final = _zeros(0)
"""Shared by all that have counted nothing; never changed."""
