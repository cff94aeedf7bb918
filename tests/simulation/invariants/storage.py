"""Storage: what is on the disk outlives a node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from p2pool.dash.hashes import hash_hex
from tests.simulation.invariants.base import Invariant

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
        if process is None or machine.disk.full or machine.disk.delay or process.persistence.problem is not None:
            self._promised.pop(machine.name, None)
            return
        seen, now, node = self.simulation.share_seen, self.simulation.events.now, process.node
        own = [each for each in node.own_share_hashes() if each in node.tracker]
        self._promised[machine.name] = [each for each in own if now - seen.get(each, now) > PROMISE]

    def started(self, machine: Machine) -> None:
        promised = self._promised.pop(machine.name, [])
        process = machine.process
        assert process is not None
        if promised and any(machine.disk.directory.iterdir()):  # otherwise somebody has emptied the disk
            process.loaded.append(lambda: self._look(machine, promised))

    def _look(self, machine: Machine, promised: list[int]) -> None:
        assert machine.process is not None
        for share_hash in promised:
            if share_hash not in machine.process.node.tracker:
                self.found(f"{machine.name} has lost its share {hash_hex(share_hash)}")
        self.kept += len(promised)

    def summary(self) -> Iterator[str]:
        yield f"{self.kept} shares outlived the end of their node"


class AnnouncedBlocksSurvive(Invariant):
    """A share that is a block is on its finder's disk before others hear of it: if they have it, the finder has it
    after any end, if its disk took it."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._blocks: dict[str, list[int]] = {}

    def ending(self, machine: Machine) -> None:
        process = machine.process
        if process is None or machine.disk.full or process.persistence.problem is not None:
            self._blocks.pop(machine.name, None)
            return
        held = [process.node.tracker.get(each) for each in process.node.own_share_hashes()]
        self._blocks[machine.name] = [share.hash for share in held if share is not None and share.is_block]

    def started(self, machine: Machine) -> None:
        blocks = self._blocks.pop(machine.name, [])
        if blocks and any(machine.disk.directory.iterdir()):
            assert machine.process is not None
            machine.process.loaded.append(lambda: self._look(machine, blocks))

    def _look(self, machine: Machine, blocks: list[int]) -> None:
        assert machine.process is not None
        for share_hash in blocks:
            if share_hash in machine.process.node.tracker:
                continue
            for other in self.simulation.machines:
                if other.process is not None and share_hash in other.process.node.tracker:
                    self.found(
                        f"{machine.name} has lost block {hash_hex(share_hash)}, of which {other.name} knows"
                    )
