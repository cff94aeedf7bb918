"""Figures as pages show them, read back, and held against the node's JSON."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

from tests.e2e.pages.browser import View
from tests.e2e.pages.pool import Pool

_NUMBER = re.compile(r"(-?[\d,]+(?:\.(\d+))?)(?:\s?([kMGTPEZ])?(H/s|%|ms)?(?=[\s,)]|$))?")
_PREFIXES = "kMGTPEZ"
_ROUNDING = 0.001
"""Of a large number, some of which are shown with four digits and noughts."""
PATIENCE = 30.0
"""Seconds until a page shows what the node says; both change once a second."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What stands in an element of a page, and where the same is in the JSON: by the keys of `path` in `view`."""

    selector: str
    view: str
    path: tuple[str | int, ...]

    def value(self, answer: Any) -> float:
        """As the node says it."""
        for key in self.path:
            answer = answer[key]
        return float(answer)


def number(text: str) -> tuple[float, float] | None:
    """(value, how far from it what is meant can be) of the number that a text begins with: "1,234", "12.5%",
    "4.89 kH/s". Percents are parts of one."""
    match = _NUMBER.match(text)
    if match is None:
        return None
    digits, decimals, prefix, unit = match.groups()
    factor = 1000.0 ** (_PREFIXES.index(prefix) + 1) if prefix else 0.01 if unit == "%" else 1.0
    value = float(digits.replace(",", "")) * factor
    half_a_digit = 0.5 * 10.0 ** -len(decimals or "") * factor
    is_cut = decimals is None and unit is None and abs(value) >= 1000
    return value, half_a_digit + (abs(value) * _ROUNDING if is_cut else 0.0)


def agrees(text: str, value: float) -> bool:
    """Whether a text shows a value."""
    read = number(text)
    return read is not None and abs(read[0] - value) <= read[1]


def differences(view: View, pool: Pool, figures: tuple[Figure, ...]) -> list[str]:
    """The figures that a page never showed as the node told them, within PATIENCE: each line for people. A figure
    may be that of just before or just after the look at the page."""
    pending = dict.fromkeys(figures, "")
    deadline = time.monotonic() + PATIENCE
    while pending and time.monotonic() < deadline:
        views = {figure.view for figure in pending}
        before = {name: pool.get(name) for name in views}
        texts = {figure: view.text(figure.selector) for figure in pending}
        after = {name: pool.get(name) for name in views}
        for figure, text in texts.items():
            values = [figure.value(answers[figure.view]) for answers in (before, after)]
            if any(agrees(text, value) for value in values):
                del pending[figure]
            else:
                pending[figure] = f"{figure.selector}: shown {text!r}, told {values}"
        view.pause(0.2)
    return list(pending.values())
