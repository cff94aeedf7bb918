"""How long nodes take to agree again after the network was cut in two, and how much work is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from p2pool.share.share import Share
from tests.simulation.events import WORLD
from tests.simulation.experiments.chart import Chart, Point, Series
from tests.simulation.experiments.running import Experiment, Figures, markdown, observe, seeds_for
from tests.simulation.experiments.stale import ATTEMPTS
from tests.simulation.fault import SETTLING
from tests.simulation.machine import Machine
from tests.simulation.simulation import Simulation
from tests.simulation.world import World

MINUTES: Final = (1, 10, 60)
FIRST: Final = 1800.0
"""Seconds until the first partition."""
PAUSE: Final = 1500.0
"""Seconds after each one, longer than it takes to agree again."""


def cases(full: bool) -> list[Figures]:
    """Return a world for each size and duration."""
    sizes = {4: 20, 20: 20, 100: 10} if full else {4: 5, 20: 2}
    found = []
    for nodes, rounds in sizes.items():
        for minutes in MINUTES:
            hours = (60 + FIRST + rounds * (60 * minutes + PAUSE)) / 3600
            found.append({"nodes": nodes, "minutes": minutes, "seed": "1", "hours": round(hours, 3)})
    return found


def measure(case: Figures) -> Figures:
    """Run a world in which the same partition comes again and again, each time between other halves."""
    world = World(
        name="partition",
        nodes=case["nodes"],
        miners=max(20, case["nodes"]),
        seeds=seeds_for(case["nodes"]),
        hours=case["hours"],
        share_attempts=ATTEMPTS,
        pseudoshare_period=120,
    )

    def watch(simulation: Simulation) -> Callable[[], Figures]:
        return _Partitions(simulation, 60.0 * case["minutes"]).figures

    return observe(world, case["seed"], watch)


class _Partitions:
    """Cuts the network again and again, and looks once a second whether all nodes agree."""

    def __init__(self, simulation: Simulation, seconds: float) -> None:
        self._simulation = simulation
        self._seconds = seconds
        self._chance = simulation.events.chance("partitions of an experiment")
        self._pairs: list[tuple[Machine, Machine]] = []
        self._healed = 0.0
        self._agreed: list[float] = []
        self._lost: list[int] = []
        self._found: list[int] = []
        """Hashes of shares found since the last cut."""
        for machine in simulation.machines:
            self._follow(machine)
        simulation.events.at(FIRST, WORLD, self._cut)

    def _follow(self, machine: Machine) -> None:
        before = machine.started

        def started(started_machine: Machine) -> None:
            before(started_machine)
            assert started_machine.process is not None
            started_machine.process.node.share_added.subscribe(self._share)

        machine.started = started

    def _share(self, added: tuple[Share, bool]) -> None:
        if added[1]:
            self._found.append(added[0].hash)

    def _cut(self) -> None:
        simulation, now = self._simulation, self._simulation.events.now
        if now + self._seconds + PAUSE > simulation.duration + 1:
            return
        inside = self._chance.sample(simulation.machines, len(simulation.machines) // 2)
        outside = [each for each in simulation.machines if each not in inside]
        self._pairs = [pair for one in inside for other in outside for pair in ((one, other), (other, one))]
        for one, other in self._pairs:
            simulation.internet.cut(one.host, other.host)
        simulation.disturbed_until = now + self._seconds + SETTLING
        self._found.clear()
        simulation.events.at(now + self._seconds, WORLD, self._heal)

    def _heal(self) -> None:
        simulation = self._simulation
        for one, other in self._pairs:
            simulation.internet.mend(one.host, other.host)
        self._healed = simulation.events.now
        self._look()

    def _look(self) -> None:
        events = self._simulation.events
        nodes = [machine.process.node for machine in self._simulation.machines if machine.process is not None]
        if len({node.best_share for node in nodes}) > 1:
            if events.now < self._healed + PAUSE - 60:
                events.at(events.now + 1, WORLD, self._look)
            return
        self._agreed.append(events.now - self._healed)
        best = nodes[0].best_share
        chain = {share.hash for share in nodes[0].tracker.ancestors(best, 1000)}
        self._lost.append(sum(each not in chain for each in self._found))
        events.at(self._healed + PAUSE, WORLD, self._cut)

    def figures(self) -> Figures:
        """Return seconds until all agreed, and shares lost, of each partition."""
        return {"agreed": [round(each) for each in self._agreed], "lost": self._lost}


def charts(rows: Sequence[Figures]) -> dict[str, Chart]:
    """Return the chart of times by duration."""
    series = []
    for number, nodes in enumerate(sorted({row["nodes"] for row in rows})):
        points = []
        for row in sorted((row for row in rows if row["nodes"] == nodes), key=lambda row: row["minutes"]):
            times = sorted(row["agreed"])
            points.append(Point(row["minutes"], _median(times), times[0], times[-1]))
        series.append(Series(f"{nodes} nodes: median, least, most", points, number))
    return {
        "partition": Chart(
            title="Time until all nodes work on the same share again",
            x_label="Partition in minutes",
            y_label="Seconds after it ended",
            ticks=MINUTES,
            log_x=True,
            series=series,
        )
    }


def tables(rows: Sequence[Figures]) -> dict[str, str]:
    """Return the table of times and losses."""
    lines = [
        [
            str(row["nodes"]),
            f"{row['minutes']} min",
            str(len(row["agreed"])),
            f"{_median(sorted(row['agreed'])):.0f} s ({min(row['agreed'])} to {max(row['agreed'])})",
            f"{sum(row['lost']) / len(row['lost']):.1f}",
        ]
        for row in sorted(rows, key=lambda row: (row["nodes"], row["minutes"]))
    ]
    head = ["nodes", "partition", "times", "until all agree: median, least to most", "shares lost, mean"]
    return {"partition": markdown(head, lines)}


def _median(values: Sequence[float]) -> float:
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


EXPERIMENT: Final = Experiment(name="partition", cases=cases, measure=measure, charts=charts, tables=tables)
