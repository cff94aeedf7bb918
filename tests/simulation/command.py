"""The command line of the simulation."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from tests.simulation.invariants import Violation
from tests.simulation.simulation import Simulation
from tests.simulation.world import read_world


LAST_LINES = 40


def main(arguments: Sequence[str]) -> int:
    """Run what the words say. Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--world", default="default")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--miners", type=int)
    parser.add_argument("--hours", type=float)
    parser.add_argument("--log", action="store_true", help="show the log of all nodes")
    given = parser.parse_args(arguments)
    world = read_world(given.world, nodes=given.nodes, miners=given.miners, hours=given.hours)
    simulation = Simulation(world, given.seed, show=print if given.log else None)
    started = time.process_time()
    simulation.start()
    try:
        minute = 0
        while simulation.events.now < simulation.duration:
            minute += 10
            simulation.run(minute * 60.0)
            simulation.collect_garbage()
            _print_line(simulation, time.process_time() - started)
        simulation.finish()
    except Violation as violation:
        for line in list(simulation.trace.lines)[-LAST_LINES:]:
            print(line)
        print(f"VIOLATION at {simulation.events.now:.1f} s: {violation}")
        print(f"seed {given.seed} of world {world.name}, {len(simulation.faults)} faults")
        return 1
    finally:
        simulation.close()
    for invariant in simulation.invariants:
        for line in invariant.summary():
            print(line)
    print("trace", simulation.trace.digest)
    return 0


def _print_line(simulation: Simulation, seconds: float) -> None:
    nodes = [machine.process.node for machine in simulation.machines if machine.process is not None]
    tips = {node.best_share for node in nodes}
    heights = [node.tracker.height(node.best_share) for node in nodes if node.best_share is not None]
    accepted = sum(miner.accepted for miner in simulation.miners)
    print(
        f"{simulation.events.now / 60:6.0f} min  {simulation.events.count} events in {seconds:.1f} s  "
        f"{len(nodes)} nodes on {len(tips)} tips of height {max(heights, default=0)}, "
        f"Dash block {simulation.dash.best.height}, {accepted} pseudoshares",
        flush=True,
    )
