"""Agreement: shares spread, and all nodes choose the same best share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from p2pool.dash.hashes import hash_hex
from p2pool.peers import service
from p2pool.share.share import Share
from tests.simulation.invariants.base import Invariant, Violation

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

FRESH: Final = 60.0
"""Seconds that a share may take to everybody, with all that a download needs."""


USUAL_TICK: Final = 1.0
"""Seconds between two ticks of the connections with other nodes, in a real node."""
AGREED: Final = 10
"""Shares of a node's chain, the newest ones, that others need not have in theirs: among heads whose fifth
ancestors have the same work, each node stays on the one that it saw first."""


class AllAgree(Invariant):
    """Nodes that work are on one chain SETTLING seconds after each fault and all before it, but for AGREED shares;
    when the world ends, all of them know each other's tips, but for shares of the last seconds."""

    def each_minute(self) -> None:
        simulation = self.simulation
        if simulation.events.now < simulation.disturbed_until:
            return
        chains: dict[str, list[int]] = {}
        for machine in simulation.machines:
            if machine.works and machine.honest and machine.process is not None:
                node = machine.process.node
                chains[machine.name] = [each.hash for each in node.tracker.ancestors(node.best_share, 3 * AGREED)]
        for name, chain in chains.items():
            first, reference = next(iter(chains.items()))
            if min(len(chain), len(reference)) <= 2 * AGREED:
                continue
            if chain[AGREED] not in reference and reference[AGREED] not in chain:
                raise Violation(f"{name} and {first} are on different chains")

    def at_end(self) -> None:
        simulation = self.simulation
        tips: dict[int, str] = {}
        for machine in simulation.machines:
            if machine.works and machine.honest and machine.process is not None:
                best = machine.process.node.best_share
                if best is None:
                    raise Violation(f"{machine.name} works on no share")
                tips[best] = machine.name
        now = simulation.events.now
        for machine in simulation.machines:
            if not (machine.works and machine.honest and machine.process is not None):
                continue
            tracker = machine.process.node.tracker
            for tip, name in tips.items():
                if tip in tracker or now - simulation.share_seen.get(tip, now) < FRESH:
                    continue
                raise Violation(f"{machine.name} does not know the tip of {name}, {hash_hex(tip)}")
        settled = {self._settled(machine) for machine in simulation.machines if machine.works and machine.honest}
        if len(settled) > 1:
            raise Violation(f"nodes are on {len(settled)} chains")

    def _settled(self, machine: Machine) -> int | None:
        """Return the newest share of a node's chain that everybody should have by now."""
        assert machine.process is not None
        node, simulation = machine.process.node, self.simulation
        for share in node.tracker.ancestors(node.best_share, 50):
            if simulation.events.now - simulation.share_seen.get(share.hash, 0.0) > FRESH:
                return share.hash
        return None


class SharesSpread(Invariant):
    """While nothing has been wrong for a while, a share of anybody's best chain is with every node within SPREAD
    seconds. (One beside it need not be: nodes pass on what they work on.)"""

    SPREAD = 20.0

    @property
    def spread(self) -> float:
        """Return the seconds: SPREAD, and what slower timers add: a node asks for missing parents in each tick."""
        return self.SPREAD + 2 * (service.TICK - USUAL_TICK)

    def each_minute(self) -> None:
        simulation, now = self.simulation, self.simulation.events.now
        if now < simulation.disturbed_until:
            return
        working = [machine for machine in simulation.machines if machine.works and machine.honest]
        chains: dict[int, str] = {}
        for machine in working:
            assert machine.process is not None
            node = machine.process.node
            for share in node.tracker.ancestors(node.best_share, 10):
                if now - simulation.share_seen.get(share.hash, now) > self.spread:
                    chains.setdefault(share.hash, machine.name)
        for machine in working:
            assert machine.process is not None
            for share_hash, name in chains.items():
                if share_hash not in machine.process.node.tracker:
                    raise Violation(f"{machine.name} has not heard of share {hash_hex(share_hash)} of {name}")


class TheBestShareIsRight(Invariant):
    """Each node works on the verified head with the most work at its fifth ancestor; among equals on a block, then
    on the one that it saw first."""

    def each_minute(self) -> None:
        for machine in self.simulation.machines:
            process = machine.process
            if process is None or process.reactor.frozen or not machine.honest:
                continue
            node = process.node
            if node._think_due or node.best_share is None or len(node.tracker.verified.trees) != 1:
                continue
            heads = [each.share for each in node.tracker.verified.heads.values()]
            fifths = {share.hash: self._fifth(node.tracker, share) for share in heads}
            deep = any(fifth is not None for fifth in fifths.values())
            best = max(heads, key=lambda share: self._key(node.tracker, share, fifths[share.hash], deep))
            if best.hash != node.best_share:
                raise Violation(
                    f"{machine.name} works on {hash_hex(node.best_share)} and not on {hash_hex(best.hash)}"
                )

    @staticmethod
    def _fifth(tracker: Any, share: Share) -> Share | None:
        chain = list(tracker.ancestors(share.hash, 6))
        return chain[5] if len(chain) == 6 else None

    @staticmethod
    def _key(tracker: Any, share: Share, fifth: Share | None, deep: bool) -> tuple[int, bool, int, float, int]:
        """Return what makes a head the best. At a chain's very beginning the head's own work counts."""
        seen = -tracker.arrival(share.hash).time_seen
        work = 0 if fifth is None else fifth.abswork
        return work, share.is_block, 0 if deep else share.abswork, seen, share.hash
