"""Batches of small worlds, which must come to their end with all invariants green."""

from __future__ import annotations

import pytest

from tests.simulation.runs import run_seeds

pytestmark = pytest.mark.worlds

BATCHES = (
    ("small", range(100, 105)),
    ("small", range(105, 110)),
    ("small", range(110, 115)),
    ("alone", range(100, 110)),
    ("failing_disks", range(100, 104)),
    ("short_chain", range(100, 102)),
)
"""(world, seeds): so many that all of them take little more than a minute of CPU."""


@pytest.mark.parametrize(("world", "seeds"), BATCHES, ids=lambda value: str(value).replace(" ", ""))
def test_seeds_of_small_worlds(world: str, seeds: range) -> None:
    for outcome in run_seeds(world, seeds):
        assert outcome.invariant is None, (
            f"{outcome.text}: python -m tests.simulation replay --world {world} --seed {outcome.seed}"
        )


def test_the_batches_have_thirty_seeds() -> None:
    assert sum(len(seeds) for _, seeds in BATCHES) >= 30
