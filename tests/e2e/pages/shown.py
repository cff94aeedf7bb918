"""Figures as pages show them, read back, and held against the node's JSON."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.e2e.pages.browser import View
from tests.e2e.pages.pool import Pool

_NUMBER = re.compile(r"~?(-?[\d,]+(?:\.(\d+))?)(?:\s?([kMGTPEZ])?(H/s|%|ms|B)?(?=[\s,)]|$))?")
_PREFIXES = "kMGTPEZ"
_ROUNDING = 0.001
"""Of a large number, some of which are shown with four digits and noughts."""
PATIENCE = 60.0
"""Seconds until a page shows what the node says. Both change once a second; some pages ask every five seconds."""
IN_A_ROW = 3


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


def settled(view: View, look: Callable[[], dict[Any, str]]) -> list[str]:
    """What `look` complained of to the end, within PATIENCE: it tells "" of what is as it should be. What was so
    for IN_A_ROW looks, or is not told of any more, is looked at no more: figures change once a second, so that
    they seldom agree all at once, and a wrong one may agree by chance in the wrong moment."""
    complaints = look()
    if not complaints:
        return ["there is nothing to look at"]
    agreed = {key: int(complaint == "") for key, complaint in complaints.items()}
    deadline = time.monotonic() + PATIENCE
    while min(agreed.values()) < IN_A_ROW and time.monotonic() < deadline:
        view.pause(0.1)
        now = look()
        for key, times in agreed.items():
            if times < IN_A_ROW:
                complaints[key] = now.get(key, "")
                agreed[key] = times + 1 if complaints[key] == "" else 0
    return [f"{key}: {complaints[key]}" for key, times in agreed.items() if times < IN_A_ROW]


def differences(view: View, pool: Pool, figures: tuple[Figure, ...]) -> list[str]:
    """The figures that a page never showed as the node told them: each a line for people."""
    views = {figure.view for figure in figures}

    def look() -> dict[Figure, str]:
        before = {name: pool.get(name) for name in views}
        texts = {figure: view.text(figure.selector) for figure in figures}
        after = {name: pool.get(name) for name in views}
        return {figure: complaint(figure, texts[figure], before, after) for figure in figures}

    def complaint(figure: Figure, text: str, *answers: dict[str, Any]) -> str:
        values = [figure.value(answer[figure.view]) for answer in answers]
        return "" if all(agrees(text, value) for value in values) else f"shown {text!r}, told {values}"

    return settled(view, look)
