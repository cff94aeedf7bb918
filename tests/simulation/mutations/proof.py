"""Runs worlds with each defect until an invariant sees it, and the same worlds and seeds without one."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.simulation.mutations.defects import DEFECTS, Defect
from tests.simulation.runs import Outcome, run_seeds

SEEDS = 8
"""Seeds in which a defect must be seen."""


def look_for(defect: Defect, seeds: int = SEEDS) -> list[Outcome]:
    """Run one seed after another until something is wrong; return all outcomes. Raises RunFails."""
    outcomes: list[Outcome] = []
    for outcome in run_seeds(defect.world, range(1, seeds + 1), defect=defect.name):
        outcomes.append(outcome)
        if outcome.invariant is not None:
            break
    return outcomes


def main(arguments: Sequence[str]) -> int:
    """Print a line for each defect, and a summary. Return 1 if one survives, or a world fails without a defect."""
    given = _parse(arguments)
    defects = [defect for defect in DEFECTS if not given.names or defect.name in given.names]
    if given.list:
        for defect in defects:
            print(f"{defect.name}: {defect.why}")
        return 0
    print(f"{'defect':<36} {'world':<13} {'seed':>4} {'found at':>9} {'CPU':>8}  invariant", flush=True)
    bad, used, cpu = [], set(), 0.0
    with ThreadPoolExecutor(given.jobs) as pool:
        for defect, outcomes in zip(
            defects, pool.map(lambda each: look_for(each, given.seeds), defects), strict=True
        ):
            caught = outcomes[-1].invariant in defect.caught_by
            used |= {(defect.world, outcome.seed) for outcome in outcomes}
            cpu += sum(outcome.cpu for outcome in outcomes)
            print(_line(defect, outcomes), flush=True)
            if not caught:
                bad.append(defect.name)
        wrong = 0
        worlds = {world: sorted(seed for name, seed in used if name == world) for world, _ in sorted(used)}
        for world, outcomes in zip(
            worlds, pool.map(lambda each: list(run_seeds(each, worlds[each])), worlds), strict=True
        ):
            cpu += sum(outcome.cpu for outcome in outcomes)
            for outcome in outcomes:
                if outcome.invariant is not None:
                    wrong += 1
                    print(f"seed {outcome.seed} of world {world} fails without a defect: {outcome.text}")
    print(
        f"{len(defects) - len(bad)} of {len(defects)} defects found; {len(used) - wrong} of {len(used)} runs "
        f"without a defect green; {cpu:.0f} s of CPU"
    )
    if bad:
        print(f"NOT FOUND: {', '.join(bad)}")
    return 1 if bad or wrong else 0


def _line(defect: Defect, outcomes: Sequence[Outcome]) -> str:
    last = outcomes[-1]
    cpu = sum(outcome.cpu for outcome in outcomes)
    if last.invariant is None:
        seen = f"NONE of {', '.join(defect.caught_by)} in {len(outcomes)} seeds"
    elif last.invariant in defect.caught_by:
        seen = f"{last.invariant}: {last.text.splitlines()[0][:90]}"
    else:
        seen = f"{last.invariant}, not {', '.join(defect.caught_by)}: {last.text.splitlines()[0]}"
    return f"{defect.name:<36} {defect.world:<13} {last.seed:>4} {last.time:>7.0f} s {cpu:>6.1f} s  {seen}"


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.mutations",
        description="Show that the simulation finds deliberate defects of p2pool.",
    )
    parser.add_argument("names", nargs="*", metavar="DEFECT", help="only these")
    parser.add_argument("--list", action="store_true", help="say what each defect is, and run nothing")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds in which a defect must be seen")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    return parser.parse_args(arguments)
