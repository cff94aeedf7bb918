"""The command line: replay, shrink and many, on a world with a deliberate defect."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.worlds

DEFECT = ("--world", "small", "--seed", "1", "--hours", "1", "--defect", "ban for silence")


def simulate(*words: str) -> tuple[int, str]:
    """Return exit status and output of the command."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.simulation", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_failure_tells_how_to_see_it_again() -> None:
    status, output = simulate("run", *DEFECT)
    assert status == 1
    assert "NobodyHonestIsBanned" in output
    assert "replay --world small --seed 1 --hours 1.0 --defect 'ban for silence'" in output


def test_replay_stops_at_a_moment_and_shows_the_log() -> None:
    status, output = simulate("replay", "--world", "small", "--seed", "1", "--until", "120")
    assert status == 0
    assert "00:00:0" in output
    assert "00:02:0" not in output


def test_shrinking_keeps_the_faults_that_are_needed() -> None:
    status, output = simulate("shrink", *DEFECT)
    assert status == 1
    assert "faults are needed for NobodyHonestIsBanned" in output
    left_out = output.splitlines()[-1].partition("--without ")[2]
    status, output = simulate("run", *DEFECT, "--without", left_out)
    assert status == 1
    assert "NobodyHonestIsBanned" in output


def test_many_counts_seeds_that_fail() -> None:
    status, output = simulate("many", "--world", "alone", "--count", "3", "--hours", "0.5", "--jobs", "1")
    assert status == 0
    assert "3 seeds of world alone" in output
    assert "0 failed" in output
    few = ("--world", "small", "--count", "2", "--hours", "0.2", "--jobs", "1")
    status, output = simulate("many", *few, "--defect", "stale work")
    assert status == 1
    assert "2 failed" in output
