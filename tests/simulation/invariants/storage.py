"""Storage: what is on the disk outlives a node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from p2pool.dash.hashes import hash_hex
from tests.simulation.invariants.base import Invariant, Violation

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation

PROMISE: Final = 12.0
"""Seconds after which a share is on the disk of a node whose disk is in order: a period of the store, and a write,
both slow."""


class StoredSharesSurvive(Invariant):
    """Whatever ends a node: shares of its own that it has had for PROMISE seconds are there when it is back, if
    the disk took them."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._promised: dict[str, list[int]] = {}
        self.kept = 0

    def ending(self, machine: Machine) -> None:
        process = machine.process
        seen, now, disk = self.simulation.share_seen, self.simulation.events.now, machine.disk
        ill = disk.full or disk.delay > 0 or now - disk.well_since < PROMISE
        if process is None or ill or process.persistence.problem is not None:
            self._promised.pop(machine.name, None)
            return
        node = process.node
        own = [each for each in node.own_share_hashes() if each in node.tracker]
        self._promised[machine.name] = [each for each in own if now - seen.get(each, now) > PROMISE]

    def data_lost(self, machine: Machine) -> None:
        self._promised.pop(machine.name, None)

    def started(self, machine: Machine) -> None:
        promised = self._promised.pop(machine.name, [])
        process = machine.process
        assert process is not None
        if promised:
            process.loaded.append(lambda: self._look(machine, promised))

    def _look(self, machine: Machine, promised: list[int]) -> None:
        assert machine.process is not None
        for share_hash in promised:
            if share_hash not in machine.process.node.tracker:
                raise Violation(f"{machine.name} has lost its share {hash_hex(share_hash)}")
        self.kept += len(promised)

    def summary(self) -> Iterator[str]:
        yield f"{self.kept} shares outlived the end of their node"
