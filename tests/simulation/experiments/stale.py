"""How many shares are lost, by the number of nodes, by latency and by the period of shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tests.simulation.experiments import theory
from tests.simulation.experiments.chart import Chart, Point, Series
from tests.simulation.experiments.propagation import WARM_UP, Propagation
from tests.simulation.experiments.running import Experiment, Figures, markdown, observe, seeds_for
from tests.simulation.simulation import Simulation
from tests.simulation.world import World

SHORT_PERIOD = 5
ATTEMPTS: Final = 16_384
"""Hashes of a share. With fewer, worlds of few miners would be held up by the greatest target."""
_SHARES: Final = {5: (600, 20_000), 10: (350, 20_000), 50: (150, 10_000), 500: (0, 2_000), 2000: (0, 1_000)}
"""By number of nodes, shares that are waited for in a small and in a full run."""
LEAST_DIFFICULTY: Final = "/0.000000001"
"""After a username: shares as easy as the chain allows, also for a miner with much of the hash rate."""
AXES: Final[dict[str, tuple[str, Sequence[float]]]] = {
    "wanted_period": ("Share period in seconds", [5, 10, 20, 40]),
    "latency": (f"Latency, times the usual (period: {SHORT_PERIOD} s)", [0.5, 1.0, 2.0, 4.0]),
    "nodes": ("Number of nodes", [5, 50, 500, 2000]),
}
_BASES: Final[dict[str, Figures]] = {
    axis: {"nodes": 10, "latency": 1.0, "wanted_period": SHORT_PERIOD if axis == "latency" else 20}
    for axis in AXES
}
"""What worlds of a series have in common. With the short period so many shares are lost that few are enough."""


def cases(full: bool) -> list[Figures]:
    """Return all worlds of the three series."""
    found: list[Figures] = []
    for axis, (_, values) in AXES.items():
        for value in values:
            case: Figures = {**_BASES[axis], axis: value, "seed": "1"}
            case["miners"] = max(12, case["nodes"])
            shares = _SHARES[case["nodes"]][full]
            case["hours"] = round((shares + WARM_UP) * case["wanted_period"] / 3600, 2)
            if shares and case not in found:
                found.append(case)
    return found


def measure(case: Figures) -> Figures:
    """Run one world."""
    world = World(
        name="stale",
        nodes=case["nodes"],
        miners=case["miners"],
        hours=case["hours"],
        seeds=seeds_for(case["nodes"]),
        latency_factor=case["latency"],
        share_period=case["wanted_period"],
        share_attempts=ATTEMPTS,
        pseudoshare_period=2 * case["wanted_period"],
    )

    def watch(simulation: Simulation) -> Callable[[], Figures]:
        return Propagation(simulation, WARM_UP * world.share_period).figures

    return observe(world, case["seed"], watch)


def expected(row: Figures) -> tuple[float, float]:
    """Return the theory's parts of shares that are dead on arrival, and of all that are lost."""
    dead = theory.stale_rate(row["delay_of_miners"], row["period"])
    return dead, theory.stale_rate(row["delay_of_miners"] + row["delay_between_nodes"], row["period"])


def charts(rows: Sequence[Figures]) -> dict[str, Chart]:
    """Return a chart for each series."""
    found = {}
    for axis, (label, values) in AXES.items():
        series = _of(rows, axis)
        if not series:
            continue
        lost, dead = [], []
        for row in series:
            x = float(row[axis])
            part = (row["dead"] + row["orphans"]) / row["found"]
            lost.append(Point(x, part, *theory.confidence(row["dead"] + row["orphans"], row["found"])))
            dead.append(Point(x, row["dead"] / row["found"], *theory.confidence(row["dead"], row["found"])))
        found[f"stale-{axis.removeprefix('wanted_')}"] = Chart(
            title=f"Lost shares by {axis.removeprefix('wanted_')}",
            x_label=label,
            y_label="Part of all shares found",
            ticks=values,
            log_x=True,
            percent=True,
            series=[
                Series("Lost: orphaned or dead on arrival", lost),
                Series("Theory: delay / period", [Point(row[axis], expected(row)[1]) for row in series], 0, True),
                Series("Dead on arrival", dead, 1),
                Series(
                    "Theory: way of miners / period",
                    [Point(row[axis], expected(row)[0]) for row in series],
                    1,
                    True,
                ),
            ],
        )
    return found


def tables(rows: Sequence[Figures]) -> dict[str, str]:
    """Return a table of all series."""
    lines = []
    for row in sorted(rows, key=lambda row: (row["nodes"], row["latency"], row["wanted_period"])):
        dead, lost = expected(row)
        low, high = theory.confidence(row["dead"] + row["orphans"], row["found"])
        lines.append(
            [
                str(row["nodes"]),
                f"{row['latency']:g}",
                f"{row['period']:.1f} s",
                f"{row['found']:,}",
                f"{row['delay_to_half']:.2f} s",
                f"{row['delay_of_miners'] + row['delay_between_nodes']:.2f} s",
                f"{row['dead'] / row['found']:.1%}",
                f"{dead:.1%}",
                f"{(row['dead'] + row['orphans']) / row['found']:.1%} ({low:.1%} to {high:.1%})",
                f"{lost:.1%}",
            ]
        )
    delays = ["half of the hash rate has it after", "mean delay"]
    head = ["nodes", "latency", "period", "shares", *delays, "dead", "theory", "lost", "theory"]
    return {"stale": markdown(head, lines)}


def _of(rows: Sequence[Figures], axis: str) -> list[Figures]:
    """Return the rows of a series."""
    same = {key: value for key, value in _BASES[axis].items() if key != axis}
    return sorted((row for row in rows if all(row[key] == same[key] for key in same)), key=lambda row: row[axis])


EXPERIMENT: Final = Experiment(name="stale", cases=cases, measure=measure, charts=charts, tables=tables)
