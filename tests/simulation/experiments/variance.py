"""How much a small miner's income varies from block to block, by the length of the window that blocks pay for."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from p2pool.node import WorkChange
from tests.simulation.experiments import theory
from tests.simulation.experiments.chart import Chart, Point, Series
from tests.simulation.experiments.running import Experiment, Figures, markdown, observe
from tests.simulation.experiments.stale import ATTEMPTS, LEAST_DIFFICULTY
from tests.simulation.simulation import Simulation
from tests.simulation.world import World

WINDOWS: Final = (120, 240, 480, 960, 1920)
MINERS: Final = 20
"""All of the same hash rate and with the least share difficulty that the chain allows."""
POOL_PART: Final = 0.03
"""So small that ten blocks, to whose work a window is bounded too, are longer than any window here."""
_LENGTHS: Final = (5, 25)
"""Windows that a small and a full run lasts."""


def cases(full: bool) -> list[Figures]:
    """Return a world for each length."""
    return [
        {"window": window, "miners": MINERS, "seed": "1", "hours": round(max(8, _LENGTHS[full] * window / 180), 1)}
        for window in WINDOWS
        if full or window <= 240
    ]


def measure(case: Figures) -> Figures:
    """Run one world, and look at what the coinbase would pay, once for each tenth share."""
    world = World(
        name="variance",
        nodes=3,
        miners=case["miners"],
        hours=case["hours"],
        chain_length=case["window"],
        share_attempts=ATTEMPTS,
        pool_part=POOL_PART,
        pseudoshare_period=120,
    )

    def watch(simulation: Simulation) -> Callable[[], Figures]:
        for miner in simulation.miners:
            miner.hash_rate = world.hash_rate / world.miners
            miner.username += LEAST_DIFFICULTY
        return _Payouts(simulation, case["window"]).figures

    return observe(world, case["seed"], watch)


class _Payouts:
    """Watches what the first node's work pays."""

    def __init__(self, simulation: Simulation, window: int) -> None:
        self._window = window
        self._parts: list[list[float]] = []
        """Each miner's part of the coinbase."""
        self._shares = 0
        self._tip: int | None = None
        self._miners = len(simulation.miners)
        before = simulation.machines[0].started

        def started(machine: Any) -> None:
            before(machine)
            machine.process.node.work_changed.subscribe(self._look)

        simulation.machines[0].started = started

    def _look(self, change: WorkChange) -> None:
        context = change.context
        if context.parent.height < self._window or context.parent.previous_hash == self._tip:
            return
        self._tip = context.parent.previous_hash
        self._shares += 1
        if self._shares % 10 == 0:
            amounts = context.payouts.amounts
            total = sum(amounts.values())
            parts = sorted(amount / total for amount in amounts.values())
            self._parts.append([0.0] * (self._miners - len(parts)) + parts)

    def figures(self) -> Figures:
        """Return the coefficient of variation of a miner's part, over all miners and looks."""
        mean = 1 / self._miners
        squares = [(part - mean) ** 2 for parts in self._parts for part in parts]
        return {
            "looks": len(self._parts),
            "windows": round(self._shares / self._window, 1),
            "variation": round(math.sqrt(sum(squares) / max(1, len(squares))) / mean, 4),
        }


def with_finder(row: Figures) -> float:
    """Return the coefficient of variation of all of a miner's income: the measured one of the window, and its luck
    in finding blocks."""
    part = 1 / row["miners"]
    of_finding = theory.FINDER_PART**2 * (1 - part) / part
    return math.sqrt(((1 - theory.FINDER_PART) * float(row["variation"])) ** 2 + of_finding)


def interval(row: Figures) -> tuple[float, float]:
    """Return the 95% confidence interval of the measured variation: windows without overlap are independent."""
    free = max(2.0, row["windows"] * (row["miners"] - 1))
    half = 1.96 / math.sqrt(2 * free)
    return row["variation"] * (1 - half), row["variation"] * (1 + half)


def charts(rows: Sequence[Figures]) -> dict[str, Chart]:
    """Return the chart of variation by length."""
    rows = sorted(rows, key=lambda row: row["window"])
    part = 1 / MINERS
    lengths = [100 * 10 ** (step / 20) for step in range(33)]
    window_only = [Point(each, math.sqrt((1 - part) / part / each)) for each in lengths]
    both = [Point(each, theory.income_variation(part, each)) for each in lengths]
    return {
        "variance": Chart(
            title=f"Income per block of a miner with 1/{MINERS} of the hash rate",
            x_label="Window in shares",
            y_label="Coefficient of variation",
            ticks=[120, 240, 480, 960, 1920, 4320],
            log_x=True,
            percent=True,
            series=[
                Series(
                    "Measured, for its shares", [Point(r["window"], r["variation"], *interval(r)) for r in rows]
                ),
                Series("Theory, for its shares", window_only, 0, True),
                Series("Theory, with the finder's 2%", both, 1, True),
            ],
        )
    }


def tables(rows: Sequence[Figures]) -> dict[str, str]:
    """Return the table of variation by length."""
    lines = []
    for row in sorted(rows, key=lambda row: row["window"]):
        part, window = 1 / row["miners"], row["window"]
        low, high = interval(row)
        drawn = theory.drawn_income_variation(part, window, blocks=1000, chance=random.Random(window))
        lines.append(
            [
                str(window),
                f"{row['hours']:g}",
                f"{row['variation']:.1%} ({low:.1%} to {high:.1%})",
                f"{math.sqrt((1 - part) / part / window):.1%}",
                f"{with_finder(row):.1%}",
                f"{theory.income_variation(part, window):.1%}",
                f"{drawn:.1%}",
            ]
        )
    head = ["window", "hours", "for its shares", "theory", "with the finder's 2%", "theory", "drawn at random"]
    return {"variance": markdown(head, lines)}


EXPERIMENT: Final = Experiment(name="variance", cases=cases, measure=measure, charts=charts, tables=tables)
