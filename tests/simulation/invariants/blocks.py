"""Blocks: all that the pool finds get to Dash."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from p2pool.dash.hashes import hash_hex
from p2pool.dashd.found_block import FoundBlock
from tests.simulation.invariants.base import Invariant, Violation

if TYPE_CHECKING:
    from tests.simulation.dash_chain import SimulatedBlock
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation

AT_ONCE: Final = 0.012
"""Seconds after which a found block is on the disk: three syncs of a healthy one."""


class BlocksArrive(Invariant):
    """Every block that an honest node finds gets to Dash's chain, or is beaten there by another block of its
    height, and none is refused as invalid."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.found: dict[int, tuple[str, int, float]] = {}
        """(finder, height, time) by hash."""
        self.excused: set[int] = set()
        """Those whose node was ended before a disk could have had them."""

    def ending(self, machine: Machine) -> None:
        disk, now = machine.disk, self.simulation.events.now
        since = now - AT_ONCE - 4 * disk.delay
        if disk.hangs_until > now:
            since = min(since, disk.hangs_since)
        self._excuse(machine, float("-inf") if disk.full else since)

    def data_lost(self, machine: Machine) -> None:
        self._excuse(machine, float("-inf"))

    def _excuse(self, machine: Machine, since: float) -> None:
        """Excuse a machine's blocks that were found after a time and that nobody has heard of."""
        made = self.simulation.dash.chain.blocks
        for block_hash, (finder, _, time) in self.found.items():
            if finder == machine.name and time > since and block_hash not in made:
                self.excused.add(block_hash)

    def started(self, machine: Machine) -> None:
        assert machine.process is not None
        if not machine.honest:
            return
        name = machine.name

        def found(block: FoundBlock) -> None:
            if self.simulation.dash.is_misled(block.data):
                return
            self.found.setdefault(block.block_hash, (name, block.height, self.simulation.events.now))

        machine.process.node.block_found.subscribe(found)

    def each_minute(self) -> None:
        refusals = self.simulation.dash.refusals
        for time, daemon, why, block_hash in refusals:
            if block_hash in self.found and why.startswith(("bad-", "high-", "time-")):
                raise Violation(f"{daemon} refused a block of the pool at {time:.1f} s: {why}")
        refusals.clear()

    def fate(self, block_hash: int) -> SimulatedBlock | None:
        """Return the block of the best chain at the height of a found one."""
        chain, best = self.simulation.dash.chain, self.simulation.dash.best
        return chain.ancestor(best, self.found[block_hash][1])

    def at_end(self) -> None:
        end = self.simulation.events.now
        for block_hash, (finder, height, time) in self.found.items():
            at_height = self.fate(block_hash)
            made = self.simulation.dash.chain.blocks.get(block_hash)
            if end - time < 600:
                continue
            if made is None and block_hash not in self.excused:
                raise Violation(f"block {height} {hash_hex(block_hash)} of {finder}, found at {time:.1f} s: lost")
            if at_height is None:
                raise Violation(f"block {height} of {finder} is known, and the chain does not reach its height")

    def summary(self) -> Iterator[str]:
        if self.found:
            chain = sum(1 for each in self.found if (best := self.fate(each)) is not None and best.hash == each)
            yield f"{len(self.found)} blocks found, {chain} in Dash's chain, {len(self.found) - chain} beaten"
