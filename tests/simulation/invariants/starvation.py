"""What a newcomer gets although others withhold it."""

from __future__ import annotations

from tests.simulation.adversaries.stall import Stall
from tests.simulation.invariants.base import Invariant, Violation


class NewcomersCatchUp(Invariant):
    """A node without shares works on the others' chain within ten seconds, however many of those that connect with
    it announce that chain and do not deliver it; within a minute if most nodes that it finds itself are such."""

    def each_minute(self) -> None:
        for adversary in self.simulation.adversaries:
            if isinstance(adversary, Stall):
                for seconds in adversary.waits:
                    if seconds > adversary.WITHIN:
                        raise Violation(f"{adversary.victim.name} has been without the chain for {seconds:.0f} s")
