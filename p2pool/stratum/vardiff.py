"""Variable difficulty: keeps the pseudoshares of one connection at a steady pace. `session` calls it.

Fast up, patient down. Values are powers of two: common firmware rounds down to one and would submit low-difficulty
shares otherwise.

A connection that never submitted is either a slow miner, for which the start is too difficult, or a backup. The
difficulty is searched once: it falls in _SEARCH_STEPS steps to what the slowest miner needs, stays there for some
minutes, and returns to the start if nothing was submitted. So a backup costs a handful of jobs, and thousands of
fast miners that fail over to this node hours later do not begin with a flood of tiny submissions.

The judgement is two sequential tests, one for "too fast" and one for "too slow". Each sums work and time since
the pace was last not suspicious (as in Page's cumulative sum test), so a miner that changes after hours is judged
by what it does since, not by its history. How surprising the sums are is the logarithm of their likelihood ratio
for Poisson arrivals: n ln(n / m) - (n - m) for n pseudoshares when m would be just suspicious. A few that are very
fast are as convincing as many that are a little too fast.

`python -m tests.bench vardiff` measures the result.
"""

from __future__ import annotations

import math
from typing import Final

_SUSPICIOUS = 1.1
"""A pace so many times too fast (or too slow) is what the evidence is measured against."""
_EVIDENCE = 4.5
"""The logarithm of the likelihood ratio that a change takes. Within _WINDOW it is reached by a pace beyond sqrt(2)
or so, for which another power of two fits better, and by chance about once in two hours."""
_ENOUGH, _MANY = 16.0, 64.0
"""Pseudoshares needed to choose a higher difficulty; _MANY as long as they take less than a target interval, when
waiting for them costs nothing."""
_MOMENT = 0.05
"""Target intervals that pass before any rise: submissions in one TCP segment say nothing about the pace."""
_GAP = 4.0
"""Target intervals of one gap that count as evidence of slowness: a longer one is an interruption."""
_SILENCE = 12.0
"""Target intervals without any pseudoshare until the difficulty falls. The next fall takes twice as long, and so
on: a miner that was off for some minutes finds a difficulty that it restores in seconds."""
_FALL = 0.25
"""The factor by which a silence changes the difficulty."""
_WINDOW = 90.0
"""Target intervals that a test sums up before the sums are halved: a pace that is nearly suspicious for hours must
not hide a change after them."""

_SLOWEST = 2.0**-10
"""The difficulty at which the search ends, unless it is below the minimum: 100 kH/s submit once in 42 s."""
_SEARCH_STEPS = 4
_SEARCH_PATIENCE = 60.0
"""Seconds of silence before each step."""
_ASKED_PATIENCE = 600.0
"""Seconds of silence before the first step if the miner requested its start: it should know."""
_SEARCH_TIME = 840.0
"""Seconds from the first step until the search ends."""
_LONGEST_CALL = 15.0
"""Seconds that one call counts at most, so that no jump of a clock and no time without a connection ends a
search."""


def power_of_two(difficulty: float) -> float:
    """Return the nearest power of two (by ratio)."""
    return float(2.0 ** round(math.log2(difficulty)))


def clamp(difficulty: float, low: float, high: float) -> float:
    """Return `difficulty`, limited to [low, high]."""
    return min(max(difficulty, low), high)


def _step(difficulty: float, low: float, high: float) -> float:
    """Return the nearest power of two within [low, high]. Limits below 1, and limits without a power of two
    between them, are returned as they are: no firmware rounds those."""
    power = power_of_two(difficulty)
    if power > high >= 1:
        power = 2.0 ** math.floor(math.log2(high))
    if power < low and low > 1:
        power = 2.0 ** math.ceil(math.log2(low))
    return clamp(power, low, high)


_ATTRIBUTES: Final[tuple[str, ...]] = (
    "_falls",
    "_fast_time",
    "_fast_work",
    "_gap",
    "_heard",
    "_last",
    "_patience",
    "_searched",
    "_silence",
    "_slow_time",
    "_slow_work",
    "_start",
    "difficulty",
    "fixed",
    "maximum",
    "minimum",
    "seconds",
)


