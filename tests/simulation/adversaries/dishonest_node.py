"""Malicious nodes: real ones with a changed part, on machines and with miners of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from p2pool.dash.script import p2pkh_script
from p2pool.node import Node
from p2pool.node.peers_adapter import PeerPool
from p2pool.peers.broadcast import ShareBroadcaster
from p2pool.peers.session import PeerSession
from p2pool.share.share import Share
from tests.simulation.adversaries.base import Adversary
from tests.simulation.events import WORLD
from tests.simulation.keys import address_of, key_of
from tests.simulation.miner import SimulatedMiner
from tests.simulation.pool_node import P2P_PORT, WORKER_PORT, PoolProcess
from tests.simulation.reactor import SimulatedReactor

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation

EASIEST = "0.000000001"
"""A difficulty below all that rules allow: more shares are a longer chain, though not more work."""
WELL_CONNECTED = 16
"""Honest nodes with which a dishonest one is always connected: it hears everything early."""


@dataclass(frozen=True)
class Income:
    """What became of a node's work. Parts are of the whole world's, from 0 to 1."""

    hash_part: float
    """Of all hashes."""
    work_part: float
    """Of the work in the chain of the honest nodes, which is what payouts follow."""
    found: int
    """Shares that it found."""
    in_chain: int
    """Those of them that are in that chain."""
    duffs: int
    """What blocks in Dash's chain paid it."""
    paid_part: float
    """Of what those blocks paid to miners."""

    @property
    def gain(self) -> float:
        """Return how many times as much as an honest node's its hashes earned."""
        return self.work_part / self.hash_part


class DishonestNode(Adversary):
    """A node that has `part` of all hashes, if it is alone, and works for itself. With `easy` its shares are as
    easy as rules allow, and all the more; otherwise as hard as an honest node of its size makes them."""

    def __init__(self, simulation: Simulation, name: str, *, part: float = 0.2, easy: bool = False) -> None:
        super().__init__(simulation, name)
        self.part = part
        self.found: dict[int, None] = {}
        """Hashes of its shares."""
        self.income: Income | None = None
        """What it has earned; known when the world ends."""
        self.machine: Machine = simulation.new_machine(name, self._free_address(), self.chance)
        self.machine.honest = False
        known = [(each.host.address, P2P_PORT) for each in self.victims[:WELL_CONNECTED]]
        self.machine.reconfigure(p2pool_nodes=tuple(known))
        self.machine.started = self._started
        host = self.add_host()
        self.miner = SimulatedMiner(
            SimulatedReactor(simulation.internet, host),
            address_of(simulation.network, name) + (f"+{EASIEST}/{EASIEST}" if easy else ""),
            hash_rate=simulation.world.hash_rate * part / (1 - part),
            pools=[(self.machine.host.address, WORKER_PORT)],
            chance=simulation.events.chance(f"miner of {name}"),
        )

    def start(self) -> None:
        """Start the node and its miner."""
        self.events.at(30 * self.chance.random(), WORLD, self.machine.start)
        self.events.at(30 + 30 * self.chance.random(), self.miner.reactor, self.miner.start)

    def _started(self, machine: Machine) -> None:
        self.simulation.node_started(machine)
        assert machine.process is not None
        machine.process.node.share_added.subscribe(self._added)
        self.change(machine.process)

    def _added(self, added: tuple[Share, bool]) -> None:
        share, own = added
        if own:
            self.found[share.hash] = None

    def change(self, process: PoolProcess) -> None:
        """Change a process before it starts."""
        raise NotImplementedError

    # --- what it earned ----------------------------------------------------------------------------------

    def at_end(self) -> None:
        """Add up what it earned."""
        victim = next((each.process for each in self.victims if each.works and each.process is not None), None)
        if victim is None:
            return
        script = p2pkh_script(key_of(self.name))
        chain = list(victim.node.tracker.ancestors(victim.node.best_share, 10**9))
        work = sum(share.attempts for share in chain)
        own = [share for share in chain if share.script == script]
        outputs = [output for coinbase in self._coinbases() for output in coinbase]
        paid = sum(value for output, value in outputs if output == script)
        self.income = Income(
            hash_part=self.miner.hash_rate / (self.miner.hash_rate + self.simulation.world.hash_rate),
            work_part=sum(share.attempts for share in own) / max(1, work),
            found=len(self.found),
            in_chain=len(own),
            duffs=paid,
            paid_part=paid / max(1, sum(value for _, value in outputs)),
        )

    def _coinbases(self) -> Iterator[list[tuple[bytes, int]]]:
        """Yield (script, duffs) of what each of the pool's blocks in Dash's chain pays, but for its masternode."""
        block = self.simulation.dash.best
        while block.previous is not None:
            if block.coinbase is not None:
                pairs = [(output.script, output.value) for output in block.coinbase.outputs]
                yield [pair for pair in pairs if pair[0] != self.simulation.dash.chain.masternode_script]
            block = block.previous

    def summary(self) -> Iterator[str]:
        """Yield what it earned."""
        if self.income is not None:
            each = self.income
            yield (
                f"{self.name}: {each.hash_part:.1%} of the hashes, {each.work_part:.1%} of the chain's work "
                f"(x {each.gain:.2f}), {each.paid_part:.1%} of payouts, {each.in_chain} of {each.found} shares in "
                "the chain"
            )


