"""Work: what miners hash."""

from __future__ import annotations

from typing import Final

from tests.simulation.invariants.base import Invariant, Violation

LATE: Final = 30.0
"""Seconds after which a new block must have reached every Dash Core, node and miner."""


class MinersHaveCurrentWork(Invariant):
    """While nothing has been wrong for a while, miners hash on the best block of their node's Dash Core."""

    def each_minute(self) -> None:
        simulation, now = self.simulation, self.simulation.events.now
        if now < simulation.disturbed_until:
            return
        machines = {machine.host.address: machine for machine in simulation.machines}
        for miner in simulation.miners:
            machine = machines.get(miner.pools[miner._pool][0])
            if machine is None or not machine.works or not machine.honest:
                continue
            tip, previous = machine.daemon.tip, miner.previous_block
            if previous not in (None, tip.hash) and now - tip.time > LATE:
                name = miner.reactor.host.name
                raise Violation(f"miner {name} of {machine.name} does not work on block {tip.height}")
