"""X11 itself: the package x11_hash, and the built-in code by processor instructions and function by function."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

from p2pool.dash.x11_providers import load_built_in
from tests.bench.measure import UNIT, Table

ROUNDS = 60
HEADERS = 200


def interleaved(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The seconds of each call, the best of ROUNDS rounds in each of which all have their turn."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def main() -> None:
    """Measure, and print the table."""
    table = Table("X11")
    if load_built_in() is not None:
        _add_built_in(table)
    table.finish()


def _add_built_in(table: Table) -> None:
    from p2pool.dash import _x11

    def selected(level: str, function: Callable[..., bytes], *arguments: list) -> None:
        _x11.select(level)
        for _ in map(function, *arguments):
            pass

    chance = random.Random(1)
    headers = [chance.randbytes(80) for _ in range(HEADERS)]
    levels = _x11.levels()
    calls = {f"built-in, {level}": partial(selected, level, _x11.x11, headers) for level in levels}
    calls["x11_hash"] = partial(UNIT.many, headers)
    calls["built-in, four side by side"] = partial(_x11.x11_many, headers)
    took = interleaved(calls)
    for label, seconds in took.items():
        key = label.removeprefix("built-in, ").split()[0]
        table.add_time(f"{key}_x11", f"{label}, a header", seconds / HEADERS)

    for name in _x11.used():
        messages = [header[: 80 if name == "blake" else 64] for header in headers]
        names = [name] * HEADERS
        calls = {level: partial(selected, level, _x11.step, names, messages) for level in levels}
        quarters = [messages[start::4] for start in range(4)]
        calls["four"] = partial(selected, levels[-1], _x11.step_four, names[::4], *quarters)
        for level, seconds in interleaved(calls).items():
            table.add(f"{name}_{level}_ns", f"{name}, {level}, a message", seconds / HEADERS * 1e9, "ns")
