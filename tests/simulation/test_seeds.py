"""Seeds that found something once, see seeds.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.runs import run_seeds

pytestmark = pytest.mark.worlds

SEEDS: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("seeds.toml").read_text("utf-8"))["seed"]


@pytest.mark.parametrize("entry", SEEDS, ids=lambda entry: f"{entry['world']}-{entry['seed']}")
def test_seed_stays_green(entry: dict[str, Any]) -> None:
    (outcome,) = run_seeds(entry["world"], [entry["seed"]])
    assert outcome.invariant is None, f"{outcome.text} (this seed once found: {entry['found']})"
