"""What must hold in every world. Each invariant watches a simulation, and says what is wrong.

A new one is a class with a docstring that states what it holds, some of the methods of `Invariant`, and a place in
INVARIANTS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from p2pool.dash.address import payee_script
from p2pool.dash.hashes import hash_hex
from p2pool.share.share import Share

if TYPE_CHECKING:
    from tests.simulation.dash_chain import SimulatedBlock
    from tests.simulation.gateway_process import GatewayMachine
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation

WEIGHT_UNIT: Final = 65_535
FRESH: Final = 60.0
"""Seconds that a share may take to everybody, with all that a download needs."""
AT_ONCE: Final = 0.012
"""Seconds after which a found block is on the disk: three syncs of a healthy one."""
PROMISE: Final = 12.0
"""Seconds after which a share is on the disk of a node whose disk is in order: a period of the store, and a write,
both slow."""


class Violation(Exception):
    """An invariant does not hold."""


class Invariant:
    """Something that must hold. Methods raise Violation."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    def logged(self, process: str, text: str, event: dict[str, Any]) -> None:
        """Look at a log line."""

    def started(self, machine: Machine) -> None:
        """Look at a new process, before anything of it happens."""

    def ending(self, machine: Machine) -> None:
        """Look at a process that is about to be killed."""

    def gateway_started(self, gateway: GatewayMachine) -> None:
        """Look at a new process of a gateway, before anything of it happens."""

    def gateway_ending(self, gateway: GatewayMachine) -> None:
        """Look at a process of a gateway that is about to be killed."""

    def each_minute(self) -> None:
        """Look at everything, once a simulated minute."""

    def at_end(self) -> None:
        """Look at everything when the world is over, an hour after the last fault."""

    def summary(self) -> Iterator[str]:
        """Yield lines for people."""
        yield from ()


class NoInternalErrors(Invariant):
    """No exception is logged, by anybody, whatever goes wrong around."""

    def logged(self, process: str, text: str, event: dict[str, Any]) -> None:
        if "log_failure" in event or text.startswith(("Unhandled", "internal error")):
            raise Violation(f"{process} logged an exception: {text}")


class NobodyHonestIsBanned(Invariant):
    """No honest node bans another honest node, or a miner."""

    def each_minute(self) -> None:
        simulation = self.simulation
        honest = {each.host.address: each.name for each in simulation.machines if each.honest}
        miners = {each.reactor.host.address: each.reactor.host.name for each in simulation.miners}
        for machine in simulation.machines:
            if machine.process is None or not machine.honest:
                continue
            now = machine.clock()
            for address, name in honest.items():
                if machine.process.peers.hub.bans.is_banned(address, now):
                    raise Violation(f"{machine.name} has banned {name}, which is honest")
            for address, name in miners.items():
                if machine.process.stratum.server.guard.ban_of(address) is not None:
                    raise Violation(f"{machine.name} has banned miner {name}, which is honest")


