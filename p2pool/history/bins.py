"""Turns the periods of several tiers into the points of a graph: equal bins, each with the means, levels or
counts of its periods. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from p2pool.history.records import COUNTS, MEANS, Points


class _Form(Enum):
    """How the periods of a bin make up its value."""

    MEAN = auto()
    """The mean over the time that the node ran."""
    COUNT = auto()
    """The sum."""
    LEVEL = auto()
    """The mean over the time in which the figure is known."""


# Looked up once: a class's attribute is slow for an enum in Python 3.11, and a question asks for thousands.
_MEAN, _COUNT, _LEVEL = _Form.MEAN, _Form.COUNT, _Form.LEVEL
_FORMS: Final = dict.fromkeys(MEANS, _MEAN) | dict.fromkeys(COUNTS, _COUNT)
"""All other figures are levels."""


class Bins:
    """Equal bins of time. Bound: `points` bins (and one, since they begin at multiples of their width)."""

    def __init__(self, figures: Sequence[str], *, start: float, end: float, step: int, points: int) -> None:
        """Make bins from `start` to `end` (Unix seconds) for periods of at least `step` seconds."""
        periods = max(1, -(-int(end - start) // step))
        self.step = step * -(-periods // points)
        self._end = end
        self._first = int(start) // self.step
        count = max(1, -(-int(end) // self.step) - self._first)
        self._figures = figures
        self._forms = [_FORMS.get(name, _LEVEL) for name in figures]
        self._ran = [0] * count
        self._totals = [[0.0] * count for _ in figures]
        self._weights = [[0] * count for _ in figures]

    def _index(self, time: int) -> int | None:
        index = time // self.step - self._first
        return index if 0 <= index < len(self._ran) else None

    def ran(self, time: int, seconds: int) -> None:
        """Record that the node ran in the period of `seconds` seconds that began at `time`."""
        index = self._index(time)
        if index is not None:
            self._ran[index] += seconds

    def add(self, time: int, seconds: int, values: Sequence[float | None]) -> None:
        """Add the values of a period, in the order of the figures; None if unknown."""
        index = self._index(time)
        if index is None:
            return
        for form, value, totals, weights in zip(self._forms, values, self._totals, self._weights, strict=True):
            if value is None:
                continue
            weights[index] += seconds
            totals[index] += value if form is _COUNT else value * seconds

    def points(self) -> Points:
        """Return all bins. A mean is over the time that the node ran; if it did not run the value is None."""
        return Points(
            start=float(self._first * self.step),
            end=self._end,
            step=self.step,
            times=[(self._first + index) * self.step for index in range(len(self._ran))],
            figures={
                name: [self._value(form, column, index) for index in range(len(self._ran))]
                for column, (name, form) in enumerate(zip(self._figures, self._forms, strict=True))
            },
        )

    def _value(self, form: _Form, column: int, index: int) -> float | None:
        if form is not _LEVEL and not self._ran[index]:
            return None
        total = self._totals[column][index]
        if form is _COUNT:
            return total
        weight = self._ran[index] if form is _MEAN else self._weights[column][index]
        return total / weight if weight else None
