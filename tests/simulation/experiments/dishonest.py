"""What a node earns that does not show at once what it found, by its part of the hash rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from tests.simulation.events import WORLD
from tests.simulation.experiments import theory
from tests.simulation.experiments.chart import Chart, Point, Series
from tests.simulation.experiments.propagation import WARM_UP
from tests.simulation.experiments.running import Experiment, Figures, markdown, observe
from tests.simulation.experiments.stale import ATTEMPTS, LEAST_DIFFICULTY
from tests.simulation.simulation import Simulation
from tests.simulation.world import World

PARTS: Final = (0.10, 0.25, 0.40)
KINDS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "selfish mining": ("selfish", {}),
    "shares kept for 60 s": ("withhold", {"keeps": "shares", "seconds": 60.0}),
    "blocks kept": ("withhold", {"keeps": "blocks"}),
}
"""What an adversary is called here, its kind, and its parameters."""


def cases(full: bool) -> list[Figures]:
    """Return a world for each kind and size of adversary."""
    hours = 100.0 if full else 2.0
    return [{"kind": kind, "part": part, "seed": "1", "hours": hours} for kind in KINDS for part in PARTS]


def measure(case: Figures) -> Figures:
    """Run a world of many equal miners and one adversary."""
    kind, parameters = KINDS[case["kind"]]
    world = World(
        name="dishonest",
        nodes=4,
        miners=12,
        hours=case["hours"],
        share_attempts=ATTEMPTS,
        pseudoshare_period=20,
        chain_length=int(case["hours"] * 180),
        adversaries={kind: {"part": case["part"], **parameters}},
    )

    def watch(simulation: Simulation) -> Callable[[], Figures]:
        for miner in simulation.miners:
            miner.hash_rate = world.hash_rate / world.miners
            miner.username += LEAST_DIFFICULTY
        adversary: Any = simulation.adversaries[0]
        adversary.miner.username += LEAST_DIFFICULTY
        since, found_before = WARM_UP * world.share_period, [0]
        simulation.events.at(since, WORLD, lambda: found_before.append(len(adversary.found)))

        def figures() -> Figures:
            process = simulation.machines[0].process
            assert process is not None
            shares = process.node.tracker.ancestors(process.node.best_share, 10**9)
            chain = [share.hash for share in shares if simulation.share_seen[share.hash] >= since]
            return {
                "found": len(adversary.found) - found_before[-1],
                "in_chain": sum(share_hash in adversary.found for share_hash in chain),
                "chain": len(chain),
                "blocks_kept": getattr(adversary, "blocks_kept", 0),
            }

        return figures

    return observe(world, case["seed"], watch)


def income_of(row: Figures) -> tuple[float, float, float]:
    """Return the part of the payouts that the adversary got, and its 95% confidence interval."""
    low, high = theory.confidence(row["in_chain"], row["chain"])
    return row["in_chain"] / row["chain"], low, high


def expected(row: Figures) -> str:
    """Return the income that theory gives for an adversary."""
    part = row["part"]
    if row["kind"] == "selfish mining":
        return f"{theory.selfish_income(part, 0):.1%} to {theory.selfish_income(part, 0.5):.1%}"
    if row["kind"] == "blocks kept":
        return f"{theory.withholding_income(part):.1%}"
    return f"less than {part:.0%}"


def charts(rows: Sequence[Figures]) -> dict[str, Chart]:
    """Return the chart of income by hash rate."""
    steps = [step / 100 for step in range(10, 41)]
    series = []
    for number, kind in enumerate(KINDS):
        some = sorted((row for row in rows if row["kind"] == kind), key=lambda row: row["part"])
        if some:
            series.append(Series(kind.capitalize(), [Point(row["part"], *income_of(row)) for row in some], number))
    for lead in (0, 0.5):
        points = [Point(part, theory.selfish_income(part, lead)) for part in steps]
        series.append(Series(f"Selfish, theory, γ = {lead:g}", points, 0, True))
    series.append(Series("Honest", [Point(part, part) for part in steps], 3, True))
    return {
        "dishonest": Chart(
            title="Income of a node that hides what it finds",
            x_label="Part of the hash rate",
            y_label="Part of the payouts",
            ticks=PARTS,
            series=series,
            percent=True,
        )
    }


def tables(rows: Sequence[Figures]) -> dict[str, str]:
    """Return the table of income by kind and hash rate."""
    lines = []
    for kind in KINDS:
        for row in sorted((row for row in rows if row["kind"] == kind), key=lambda row: row["part"]):
            income, low, high = income_of(row)
            lines.append(
                [
                    kind,
                    f"{row['part']:.0%}",
                    f"{row['in_chain']:,} of {row['found']:,}",
                    f"{income:.1%} ({low:.1%} to {high:.1%})",
                    expected(row),
                ]
            )
    head = ["what it does", "hash rate", "its shares in the chain", "part of the payouts", "theory"]
    return {"dishonest": markdown(head, lines)}


EXPERIMENT: Final = Experiment(name="dishonest", cases=cases, measure=measure, charts=charts, tables=tables)
