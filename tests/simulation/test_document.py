"""docs/simulation.md says what is so: its tables and plots are up to date, and its examples work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from tests.simulation.document import PAGE, PLOTS, plots, with_tables
from tests.support import ROOT

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LARGEST_PLOT = 20_000
RUN = """
from tests.simulation import cheap_work, disk
cheap_work.install()
disk.install()
from tests.simulation import simulation as module
from tests.simulation.invariants import Invariant, Violation
from tests.simulation.simulation import Simulation
from tests.simulation.world import World

{example}

ChainsGrow.LONGEST = {longest}
module.INVARIANTS = (*module.INVARIANTS, ChainsGrow)
world = Simulation(World(name="example", nodes=2, miners=2, hours=0.5), "1")
try:
    world.start()
    world.run(1800.0)
except Violation as violation:
    print("violation:", violation)
finally:
    world.close()
"""


def example(language: str) -> str:
    """Return the only example in a language."""
    (text,) = (text for found, text in FENCE.findall(PAGE.read_text("utf-8")) if found == language)
    assert len(text.splitlines()) < 30
    return text


def run(*arguments: str) -> str:
    """Return what Python prints. The simulation changes the process that it runs in."""
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(  # noqa: PLW1510  # the status is checked below
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_tables_are_up_to_date():
    """`python -m tests.simulation.document` brings them up to date."""
    text = PAGE.read_text("utf-8")
    assert text == with_tables(text)
    assert text.count(": generated -->") == text.count("<!-- end -->") >= 2


def test_plots_are_up_to_date_and_small_and_shown():
    drawn = plots()
    assert {path.stem for path in PLOTS.glob("*.svg")} == drawn.keys()
    for name, svg in drawn.items():
        assert (PLOTS / f"{name}.svg").read_text("utf-8") == svg
        assert len(svg) < LARGEST_PLOT
        ElementTree.fromstring(svg)
        assert f"(simulation/{name}.svg)" in PAGE.read_text("utf-8")


def test_the_example_of_a_world_runs(tmp_path):
    path = tmp_path / "slow-disks.toml"
    path.write_text(example("toml"), "utf-8")
    printed = run("-m", "tests.simulation", "run", "--world", str(path), "--seed", "1")
    assert "all invariants hold" in printed


@pytest.mark.parametrize(("longest", "fails"), [(1200.0, False), (10.0, True)])
def test_the_example_of_an_invariant_holds_and_can_fail(longest, fails):
    printed = run("-c", RUN.format(example=example("python"), longest=longest))
    assert ("has worked on one share since" in printed) == fails
