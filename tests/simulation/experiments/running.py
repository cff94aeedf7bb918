"""Run worlds for experiments, each in a process of its own, and keep the figures in small JSON files."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.simulation.experiments.chart import Chart
from tests.simulation.simulation import Simulation
from tests.simulation.world import World

RESULTS: Final = Path(__file__).with_name("results")
Figures = dict[str, Any]
"""What identifies a run (world, seed, hours) and what was measured in it."""
Watch = Callable[[Simulation], Callable[[], Figures]]
"""Begins to watch a simulation that has not started; returns what gives the figures at the end."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A series of worlds. `cases(full)` gives what identifies each run, in small or full size; `measure` runs one;
    `charts` and `tables` show all figures, by name."""

    name: str
    cases: Callable[[bool], Sequence[Figures]]
    measure: Callable[[Figures], Figures]
    charts: Callable[[Sequence[Figures]], dict[str, Chart]]
    tables: Callable[[Sequence[Figures]], dict[str, str]]

    @property
    def path(self) -> Path:
        """Return where the figures are."""
        return RESULTS / f"{self.name}.json"

    def read(self) -> list[Figures]:
        """Return the figures of all runs so far."""
        rows: list[Figures] = json.loads(self.path.read_text("utf-8")) if self.path.is_file() else []
        return rows

    def write(self, rows: Sequence[Figures]) -> None:
        """Keep figures, one run in each line."""
        lines = ",\n".join(json.dumps(row) for row in rows)
        self.path.write_text(f"[\n{lines}\n]\n", "utf-8")

    def run(self, *, full: bool, again: bool, say: Callable[[str], None]) -> None:
        """Measure what has not been measured yet for as many hours, and keep each result at once."""
        rows = self.read()
        for case in self.cases(full):
            known = next((row for row in rows if _is_same(row, case)), None)
            if known is not None and known["hours"] >= case["hours"] and not again:
                continue
            started = time.perf_counter()
            measured = {**case, **self.measure(case)}
            rows = [row for row in rows if row is not known] + [measured]
            self.write(sorted(rows, key=_order))
            say(f"{self.name}: {measured} in {time.perf_counter() - started:.0f} s")


def _is_same(row: Figures, case: Figures) -> bool:
    return all(row.get(key) == value for key, value in case.items() if key != "hours")


def _order(row: Figures) -> tuple[Any, ...]:
    return tuple(value if isinstance(value, int | float | str) else str(value) for value in row.values())[:5]


def observe(world: World, seed: str, watch: Watch) -> Figures:
    """Run a world in a process of its own and return its figures. Raises RuntimeError if it fails."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sending.send(_run(world, seed, watch)))
    child.start()
    sending.close()
    try:
        figures: Figures = receiving.recv()
    except EOFError:
        raise RuntimeError(f"world {world.name}, seed {seed}: the run failed") from None
    finally:
        child.join()
    return figures


def _run(world: World, seed: str, watch: Watch) -> Figures:
    """Return the figures of a run, whose invariants must hold."""
    started = time.process_time()
    simulation = Simulation(world, seed)
    try:
        figures = watch(simulation)
        simulation.start()
        while simulation.events.now < simulation.duration:
            simulation.run(min(simulation.duration, simulation.events.now + 600))
        simulation.finish()
        cpu = time.process_time() - started
        return {**figures(), "events": simulation.events.count, "cpu_seconds": round(cpu, 1)}
    finally:
        simulation.close()


def seeds_for(nodes: int) -> int:
    """Return how many seeds so many nodes need: each takes 40 connections, and who finds no room is alone."""
    return max(3, nodes // 10)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
