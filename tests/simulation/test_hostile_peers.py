"""What becomes of a node whose peers are gone, or hostile: figures of small worlds, with their bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.runs import run_seeds
from tests.simulation.world import WORLDS

pytestmark = pytest.mark.worlds

SYBIL = 'sybil = { known = "bootstrap", how = "silent" }'
"""The line of the world that says what hostile nodes do."""


def figures_of(world: str) -> dict[str, float]:
    """Return what a run measured; print it for whoever wants to know."""
    (outcome,) = run_seeds(world, [1])
    print(outcome.figures)
    assert outcome.invariant is None, outcome.text
    return outcome.figures


def test_miners_work_on_while_the_only_peer_is_gone_and_no_longer_than_their_node_is_patient() -> None:
    figures = figures_of("alone_again")
    assert figures["losses of the last peer"] == 4
    assert figures["shares found without peers"] > 10
    assert 40 < figures["seconds without peers at the last of them"] < 62
    assert figures["of them not on the chain"] <= 1, "two of one height, within the time to the miner"


@pytest.mark.parametrize(
    ("sybil", "chain", "honest", "part"),
    [
        pytest.param(SYBIL, 50, 50, 0.8, id="twelve bootstrap nodes are silent"),
        pytest.param(SYBIL.replace("silent", "tardy"), 50, 50, 0.9, id="they hold slots as long as they can"),
        pytest.param(
            'sybil = { known = "bootstrap", how = "outdated", count = 3 }', 5, 50, 0.85, id="they stop passing on"
        ),
        pytest.param('sybil = { known = "book", how = "other" }', 15, 15, 0.5, id="the address book is theirs"),
    ],
)
def test_a_newcomer_turns_from_hostile_nodes_that_it_finds_by_itself_to_honest_ones(
    tmp_path: Path, sybil: str, chain: float, honest: float, part: float
) -> None:
    text = WORLDS.joinpath("sybils.toml").read_text("utf-8")
    assert SYBIL in text
    world = tmp_path / "sybils.toml"
    world.write_text(text.replace(SYBIL, sybil), "utf-8")
    figures = figures_of(str(world))
    assert figures["seconds until the others' chain"] < chain
    assert figures["seconds without an honest peer"] < honest
    assert figures["part of the outgoing connections"] < part
