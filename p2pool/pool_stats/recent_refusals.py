"""The rejected submissions of one worker in the last minutes, in constant space: whether it is refused now, which
counters since the start do not tell."""

from __future__ import annotations

from typing import Final, NamedTuple

from p2pool.base.acyclic import never_in_cycles

PERIOD: Final = 300.0
"""Seconds: what is told covers one to two periods."""


class Refusals(NamedTuple):
    """Submissions of the last PERIOD to 2 * PERIOD seconds: accepted, rejected, and of these by the stratum error
    code that most of them were rejected with."""

    accepted: int
    refused: int
    code: int
    of_code: int


class RecentRefusals:
    """Made at a worker's first rejected submission. It counts what was rejected; what was accepted is the growth
    of a total that the worker counts anyway. Bound: two dictionaries of as many codes as the caller lets in."""

    __slots__ = ("_accepted", "_accepted_before", "_counts", "_counts_before", "_start")

    def __init__(self, accepted: int, now: float) -> None:
        self._start = now
        self._accepted = self._accepted_before = accepted
        """The worker's accepted submissions when the present period began, and the one before it."""
        self._counts: dict[int, int] = {}
        self._counts_before: dict[int, int] = {}
        never_in_cycles(self)

    def add(self, code: int, count: int, *, accepted: int, now: float) -> None:
        """Count rejected submissions; `accepted` is the worker's total at `now` (seconds of any clock)."""
        self._turn(accepted, now)
        self._counts[code] = self._counts.get(code, 0) + count

    def read(self, accepted: int, now: float) -> Refusals | None:
        """Return the recent ones; None if none was rejected. Arguments as of `add`."""
        self._turn(accepted, now)
        counts = dict(self._counts_before)
        for code, count in self._counts.items():
            counts[code] = counts.get(code, 0) + count
        if not counts:
            return None
        code = max(counts, key=lambda each: counts[each])
        return Refusals(max(0, accepted - self._accepted_before), sum(counts.values()), code, counts[code])

    def _turn(self, accepted: int, now: float) -> None:
        passed = now - self._start
        if 0 <= passed < PERIOD:
            return
        recent = 0 <= passed < 2 * PERIOD  # else, or if the clock was set back, all of it is old
        self._accepted_before = self._accepted if recent else accepted
        self._counts_before = self._counts if recent else {}
        self._accepted, self._counts, self._start = accepted, {}, now
