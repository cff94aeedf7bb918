"""Rates in constant space: what happened in the last N seconds, whatever the number of events.

There are some for each worker. They keep numbers only, so garbage collection need not visit them.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from typing import Final

from p2pool.base.acyclic import never_in_cycles


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


class RateSum(WindowedSum):
    """The sum of the `rate` of many members, each of which has a WindowedSum of the same window, in constant space
    and time.

    What members add is added here as well. A member that has not added for a whole window yet has a rate over the
    time since its first amount: such members are summed by the bucket in which they began. What a member that is
    given up has added counts until it leaves the window.
    """

    __slots__ = ("_young",)

    def __init__(self, members: Iterable[WindowedSum], now: float, *, window: float, buckets: int = 30) -> None:
        super().__init__(window, buckets)
        self._young: dict[int, _Beginners] = {}
        """By the bucket in which their first amounts were. Bound: the buckets of two windows."""
        self._advance(now)
        self._buckets = _zeros(buckets)
        for member in members:
            total = member.total(now)
            for index, amount in enumerate(member._buckets):
                self._buckets[index] += amount
            self._total += total
            if member._first is not None:
                self._begun(member._first).take(member._first, total, is_new=True)
        self._forget_old()

    def add_of(self, member: WindowedSum, amount: float, now: float) -> None:
        """Count an amount that a member has just counted at `now`."""
        self.add(amount, now)
        first = member._first
        if first is not None and now - first < self.window:
            self._begun(first).take(first, amount, is_new=first == now)

    def rate(self, now: float) -> float:
        """Return the sum of the members' rates."""
        total = self.total(now)
        rate = 0.0
        for beginners in self._young.values():
            if beginners.first > now:
                continue  # the clock was set back: over which time they count is not known
            total -= beginners.amount
            rate += beginners.amount / min(self.window, max(now - beginners.first, self._span))
        return rate + max(total, 0.0) / self.window

    def _begun(self, first: float) -> _Beginners:
        epoch = int(first / self._span)
        beginners = self._young.get(epoch)
        if beginners is None:
            beginners = self._young[epoch] = _Beginners()
        return beginners

    def _advance(self, now: float) -> None:
        before = self._epoch
        super()._advance(now)
        if before is not None and self._epoch != before:
            if self._epoch is not None and self._epoch < before:
                self._young.clear()  # as all amounts were
            self._forget_old()

    def _forget_old(self) -> None:
        """Take beginners for full members once their first bucket has left the window."""
        if self._epoch is not None:
            size = self._size
            for epoch in [each for each in self._young if not -size < self._epoch - each < size]:
                del self._young[epoch]


class _Beginners:
    """Members that began in the same bucket: what they have added, and when they began on average."""

    __slots__ = ("_count", "_firsts", "amount")

    def __init__(self) -> None:
        self._count = 0
        self._firsts = 0.0
        self.amount = 0.0
        never_in_cycles(self)

    def take(self, first: float, amount: float, *, is_new: bool) -> None:
        """Count an amount of a member that began at `first`."""
        self.amount += amount
        if is_new or not self._count:
            self._count += 1
            self._firsts += first

    @property
    def first(self) -> float:
        """Return when they began on average."""
        return self._firsts / self._count


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
