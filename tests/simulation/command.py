"""The command line of the simulation: `run`, `replay`, `many` and `shrink`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.simulation.invariants import Violation
from tests.simulation.simulation import Simulation
from tests.simulation.world import World, read_world

LAST_LINES = 40
"""Log lines that are shown of a failure."""


@dataclass(frozen=True)
class Result:
    """How a run ended. `time` is the world's."""

    simulation: Simulation
    violation: Violation | None
    time: float
    cpu: float


def main(arguments: Sequence[str]) -> int:
    """Do what the words say. Return the exit status: 1 if an invariant did not hold."""
    given = _parse(arguments)
    world = read_world(given.world, nodes=given.nodes, miners=given.miners, hours=given.hours)
    without = frozenset(int(number) for number in given.without.split(",") if number)
    if given.command == "many":
        return _many(world, int(given.seed), given.count)
    if given.command == "shrink":
        return _shrink(world, given.seed)
    result = run(
        world,
        given.seed,
        without=without,
        show_log=given.log or given.command == "replay",
        lines=given.command == "run",
        until=given.until,
    )
    return _report(result, given.seed)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("command", nargs="?", default="run", choices=["run", "replay", "many", "shrink"])
    parser.add_argument("--world", default="default", help="a file in tests/simulation/worlds, or a path")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--miners", type=int)
    parser.add_argument("--hours", type=float)
    parser.add_argument("--until", type=float, help="stop at this simulated second")
    parser.add_argument("--without", default="", metavar="N,N", help="leave out these faults")
    parser.add_argument("--count", type=int, default=30, help="how many seeds, for many")
    parser.add_argument("--log", action="store_true", help="show the log of all nodes")
    return parser.parse_args(arguments)


def run(
    world: World,
    seed: str,
    *,
    without: frozenset[int] = frozenset(),
    show_log: bool = False,
    lines: bool = False,
    until: float | None = None,
) -> Result:
    """Run a world once."""
    simulation = Simulation(world, seed, without=without, show=print if show_log else None)
    started, violation = time.process_time(), None
    end = simulation.duration if until is None else min(until, simulation.duration)
    try:
        simulation.start()
        while simulation.events.now < end:
            simulation.run(min(end, simulation.events.now + 60.0))
            if lines:
                print(_line(simulation, time.process_time() - started), flush=True)
        if until is None:
            simulation.finish()
    except Violation as caught:
        violation = caught
    finally:
        ended = time.process_time() - started
        simulation.close()
    return Result(simulation, violation, simulation.events.now, ended)


def _report(result: Result, seed: str) -> int:
    simulation = result.simulation
    if result.violation is not None:
        for line in list(simulation.trace.lines)[-LAST_LINES:]:
            print(line)
        print(f"\nVIOLATION at {result.time:.0f} s of seed {seed}: {result.violation}")
        print(f"world {simulation.world.name}, {len(simulation.faults)} faults; to see more: replay, shrink")
        return 1
    for invariant in simulation.invariants:
        for line in invariant.summary():
            print(line)
    for adversary in simulation.adversaries:
        for line in adversary.summary():
            print(line)
    events, cpu = simulation.events.count, max(result.cpu, 1e-9)
    print(
        f"{events} events in {cpu:.1f} s of one core: {events / cpu:,.0f} events/s, "
        f"{result.time / cpu:,.0f} simulated seconds a second"
    )
    print(f"trace {simulation.trace.digest}: all invariants hold")
    return 0


def _many(world: World, first: int, count: int) -> int:
    """Run seeds one after another. Return 1 if one of them failed."""
    failed, hours, cpu = [], 0.0, 0.0
    for seed in range(first, first + count):
        result = run(world, str(seed))
        hours, cpu = hours + result.time / 3600, cpu + result.cpu
        if result.violation is not None:
            failed.append(seed)
            print(f"seed {seed}: {result.violation}", flush=True)
    print(f"{count} seeds of world {world.name}, {hours:.0f} simulated hours in {cpu:.0f} s: {len(failed)} failed")
    return 1 if failed else 0


def _shrink(world: World, seed: str) -> int:
    """Leave out one fault after another, as long as the same invariant breaks."""
    first = run(world, seed)
    if first.violation is None:
        print(f"seed {seed} does not fail")
        return 0
    without: frozenset[int] = frozenset(each.number for each in first.simulation.faults if each.time > first.time)
    kept = [each for each in first.simulation.faults if each.number not in without]
    wanted = str(first.violation).split()[:3]
    for size in (len(kept) // 2, len(kept) // 4, 1):
        for start in range(0, len(kept), max(1, size)):
            some = frozenset(each.number for each in kept[start : start + max(1, size)]) - without
            if not some:
                continue
            again = run(world, seed, without=without | some)
            if again.violation is not None and str(again.violation).split()[1:3] == wanted[1:3]:
                without |= some
    needed = [each for each in first.simulation.faults if each.number not in without]
    for fault in needed:
        print(f"{fault.time:10.1f} s  {fault}")
    numbers = ",".join(str(number) for number in sorted(without))
    print(
        f"{len(needed)} of {len(first.simulation.faults)} faults are needed: replay --seed {seed} --without {numbers}"
    )
    return 1


def _line(simulation: Simulation, seconds: float) -> str:
    machines = [machine for machine in simulation.machines if machine.honest]
    nodes = [machine.process.node for machine in machines if machine.process is not None]
    tips = {node.best_share for node in nodes}
    heights = [node.tracker.height(node.best_share) for node in nodes if node.best_share is not None]
    accepted = sum(miner.accepted for miner in simulation.miners)
    return (
        f"{simulation.events.now / 60:6.0f} min  {simulation.events.count} events in {seconds:.1f} s  "
        f"{len(nodes)} nodes on {len(tips)} tips of height {max(heights, default=0)}, "
        f"Dash block {simulation.dash.best.height}, {accepted} pseudoshares"
    )
