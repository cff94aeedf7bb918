"""The command line of the simulation: `run`, `replay`, `many` and `shrink`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.simulation.invariants import Violation
from tests.simulation.many import replay_command, run_many
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

    @property
    def figures(self) -> dict[str, float]:
        """Return what invariants and adversaries measured, by name."""
        simulation = self.simulation
        sources = (*simulation.invariants, *simulation.adversaries)
        return {name: value for source in sources for name, value in source.figures().items()}


def main(arguments: Sequence[str]) -> int:
    """Do what the words say. Return the exit status: 1 if an invariant did not hold."""
    given = parse(arguments)
    changes = [
        word
        for name in ("nodes", "miners", "hours", "defect")
        if (value := getattr(given, name)) is not None
        for word in (f"--{name}", str(value))
    ]
    if given.command == "many":
        return run_many(given.world, int(given.seed), given.count, changes=changes, jobs=given.jobs)
    world = read_world(given.world, nodes=given.nodes, miners=given.miners, hours=given.hours)
    without = frozenset(int(number) for number in given.without.split(",") if number)
    if given.command == "shrink":
        return _shrink(world, given.seed, changes)
    result = run(
        world,
        given.seed,
        without=without,
        show_log=given.log or given.command == "replay",
        lines=given.command == "run",
        until=given.until,
    )
    return _report(result, given.seed, [*changes, *(["--without", given.without] if given.without else [])])


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the values of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("command", nargs="?", default="run", choices=["run", "replay", "many", "shrink"])
    parser.add_argument("--world", default="default", help="a file in tests/simulation/worlds, or a path")
    parser.add_argument("--seed", default="1", help="the only source of chance; many: the first one")
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--miners", type=int)
    parser.add_argument("--hours", type=float)
    parser.add_argument("--until", type=float, help="stop at this simulated second")
    parser.add_argument("--without", default="", metavar="N,N", help="leave out these faults")
    parser.add_argument("--count", type=int, default=30, help="how many seeds, for many")
    parser.add_argument("--jobs", type=int, help="processes at a time, for many")
    parser.add_argument("--defect", metavar="NAME", help="a deliberate defect, see mutations")
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


def _report(result: Result, seed: str, changes: Sequence[str]) -> int:
    simulation = result.simulation
    if result.violation is not None:
        for line in list(simulation.trace.lines)[-LAST_LINES:]:
            print(line)
        what = f"{result.violation.invariant}: {result.violation}"
        print(f"\nVIOLATION at {result.time:.0f} s of seed {seed}: {what}")
        name = simulation.world.name
        print(f"see all of it:      {replay_command(name, seed, changes)}")
        print(f"up to a moment:     {replay_command(name, seed, changes)} --until {result.time - 60:.0f}")
        print(f"with fewer faults:  {replay_command(name, seed, changes, 'shrink')}")
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


def _shrink(world: World, seed: str, changes: Sequence[str]) -> int:
    """Leave out faults, half of them, a quarter, one at a time, as long as the same invariant does not hold."""
    first = run(world, seed)
    if first.violation is None:
        print(f"seed {seed} does not fail")
        return 0
    faults = first.simulation.faults
    kept = [each.number for each in faults if each.time <= first.time]
    without = frozenset(each.number for each in faults) - frozenset(kept)
    size = max(1, len(kept) // 2)
    while True:
        for start in range(0, len(kept), size):
            some = frozenset(kept[start : start + size])
            again = run(world, seed, without=without | some)
            if again.violation is not None and again.violation.invariant == first.violation.invariant:
                without |= some
        kept = [number for number in kept if number not in without]
        if size == 1:
            break
        size = max(1, size // 2)
    for fault in faults:
        if fault.number not in without:
            print(f"{fault.time:10.1f} s  {fault}")
    print(f"{len(kept)} of {len(faults)} faults are needed for {first.violation.invariant}: {first.violation}")
    numbers = ",".join(str(number) for number in sorted(without))
    options = [*changes, *(["--without", numbers] if numbers else [])]
    print(replay_command(world.name, seed, options))
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
