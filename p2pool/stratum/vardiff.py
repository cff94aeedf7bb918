"""Variable difficulty: one connection's pseudoshares at a steady pace.

Fast up, patient down, and nothing for a connection that never submitted (a backup). Values are powers of two:
common firmware rounds down to one and would submit low-difficulty shares otherwise.
"""

from __future__ import annotations

import math

_MIN_SHARES = 8
"""Pseudoshares that a judgement of the pace needs at least, unless they come far too fast or far too slow."""
_UP, _DOWN = 2.0, 0.5
_PATIENCE = 12.0
"""A silence of so many wanted intervals is judged without waiting for more pseudoshares."""
_MAX_STEP = 16.0


def power_of_two(difficulty: float) -> float:
    """The nearest power of two (by ratio)."""
    return float(2.0 ** round(math.log2(difficulty)))


def clamp(difficulty: float, low: float, high: float) -> float:
    """`difficulty` within [low, high]."""
    return min(max(difficulty, low), high)


def _step(difficulty: float, low: float, high: float) -> float:
    """The nearest power of two within [low, high]; limits below 1 and limits without a power between them are
    taken as they are, no firmware rounds those."""
    power = power_of_two(difficulty)
    if power > high >= 1:
        power = 2.0 ** math.floor(math.log2(high))
    if power < low and low > 1:
        power = 2.0 ** math.ceil(math.log2(low))
    return clamp(power, low, high)


class Vardiff:
    """The difficulty of one connection. Pure: times are passed in.

    `difficulty` is what the next job is issued with. A fixed difficulty never changes.
    """

    __slots__ = ("_accepted", "_since", "_work", "difficulty", "fixed", "maximum", "minimum", "seconds")

    def __init__(self, start: float, minimum: float, maximum: float, seconds: float) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self.seconds = seconds
        self.fixed = False
        self.difficulty = clamp(start, minimum, maximum)
        self._accepted = 0
        self._work = 0.0
        self._since: float | None = None

    def set(self, difficulty: float, fixed: bool = False) -> None:
        """Start over from a difficulty that the miner asked for."""
        self.difficulty = clamp(difficulty, self.minimum, self.maximum)
        self.fixed = fixed
        self._since, self._accepted, self._work = None, 0, 0.0

    def set_minimum(self, minimum: float) -> None:
        """A floor for this connection."""
        self.minimum = clamp(minimum, self.minimum, self.maximum)
        self.difficulty = max(self.difficulty, self.minimum)

    def accepted(self, difficulty: float, now: float) -> None:
        """Count a pseudoshare that met `difficulty`."""
        if self._since is None:
            # The time before the first one says nothing: the miner may have been busy starting.
            self._since = now
            return
        self._accepted += 1
        self._work += difficulty

    def adjust(self, now: float) -> bool:
        """Judge the pace; True where `difficulty` changed."""
        if self.fixed or self._since is None:
            return False
        elapsed = now - self._since
        wanted = elapsed / self.seconds
        enough = self._accepted >= _MIN_SHARES or wanted >= _PATIENCE
        too_fast = self._accepted >= 4 and self._accepted > 4 * (wanted + 1)
        if elapsed <= 0 or not (enough or too_fast):
            return False
        # One half share is between none and one: silence lowers the difficulty step by step.
        work = self._work or self.difficulty / 2
        ideal = work / max(wanted, 0.25)
        ratio = ideal / self.difficulty
        self._since, self._accepted, self._work = now, 0, 0.0
        if _DOWN < ratio < _UP:
            return False
        bounded = clamp(ratio, 1 / _MAX_STEP, _MAX_STEP)
        new = _step(self.difficulty * bounded, self.minimum, self.maximum)
        changed = new != self.difficulty
        self.difficulty = new
        return changed