# --- secrets ---------------------------------------------------------------------------------------------


class Veil:
    """Hides shares of a node from its peers: `secret` are their hashes."""

    def __init__(self, process: PoolProcess) -> None:
        self.secret: dict[int, None] = {}
        self._process = process
        peers = process.peers
        hub = peers.hub
        hub.broadcaster = _Broadcaster(self.secret, process)
        hub._pool = hub.downloader._pool = _Pool(self.secret, process)

    def hide(self, share_hash: int) -> None:
        """Keep a share secret."""
        self.secret[share_hash] = None

    def publish(self, hashes: Sequence[int]) -> None:
        """Show shares, and send the last one of them with those below it to everybody."""
        for share_hash in hashes:
            self.secret.pop(share_hash, None)
        tracker, hub = self._process.node.tracker, self._process.peers.hub
        held = [share_hash for share_hash in hashes if share_hash in tracker]
        if held:
            hub.broadcaster.broadcast(list(tracker.ancestors(held[-1], 5)), hub.peers)


class _Broadcaster(ShareBroadcaster):
    """A broadcaster that leaves secret shares out."""

    def __init__(self, secret: dict[int, None], process: PoolProcess) -> None:
        super().__init__(process.peers.transactions, process.peers._sender_of)
        self._secret = secret

    @override
    def broadcast(self, chain: Sequence[Share], peers: Sequence[PeerSession]) -> int:
        return super().broadcast([share for share in chain if share.hash not in self._secret], peers)


class _Pool(PeerPool):
    """A share chain in which others do not find what is secret."""

    def __init__(self, secret: dict[int, None], process: PoolProcess) -> None:
        super().__init__(process.node, process.peers._block_heard)
        self._secret = secret

    @override
    def best_share_hash(self) -> int | None:
        return newest_shown(self._node, self._node.best_share, self._secret)

    @override
    def chain_part(self, share_hash: int, count: int) -> Sequence[Share]:
        return [share for share in super().chain_part(share_hash, count) if share.hash not in self._secret]

    @override
    def request_stops(self, maximum: int) -> tuple[int, ...]:
        return tuple(share_hash for share_hash in super().request_stops(maximum) if share_hash not in self._secret)


def newest_shown(node: Node, share_hash: int | None, secret: dict[int, None]) -> int | None:
    """Return the nearest share of a chain that is not secret."""
    while share_hash is not None and share_hash in secret:
        share = node.tracker.get(share_hash)
        share_hash = None if share is None else share.previous_hash
    return share_hash
