"""What a node costs in a simulation, and what it sends to other nodes, by the number of nodes."""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.simulation.experiments.chart import Chart, Point, Series
from tests.simulation.experiments.running import Experiment, Figures, markdown, observe, seeds_for
from tests.simulation.network import Host
from tests.simulation.simulation import Simulation
from tests.simulation.world import World

_HOURS: Final = {5: (6, 24), 50: (0.5, 24), 500: (0, 6), 2000: (0, 1)}
"""By number of nodes, hours of a small and a full run."""


def cases(full: bool) -> list[Figures]:
    """Return a world for each number of nodes."""
    return [
        {"nodes": nodes, "miners": 2 * nodes, "seed": "1", "hours": float(hours[full])}
        for nodes, hours in _HOURS.items()
        if hours[full]
    ]


def measure(case: Figures) -> Figures:
    """Run one world."""
    world = World(
        name="cost",
        nodes=case["nodes"],
        miners=case["miners"],
        seeds=seeds_for(case["nodes"]),
        hours=case["hours"],
    )
    before = _resident()

    def watch(simulation: Simulation) -> Callable[[], Figures]:
        sent = [0]
        nodes = {machine.host.address for machine in simulation.machines}
        delivered = simulation.internet.delivered

        def count(source: Host, target: Host, data: bytes) -> None:
            delivered(source, target, data)
            if source is not target and source.address in nodes and target.address in nodes:
                sent[0] += len(data)

        simulation.internet.delivered = count
        used = resource.getrusage(resource.RUSAGE_SELF)
        started = used.ru_utime + used.ru_stime

        def figures() -> Figures:
            now = resource.getrusage(resource.RUSAGE_SELF)
            seconds = now.ru_utime + now.ru_stime - started
            first = simulation.machines[0].process
            assert first is not None
            return {
                "events_a_second": round(simulation.events.count / seconds),
                "cpu_a_node_hour": round(seconds / case["nodes"] / case["hours"], 3),
                "memory_a_node": (_resident() - before) // case["nodes"],
                "shares": first.node.tracker.height(first.node.best_share) if first.node.best_share else 0,
                "bytes_a_node_hour": round(sent[0] / case["nodes"] / case["hours"]),
                "payees": len(first.node.context.payouts.amounts) if first.node.context else 0,
            }

        return figures

    return observe(world, case["seed"], watch)


def _resident() -> int:
    """Return the bytes of this process's memory that are in RAM."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


def charts(rows: Sequence[Figures]) -> dict[str, Chart]:
    """Return a chart of memory and one of CPU time."""
    rows = sorted(rows, key=lambda row: row["nodes"])
    ticks = [row["nodes"] for row in rows]
    memory = [Point(row["nodes"], row["memory_a_node"] / 1e6) for row in rows]
    cpu = [Point(row["nodes"], row["cpu_a_node_hour"]) for row in rows]
    return {
        "cost-memory": Chart(
            title="Memory of a simulated node",
            x_label="Number of nodes",
            y_label="MB a node",
            ticks=ticks,
            log_x=True,
            series=[Series("Resident memory of the process / nodes", memory)],
        ),
        "cost-cpu": Chart(
            title="CPU time of a simulated node",
            x_label="Number of nodes",
            y_label="Seconds a simulated hour",
            ticks=ticks,
            log_x=True,
            series=[Series("CPU time / nodes / hours", cpu)],
        ),
    }


def tables(rows: Sequence[Figures]) -> dict[str, str]:
    """Return the table of costs."""
    lines = [
        [
            str(row["nodes"]),
            str(row["miners"]),
            f"{row['hours']:g}",
            f"{row['events_a_second']:,}",
            f"{row['cpu_a_node_hour']:.2f} s",
            f"{row['memory_a_node'] / 1e6:.2f} MB",
            str(row["shares"]),
            f"{row['bytes_a_node_hour'] / 1e3:,.0f} kB",
        ]
        for row in sorted(rows, key=lambda row: row["nodes"])
    ]
    head = ["nodes", "miners", "hours", "events a second", "CPU time a node and hour", "memory a node",
            "shares in the chain", "sent to nodes, a node and hour"]  # fmt: skip
    return {"cost": markdown(head, lines)}


EXPERIMENT: Final = Experiment(name="cost", cases=cases, measure=measure, charts=charts, tables=tables)
