"""The same seed is the same run: in any process, after any other run, and on any Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from tests.simulation.runs import run_seeds
from tests.support import ROOT

WORLD, SEED = "small", 200


@lru_cache(maxsize=1)
def expected() -> str:
    """Return the hash of the run that all others are compared with."""
    (outcome,) = run_seeds(WORLD, [SEED])
    return outcome.trace


def test_same_seed_twice_whatever_ran_before() -> None:
    other, again = run_seeds(WORLD, [SEED + 1, SEED])
    assert again.trace == expected()
    assert other.trace != expected()


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_hash_seed_of_the_environment_does_not_matter(hash_seed: str) -> None:
    words = [sys.executable, "-m", "tests.simulation", "run", "--world", WORLD, "--seed", str(SEED)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert f"trace {expected()}: all invariants hold" in done.stdout


def other_pythons() -> Iterator[Path]:
    """Yield the interpreters of the virtual environments that `make` has made, but for this one."""
    given = [Path(path) for path in os.environ.get("SIMULATION_PYTHONS", "").split(os.pathsep) if path]
    for python in (*given, ROOT / ".venv/bin/python", *sorted(ROOT.glob("build/venv-*/bin/python"))):
        if python.exists() and python.parent.parent != Path(sys.prefix):
            yield python


def test_every_python_gives_the_same_run() -> None:
    """`make test-pythons` makes the other environments, and runs this test in each of them."""
    pythons = {version_of(python): python for python in other_pythons()}
    pythons.pop(f"{sys.version_info.major}.{sys.version_info.minor}", None)
    if not pythons:
        pytest.skip("there is no environment of another Python version: make test-pythons makes them")
    for version, python in pythons.items():
        (outcome,) = run_seeds(WORLD, [SEED], python=str(python))
        assert outcome.trace == expected(), f"Python {version} gives another run"


def version_of(python: Path) -> str:
    """Return an interpreter's version, like 3.11."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
