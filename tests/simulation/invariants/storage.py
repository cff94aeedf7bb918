"""Storage: what is on the disk outlives a node."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from p2pool.dash.hashes import hash_hex
from p2pool.node import persistence
from p2pool.share.share import Share
from tests.simulation.invariants.base import Invariant

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation

WRITE: Final = 1.0
"""Seconds that a write may take. With the usual period of the store this makes two seconds, which
docs/design/share-chain.md promises."""


class StoredSharesSurvive(Invariant):
    """Whatever ends a node: all shares that it has had for the store's period and a write are there when it is
    back, if its disk has been well since."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._fresh: dict[str, deque[tuple[float, int]]] = {}
        """By node: (time, share) of those that came within the promise."""
        self._promised: dict[str, list[int]] = {}
        """By node: what must be there once its shares are loaded."""
        self.kept = 0

    @property
    def promise(self) -> float:
        """Return the seconds after which a share is on the disk, if that is in order."""
        return persistence.FLUSH_PERIOD + WRITE

    def started(self, machine: Machine) -> None:
        assert machine.process is not None
        fresh = self._fresh[machine.name] = deque()
        events = self.simulation.events

        def added(event: tuple[Share, bool]) -> None:
            fresh.append((events.now, event[0].hash))
            while fresh[0][0] < events.now - self.promise:
                fresh.popleft()

        machine.process.node.share_added.subscribe(added)
        forgotten: set[int] = set()
        machine.process.node.thought.subscribe(
            lambda thought: forgotten.update(share.hash for share in (*thought.pruned, *thought.removed))
        )
        machine.process.loaded.append(lambda: self._look(machine, forgotten))

    def ending(self, machine: Machine) -> None:
        process, now, disk = machine.process, self.simulation.events.now, machine.disk
        ill = disk.full or disk.delay > 0 or now - disk.well_since < self.promise
        if process is None or ill or process.persistence.problem is not None:
            return
        if process.reactor.frozen or now - process.reactor.thawed < self.promise:
            return  # it had no time to write
        fresh = {share for time, share in self._fresh[machine.name] if time > now - self.promise}
        held = [each for each in process.node.tracker.forest.nodes if each not in fresh]
        self._promised[machine.name] = self._promised.get(machine.name, []) + held

    def data_lost(self, machine: Machine) -> None:
        self._promised.pop(machine.name, None)

    def _look(self, machine: Machine, forgotten: set[int]) -> None:
        """Look for what was promised, but for what the node has decided to forget while it loaded."""
        assert machine.process is not None
        promised = self._promised.pop(machine.name, [])
        for share_hash in promised:
            if share_hash not in machine.process.node.tracker and share_hash not in forgotten:
                self.report(f"{machine.name} has lost share {hash_hex(share_hash)}")
        self.kept += len(promised)
        forgotten.clear()

    def summary(self) -> Iterator[str]:
        """Yield how many shares were looked for."""
        yield f"{self.kept} shares outlived the end of their node"


def chain_of(node: Any) -> dict[int, Share]:
    """Return the shares of the chain that a node works on, by hash."""
    best = node.best_share
    height = 0 if best is None else node.tracker.height(best)
    return {share.hash: share for share in node.tracker.ancestors(best, height)} if height else {}


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

    def data_lost(self, machine: Machine) -> None:
        self._blocks.pop(machine.name, None)

    def started(self, machine: Machine) -> None:
        blocks = self._blocks.pop(machine.name, [])
        if blocks:
            assert machine.process is not None
            machine.process.loaded.append(lambda: self._look(machine, blocks))

    def _look(self, machine: Machine, blocks: list[int]) -> None:
        assert machine.process is not None
        for share_hash in blocks:
            if share_hash in machine.process.node.tracker:
                continue
            for other in self.simulation.machines:
                if other.process is not None and share_hash in other.process.node.tracker:
                    self.report(
                        f"{machine.name} has lost block {hash_hex(share_hash)}, of which {other.name} knows"
                    )
