"""Malicious participants of a world: `[adversaries]` in its file says which kinds, and how many.

A new kind is a class with a docstring that says what it does and what it hopes for, and a place in KINDS. One that
sends what it likes is a `PeerAdversary`; one that needs a share chain, miners or Dash Core is a `DishonestNode`.
Invariants are about honest nodes: `Machine.honest` tells them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.adversaries.base import Adversary
from tests.simulation.adversaries.eclipse import Eclipse
from tests.simulation.adversaries.false_time import FalseTime
from tests.simulation.adversaries.floods import HalfMessages, SpamAddresses
from tests.simulation.adversaries.forge import Forge
from tests.simulation.adversaries.selfish import Selfish, Withhold
from tests.simulation.adversaries.slow import Slow
from tests.simulation.adversaries.stall import Stall
from tests.simulation.adversaries.sybil import Sybil
from tests.simulation.adversaries.thief import Thief

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

__all__ = ["KINDS", "Adversary", "make_adversaries"]

KINDS: Final[dict[str, type[Adversary]]] = {
    "withhold": Withhold,
    "selfish": Selfish,
    "forge": Forge,
    "false_time": FalseTime,
    "thief": Thief,
    "spam_addresses": SpamAddresses,
    "slow": Slow,
    "stall": Stall,
    "sybil": Sybil,
    "eclipse": Eclipse,
    "half_messages": HalfMessages,
}


def make_adversaries(simulation: Simulation) -> Iterator[Adversary]:
    """Yield the adversaries of a world: for each kind a number of them, or a table of parameters for one. Raises
    ValueError."""
    for kind, wanted in simulation.world.adversaries.items():
        if kind not in KINDS:
            raise ValueError(f"adversary {kind} is not known; known are {', '.join(KINDS)}")
        parameters: dict[str, Any] = wanted if isinstance(wanted, dict) else {}
        for number in range(1 if isinstance(wanted, dict) else wanted):
            yield KINDS[kind](simulation, f"{kind}{number}", **parameters)
