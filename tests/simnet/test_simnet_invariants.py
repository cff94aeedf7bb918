"""Whatever happens in whatever order, the state is what the best chain alone would have made it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def _step(simulation: Any, generator: random.Random) -> None:
    """Something happens: transactions, a block of the pool, a competing block, a deep fork, a pause."""
    what = generator.random()
    if what < 0.4:
        for _ in range(generator.randint(1, 6)):
            simulation.transactions.make()
    elif what < 0.6:
        assert simulation.chain.submit(simulation.block()) is None
    elif what < 0.9:
        depth = generator.randint(0, min(5, simulation.chain.height))
        simulation.find(generator.randint(1, depth + 2), depth)
    else:
        simulation.clock.advance(generator.choice([0, 1, 600]))


def _check(simulation: Any, fresh: Any) -> None:
    chain = simulation.chain
    fresh.clock.advance(simulation.clock.seconds() - fresh.clock.seconds())
    for height in range(1, chain.height + 1):
        assert fresh.chain.submit(chain.read(chain.active.at(height)).raw) is None
    assert fresh.chain.tip_hash == chain.tip_hash
    assert fresh.chain.ledger.coins == chain.ledger.coins
    assert set(fresh.chain.ledger.faucet) == set(chain.ledger.faucet)
    assert all(tip.work <= chain.tip.work for tip, _ in chain.branches())
    # Everything that waits can be mined.
    assert chain.propose(simulation.block(mined=False)) is None


@pytest.mark.parametrize("seed", range(6))
def test_any_course_of_events(make_simulation: Callable[..., Any], tmp_path: Path, seed: int) -> None:
    generator = random.Random(seed)
    simulation = make_simulation(data_directory=tmp_path, initial_attempts=4)
    for _ in range(60):
        _step(simulation, generator)
    _check(simulation, make_simulation(initial_attempts=4))
    simulation.chain.close()
    again = make_simulation(data_directory=tmp_path, initial_attempts=4)
    assert again.chain.tip_hash == simulation.chain.tip_hash
    assert again.chain.ledger.coins == simulation.chain.ledger.coins
    assert len(again.chain.branches()) == len(simulation.chain.branches())
