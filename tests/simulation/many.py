"""Many seeds of a world, in as many processes at a time as there are processors."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.simulation.runs import Outcome, run_seeds

PORTION = 10
"""Seeds that one process runs before another takes over."""
REPORT_EVERY = 100
"""Seeds between two lines that tell how far the run is."""


def run_many(world: str, first: int, count: int, *, changes: Sequence[str] = (), jobs: int | None = None) -> int:
    """Run `count` seeds from `first` on, and print those that fail, how far it is, and a summary. Return 1 if one
    failed."""
    portions = [
        range(start, min(start + PORTION, first + count)) for start in range(first, first + count, PORTION)
    ]
    started, failed, done, hours, cpu = time.time(), 0, 0, 0.0, 0.0

    def run(seeds: range) -> list[Outcome]:
        return list(run_seeds(world, seeds, changes=changes))

    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        for outcomes in pool.map(run, portions):
            for outcome in outcomes:
                done, hours, cpu = done + 1, hours + outcome.time / 3600, cpu + outcome.cpu
                if outcome.invariant is not None:
                    failed += 1
                    print(f"seed {outcome.seed}: {outcome.invariant} at {outcome.time:.0f} s: {outcome.text}")
                    print(f"  {replay_command(world, str(outcome.seed), changes)}", flush=True)
            if done % REPORT_EVERY == 0:
                print(f"{done} seeds, {failed} failed, {time.time() - started:.0f} s", flush=True)
    print(
        f"{done} seeds of world {world}, {hours:,.0f} simulated hours in {time.time() - started:.0f} s, "
        f"{cpu:.0f} s of CPU: {failed} failed"
    )
    return 1 if failed else 0


def replay_command(world: str, seed: str, changes: Sequence[str] = (), command: str = "replay") -> str:
    """Return what to type to see a run again."""
    return "python -m tests.simulation " + shlex.join([command, "--world", world, "--seed", seed, *changes])
