"""What miners do while their node has no peers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pool.dash.hashes import hash_hex
from p2pool.share.share import Share
from tests.simulation.events import WORLD
from tests.simulation.invariants.base import Invariant, Violation

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation


@dataclass
class _Lone:
    """A share that was found without peers; `known_at` is when its node had one again."""

    share: Share
    finder: Machine
    alone: float
    """Seconds since the last peer was lost."""
    known_at: float | None = None


class SharesWithoutPeersCount(Invariant):
    """In a node that needs peers, miners have work for --peer-patience after the last one is lost, and no longer.
    What they find is on everybody's chain in the end, unless another share of its height was there before the node
    had a peer again."""

    LATE = 10.0
    """Seconds for a share that is on its way when miners are disconnected, and for a share to reach the others."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._lone: list[_Lone] = []
        self.losses = 0
        """How often a node lost its last peer."""
        self.beaten = 0
        """Shares that are not on the chain: of two of the same height, only one can be."""

    def started(self, machine: Machine) -> None:
        process = machine.process
        if process is None or not machine.config.network.persist:
            return
        events, patience = self.simulation.events, machine.config.peer_patience
        lost_at: list[float] = []
        """When the last peer was lost, while there is none."""

        def peers_changed(count: int) -> None:
            if not count:
                lost_at.append(events.now)
                self.losses += 1
                events.at(events.now + max(0.0, patience - 1), WORLD, keeps_work, lost_at[-1])
                return
            lost_at.clear()
            for each in self._lone:
                if each.finder is machine and each.known_at is None:
                    each.known_at = events.now

        def keeps_work(since: float) -> None:
            gone = machine.process is not process or lost_at != [since]
            if not gone and machine.works and process.node.work_problem is not None:
                self.report(f"{machine.name} took its miners' work away: {process.node.work_problem}")

        def added(share_added: tuple[Share, bool]) -> None:
            share, own = share_added
            if not own or process.peers.hub.peers:
                return
            alone = events.now - lost_at[-1] if lost_at else events.now
            if alone > patience + self.LATE:
                self.report(f"{machine.name} had miners {alone:.0f} s after it had lost its last peer")
            self._lone.append(_Lone(share, machine, alone))

        process.peers.hub.peers_changed.subscribe(peers_changed)
        process.node.share_added.subscribe(added)

    def at_end(self) -> None:
        for machine in self.simulation.machines:
            if machine.process is not None and machine.honest:
                self._look_at_chain(machine)

    def _look_at_chain(self, machine: Machine) -> None:
        assert machine.process is not None
        node = machine.process.node
        if node.best_share is None:
            return
        chain = node.tracker.ancestors(node.best_share, node.tracker.height(node.best_share))
        by_height = {share.absheight: share for share in chain}
        self.beaten = 0
        for each in self._lone:
            other = by_height.get(each.share.absheight)
            if other is None or other.hash == each.share.hash or each.known_at is None:
                continue
            self.beaten += 1
            if self.simulation.share_seen[other.hash] > each.known_at + self.LATE:
                raise Violation(
                    f"share {hash_hex(each.share.hash)}, which {each.finder.name} found without peers, is not on "
                    f"the chain of {machine.name}, though the one in its place is newer"
                )

    def figures(self) -> dict[str, float]:
        alone = [each.alone for each in self._lone]
        return {
            "losses of the last peer": self.losses,
            "shares found without peers": len(alone),
            "seconds without peers at the last of them": max(alone, default=0.0),
            "of them not on the chain": self.beaten,
        }

    def summary(self) -> Iterator[str]:
        if self._lone:
            times = ", ".join(f"{each.alone:.0f}" for each in self._lone)
            yield f"shares were found {times} s after the last peer was lost; {self.beaten} are not on the chain"
