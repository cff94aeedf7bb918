"""How things are measured: best of several rounds, beside one X11 of the same moment.

The unit is the X11 of the package x11_hash, whatever the node uses: so figures can be compared between versions.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from p2pool.app.compiled import describe
from p2pool.dash.pow import GENESIS_HEADER, PROVIDER, x11
from p2pool.dash.x11_providers import load_x11_hash

ROUNDS = 7
_WIDTH = 76
UNIT = load_x11_hash() or PROVIDER


def seconds_per_call(function: Callable[[], object], round_time: float = 0.15) -> float:
    """The time of one call, the best of ROUNDS rounds of about `round_time` seconds."""
    function()
    start = time.perf_counter()
    function()
    once = max(time.perf_counter() - start, 1e-7)
    count = max(1, int(round_time / once))
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(count):
            function()
        best = min(best, (time.perf_counter() - start) / count)
    return best


def seconds_of_steps(steps: list[Callable[[], object]]) -> float:
    """The average time of calls that can be made only once each: the best of ROUNDS equal parts."""
    size = max(1, len(steps) // ROUNDS)
    best = float("inf")
    for start_at in range(0, size * ROUNDS, size):
        part = steps[start_at : start_at + size]
        if not part:
            break
        start = time.perf_counter()
        for step in part:
            step()
        best = min(best, (time.perf_counter() - start) / len(part))
    return best


class Table:
    """Rows for people, each printed when it is measured, so that an end by a time limit loses none; and at the end
    one JSON object for programs."""

    def __init__(self, title: str) -> None:
        print(title, flush=True)
        self.x11_us = _unit_us()
        self.figures: dict[str, float] = {"x11_us": round(self.x11_us, 2)}
        self.print_row(f"one X11 of {UNIT.name}", f"{self.x11_us:.2f} us", "1.0 X11")
        self.print_row("modules compiled by mypyc", describe(), "")
        self.add_time("own_x11", f"one X11 of the node: {PROVIDER}", seconds_per_call(lambda: x11(GENESIS_HEADER)))

    def measure_unit_again(self) -> None:
        """Take the shorter X11 of two moments, before anything depends on it."""
        self.x11_us = min(self.x11_us, _unit_us())
        self.figures["x11_us"] = round(self.x11_us, 2)

    def add_time(self, key: str, label: str, seconds: float, aim: float | None = None) -> None:
        """A row of a time, also as a multiple of one X11; `aim` is the most that it should be."""
        multiple = seconds * 1e6 / self.x11_us
        self.figures[key] = round(multiple, 2)
        wanted = "" if aim is None else f"   (aim <= {aim:g}: {'met' if multiple <= aim else 'MISSED'})"
        self.print_row(label, f"{seconds * 1e6:.1f} us", f"{multiple:.1f} X11{wanted}")

    def add(self, key: str, label: str, value: float, unit: str, note: str = "") -> None:
        """A row of something else."""
        self.figures[key] = round(value, 2)
        self.print_row(label, f"{value:.2f} {unit}", note)

    @staticmethod
    def print_row(label: str, value: str, note: str) -> None:
        """A row that is no single figure."""
        print(f"  {label:<{_WIDTH}}  {value:>12}  {note}".rstrip(), flush=True)

    def finish(self) -> None:
        """The JSON line."""
        print(json.dumps(self.figures), flush=True)


def _unit_us() -> float:
    return seconds_per_call(lambda: UNIT.digest(GENESIS_HEADER)) * 1e6
