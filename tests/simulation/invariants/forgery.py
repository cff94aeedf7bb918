"""Forged chains: nobody honest works on one."""

from __future__ import annotations

from p2pool.dash.hashes import hash_hex
from tests.simulation.invariants.base import Invariant, Violation


class NobodyBuildsOnForgedShares(Invariant):
    """No honest node works on a share that breaks a rule, nor on a chain that an adversary made up, once its own
    is long enough to be compared by its work."""

    def each_minute(self) -> None:
        forged: set[int] = set()
        for adversary in self.simulation.adversaries:
            forged |= adversary.forged
        for machine in self.simulation.machines if forged else ():
            if machine.process is not None and machine.honest and machine.process.node.best_share in forged:
                raise Violation(
                    f"{machine.name} works on forged share {hash_hex(machine.process.node.best_share)}"
                )
