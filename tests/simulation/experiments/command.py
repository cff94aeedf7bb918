"""The command line of the experiments."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

from tests.simulation.experiments import cost, dishonest, partition, stale, variance
from tests.simulation.experiments.running import Experiment

EXPERIMENTS: Final[dict[str, Experiment]] = {
    each.EXPERIMENT.name: each.EXPERIMENT for each in (stale, partition, dishonest, variance, cost)
}


def main(arguments: Sequence[str]) -> int:
    """Run the experiments that are named, and bring the plots and the tables up to date."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.experiments", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or some of: {', '.join(EXPERIMENTS)}")
    parser.add_argument(
        "--small", action="store_true", help="minutes instead of hours: wider confidence intervals"
    )
    parser.add_argument("--again", action="store_true", help="also measure what has been measured before")
    given = parser.parse_args(arguments)
    names = list(EXPERIMENTS) if "all" in given.names else given.names
    if unknown := sorted(set(names) - EXPERIMENTS.keys()):
        parser.error(f"not known: {', '.join(unknown)}")
    for name in names:
        EXPERIMENTS[name].run(full=not given.small, again=given.again, say=lambda line: print(line, flush=True))
    return 0