class BlocksArrive(Invariant):
    """Every block that the pool finds gets to Dash's chain, or is beaten there by another block of its height, and
    none is refused as invalid."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.found: dict[int, tuple[str, int, float]] = {}
        """(finder, height, time) by hash."""
        self.excused: set[int] = set()
        """Those whose node was ended before a disk could have had them."""

    def ending(self, machine: Machine) -> None:
        now = self.simulation.events.now
        for block_hash, (finder, _, time) in self.found.items():
            if finder == machine.name and now - time < AT_ONCE + 4 * machine.disk.delay:
                self.excused.add(block_hash)

    def started(self, machine: Machine) -> None:
        assert machine.process is not None
        name = machine.name

        def found(block: Any) -> None:
            self.found.setdefault(block.block_hash, (name, block.height, self.simulation.events.now))

        machine.process.node.block_found.subscribe(found)

    def each_minute(self) -> None:
        refusals = self.simulation.dash.refusals
        for time, daemon, why in refusals:
            if why.startswith(("bad-", "high-", "time-")):
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


class EverybodyIsPaid(Invariant):
    """The coinbase of every block pays what a naive computation over all shares of the world says, to the duff."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.shares: dict[int, Share] = {}
        self._checked: set[int] = set()
        self.paid: dict[bytes, int] = {}
        """Duffs by script, of blocks in the chain; filled at the end."""

    def started(self, machine: Machine) -> None:
        assert machine.process is not None
        machine.process.node.share_added.subscribe(lambda added: self.shares.setdefault(added[0].hash, added[0]))

    def each_minute(self) -> None:
        for block_hash, block in self.simulation.dash.chain.blocks.items():
            if block.coinbase is None or block_hash in self._checked:
                continue
            self._checked.add(block_hash)
            share = self.shares.get(block_hash)
            if share is None:
                raise Violation(f"block {block.height} of {block.finder} is on no share of the world")
            paid = [(output.script, output.value) for output in block.coinbase.outputs[:-1]]
            due = self.due(share)
            if paid != due:
                raise Violation(f"block {block.height} of {block.finder} pays {paid}, and {due} is due")

    def due(self, share: Share) -> list[tuple[bytes, int]]:
        """Return who is to be paid what, by the text of the share-chain format."""
        network = self.simulation.network
        weights: dict[bytes, int] = {}
        total = 0
        limit = WEIGHT_UNIT * network.spread * (2**256 // (share.block_target + 1))
        window = self._before(share, network.real_chain_length)
        for ancestor in window[1:]:
            attempts = min(ancestor.attempts, (limit - total) // WEIGHT_UNIT)
            weight = attempts * (WEIGHT_UNIT - ancestor.donation)
            if weight:
                weights[ancestor.script] = weights.get(ancestor.script, 0) + weight
            total = min(total + ancestor.attempts * WEIGHT_UNIT, limit)
        others = [(payee_script(each, network.parent.addresses), amount) for each, amount in share.payments]
        payout = share.subsidy - sum(amount for _, amount in others)
        amounts = (
            {script: payout * 49 * weight // (50 * total) for script, weight in weights.items()} if total else {}
        )
        amounts[share.script] = amounts.get(share.script, 0) + payout // 50
        due = [(script, amounts[script]) for script in sorted(amounts) if amounts[script]] + others
        return [*due, (DONATION, payout - sum(amounts.values()))]

    def _before(self, share: Share, count: int) -> list[Share]:
        found: list[Share] = []
        previous = share.previous_hash
        while previous is not None and previous in self.shares and len(found) < count:
            found.append(self.shares[previous])
            previous = found[-1].previous_hash
        return found

    def summary(self) -> Iterator[str]:
        yield f"{len(self._checked)} coinbases paid to the duff"


class AllAgree(Invariant):
    """An hour after the last fault all nodes that work are on one chain, but for shares of the last seconds."""

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
                if now - simulation.share_seen.get(share.hash, now) > self.SPREAD:
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


class StoredSharesSurvive(Invariant):
    """Whatever ends a node: shares of its own that it has had for PROMISE seconds are there when it is back, if the
    disk took them, and they are on its chain: others it may forget when it starts."""

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
        chain = chain_of(node)
        own = [each for each in node.own_share_hashes() if each in chain]
        self._promised[machine.name] = [each for each in own if now - seen.get(each, now) > PROMISE]

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


def chain_of(node: Any) -> dict[int, Share]:
    """Return the shares of the chain that a node works on, by hash."""
    best = node.best_share
    height = 0 if best is None else node.tracker.height(best)
    return {share.hash: share for share in node.tracker.ancestors(best, height)} if height else {}


class TablesStayBounded(Invariant):
    """No table of a node grows beyond its bound, and none without a bound beyond what the share chain needs."""

    LARGEST = 60_000

    def each_minute(self) -> None:
        if round(self.simulation.events.now) % 3600 < 60:
            for machine in self.simulation.machines:
                if machine.process is not None:
                    self.look(machine.name, machine.process)

    def look(self, name_of_process: str, process: object) -> None:
        """Raise Violation if a table of a process is too large."""
        seen, waiting = {id(process)}, [process]
        while waiting:
            thing = waiting.pop()
            for name, value in _attributes(thing):
                if id(value) in seen:
                    continue
                seen.add(id(value))
                if isinstance(value, dict | list | set | tuple) and len(value) > self.LARGEST:
                    raise Violation(f"{name_of_process}: {type(thing).__name__}.{name} has {len(value)} entries")
                limit = getattr(value, "limit", None)
                if isinstance(limit, int) and hasattr(value, "__len__") and len(value) > limit:
                    raise Violation(f"{name_of_process}: {type(thing).__name__}.{name} has {len(value)} entries")
                if type(value).__module__.startswith("p2pool.") and not isinstance(value, Share):
                    waiting.append(value)


def _attributes(thing: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(thing, "__dict__", {}).items()
    for kind in type(thing).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if hasattr(thing, name):
                yield name, getattr(thing, name)


class WorkIsPaid(Invariant):
    """Statistics: how much of the miners' work was stale or rejected, and how shares were lost."""

    def summary(self) -> Iterator[str]:
        accepted = sum(miner.accepted for miner in self.simulation.miners)
        rejected: dict[int, int] = {}
        for miner in self.simulation.miners:
            for code, count in miner.refused.items():
                rejected[code] = rejected.get(code, 0) + count
        yield f"{accepted} pseudoshares accepted, rejected by code: {rejected}"


DONATION: Final = bytes.fromhex("76a91420cb5c22b1e4d5947e5c112c7696b51ad9af3c6188ac")
"""The script of the donation: see docs/protocol/."""
INVARIANTS: Final[tuple[type[Invariant], ...]] = (
    NoInternalErrors,
    NobodyHonestIsBanned,
    BlocksArrive,
    EverybodyIsPaid,
    AllAgree,
    SharesSpread,
    TheBestShareIsRight,
    StoredSharesSurvive,
    TablesStayBounded,
    WorkIsPaid,
)
