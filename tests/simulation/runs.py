"""Runs of worlds in processes of their own: a process has one proof of work, one log and one set of sources."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.simulation.mutations.editing import ROOT


class RunFails(Exception):
    """A process ended without the result of each of its runs."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run of a world ended. `invariant` is None if all held; `time` is simulated, `cpu` real seconds.
    `figures` are those of invariants and adversaries."""

    seed: int
    invariant: str | None
    text: str
    time: float
    cpu: float
    trace: str
    figures: dict[str, float]


def run_seeds(
    world: str,
    seeds: Sequence[int],
    *,
    defect: str | None = None,
    changes: Sequence[str] = (),
    python: str = sys.executable,
) -> Iterator[Outcome]:
    """Run seeds of a world, with or without a deliberate defect, and yield each outcome when it is there.
    `changes` are options of the command line that change the world. Raises RunFails."""
    numbers = ",".join(str(seed) for seed in seeds)
    words = [python, "-m", "tests.simulation.child", world, numbers, *changes]
    words += ["--defect", defect] if defect else []
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                yield Outcome(**json.loads(line))
            _, errors = process.communicate()
        finally:
            process.terminate()  # the child removes its files
    if process.returncode:
        raise RunFails(f"seeds {numbers} of world {world}, defect {defect}: {errors.strip()[-2000:]}")