class Vardiff:
    """The difficulty of one connection. Times (of any clock, in seconds) are passed in.

    `difficulty` is that which suits the miner; each job limits what it is sent, see `at_most`. A fixed difficulty
    never changes. `seconds`, the target interval, may be set at any time: only work and time are stored, nothing
    that depends on it.
    """

    __slots__ = _ATTRIBUTES

    def __init__(self, *, start: float, minimum: float, maximum: float, seconds: float) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self.seconds = seconds
        self._fast_work = self._fast_time = 0.0
        self._slow_work = self._slow_time = 0.0
        self.set(_step(clamp(start, minimum, maximum), minimum, maximum))
        self._patience = _SEARCH_PATIENCE

    def copied(self) -> Vardiff:
        """Return a copy, for another connection of the same miner."""
        copy = Vardiff(start=self.difficulty, minimum=self.minimum, maximum=self.maximum, seconds=self.seconds)
        for name in _ATTRIBUTES:
            setattr(copy, name, getattr(self, name))
        return copy

    def set(self, difficulty: float, *, fixed: bool = False) -> None:
        """Start over from a difficulty that the miner requested, which is not rounded."""
        self._patience = _ASKED_PATIENCE
        self._silence = 0.0
        """Seconds without a pseudoshare, before the first one."""
        self._searched: float | None = None
        """When the search was called last; None before the first call."""
        self._start = 0.0
        """The difficulty that the search began from; 0 before its first step."""
        self.difficulty = clamp(difficulty, self.minimum, self.maximum)
        self.fixed = fixed
        self._last: float | None = None
        """When time was last counted; None before the first pseudoshare."""
        self._heard = False
        self._gap = 0.0
        self._falls = 0
        self._restart()

    def set_minimum(self, minimum: float) -> None:
        """Set the minimum of this connection; a miner may request another one later, also a lower one."""
        self.minimum = min(minimum, self.maximum)
        if self.difficulty < self.minimum:
            self.difficulty = _step(self.minimum, self.minimum, self.maximum)

    def at_most(self, limit: float) -> float:
        """Return the difficulty to send with a job that has this limit: see `job_registry.pseudoshare_limit`.

        The minimum holds even above the limit. A miner that requested it cannot do with less, and the operator's
        protects a node whose shares are as easy as a test network's; either loses the shares that miss it. No
        default minimum is above the easiest share of the main network."""
        difficulty = self.difficulty
        if difficulty <= limit:
            return difficulty
        minimum = self.minimum
        return limit if minimum <= limit else min(difficulty, _step(minimum, minimum, self.maximum))

    def stop_search(self) -> None:
        """Keep the start however silent the connection is, because its worker is known to be fast."""
        self._patience = math.inf

    def accepted(self, difficulty: float, now: float) -> None:
        """Count a pseudoshare that met `difficulty`; `adjust` is to follow."""
        if self._last is None:
            # The time before the first pseudoshare says nothing: the miner may have been busy starting.
            self._last = now
            return
        self._heard = True
        self._fast_work += difficulty
        self._slow_work += difficulty

    def adjust(self, now: float) -> bool:
        """Judge the pace. Return whether `difficulty` changed."""
        last = self._last
        if self.fixed:
            return False
        if last is None:
            return self._search(now)
        self._last = now
        elapsed = now - last
        seconds = self.seconds
        if elapsed < 0:
            # The clock was set back by an unknown time: sums across the jump say nothing.
            self._gap = 0.0
            self._restart()
        elif elapsed > 0:
            self._fast_time += elapsed
            gap = self._gap
            longest = _GAP * seconds
            if gap < longest:
                self._slow_time += min(elapsed, longest - gap)
            self._gap = gap + elapsed
        if self._heard:
            self._heard = False
            self._gap = 0.0
            self._falls = 0
        elif self._gap > _SILENCE * seconds * 2.0**self._falls:
            # One fall at a time, however far the clock jumps.
            self._falls += 1
            self._gap = 0.0
            return self._change(self.difficulty * _FALL)
        difficulty = self.difficulty
        rate = difficulty / seconds
        window = _WINDOW * seconds
        boundary = self._fast_time * rate * _SUSPICIOUS
        excess = self._fast_work - boundary
        if excess <= 0:
            self._fast_work = self._fast_time = 0.0
        # The likelihood ratio is never more than this square: most calls need no logarithm.
        elif excess * excess > 2 * _EVIDENCE * boundary * difficulty and self._too_fast(boundary):
            return self._change(self._fast_work / self._fast_time * seconds)
        if self._fast_time > window:
            self._fast_work, self._fast_time = self._fast_work / 2, self._fast_time / 2
        boundary = self._slow_time * rate / _SUSPICIOUS
        lack = boundary - self._slow_work
        if lack <= 0:
            self._slow_work = self._slow_time = 0.0
        elif lack * lack > _EVIDENCE * boundary * difficulty and self._too_slow(boundary):
            return self._change(max(self._slow_work, difficulty / 2) / self._slow_time * seconds)
        if self._slow_time > window:
            self._slow_work, self._slow_time = self._slow_work / 2, self._slow_time / 2
        return False

    def _search(self, now: float) -> bool:
        """Lower the difficulty of a connection without any pseudoshare so far. Return whether it changed."""
        before, self._searched = self._searched, now
        if before is None:
            return False
        self._silence += clamp(now - before, 0.0, _LONGEST_CALL)
        since = self._silence - self._patience
        if since < 0:
            return False
        if not self._start:
            self._start = self.difficulty
        if since >= _SEARCH_TIME:
            self._patience = math.inf
            return self._change(max(self._start, self.difficulty))
        floor = max(self.minimum, _SLOWEST)
        step = min(_SEARCH_STEPS, 1 + int(since / _SEARCH_PATIENCE))
        lowered = self._start * (floor / self._start) ** (step / _SEARCH_STEPS)
        return lowered < self.difficulty and self._change(lowered)

    def _too_fast(self, boundary: float) -> bool:
        """Return whether the pace is too fast beyond chance, with enough pseudoshares to choose a difficulty."""
        work, intervals = self._fast_work, self._fast_time / self.seconds
        if intervals < _MOMENT or work < self.difficulty * (_MANY if intervals < 1 else _ENOUGH):
            return False
        return work * math.log(work / boundary) - (work - boundary) > _EVIDENCE * self.difficulty

    def _too_slow(self, boundary: float) -> bool:
        """Return whether the pace is too slow beyond chance."""
        work = self._slow_work
        logarithm = math.log(boundary / work) if work > 0 else 0.0
        return boundary - work - work * logarithm > _EVIDENCE * self.difficulty

    def _change(self, ideal: float) -> bool:
        """Set the difficulty nearest to `ideal`. Return whether it is another one."""
        before = self.difficulty
        self.difficulty = _step(ideal, self.minimum, self.maximum)
        self._restart()
        return self.difficulty != before

    def _restart(self) -> None:
        """Forget the sums: a new difficulty is judged by what comes after it."""
        self._fast_work = self._fast_time = self._slow_work = self._slow_time = 0.0
