"""What becomes of a node whose peers are gone, or hostile: figures of small worlds, with their bounds."""

from __future__ import annotations

import pytest

from tests.simulation.runs import run_seeds

pytestmark = pytest.mark.worlds


def figures_of(world: str, seed: int = 1) -> dict[str, float]:
    """Return what a run measured; print it for whoever wants to know."""
    (outcome,) = run_seeds(world, [seed])
    print(f"{world}: {outcome.figures}")
    assert outcome.invariant is None, outcome.text
    return outcome.figures


def test_miners_work_on_while_the_only_peer_is_gone_and_no_longer_than_their_node_is_patient() -> None:
    figures = figures_of("alone_again")
    assert figures["losses of the last peer"] == 4
    assert figures["shares found without peers"] > 10
    assert 40 < figures["seconds without peers at the last of them"] < 62
    assert figures["of them not on the chain"] <= 1, "two of one height, within the time to the miner"
