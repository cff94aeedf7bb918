"""Payouts: what coinbases pay, against a naive computation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from p2pool.dash.address import payee_script
from p2pool.dash.hashes import hash_hex
from p2pool.dash.script import p2pkh_script
from p2pool.share.share import Share
from tests.simulation.invariants.base import Invariant, Violation

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.pool_node import PoolProcess
    from tests.simulation.simulation import Simulation

WEIGHT_UNIT: Final = 65_535
DONATION: Final = bytes.fromhex("76a91420cb5c22b1e4d5947e5c112c7696b51ad9af3c6188ac")
"""The script of the donation: see docs/protocol/."""


class EverybodyIsPaid(Invariant):
    """The coinbase of every block pays what a naive computation over all shares of the world says, to the duff;
    that of a forged share is its finder's own affair."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.shares: dict[int, Share] = {}
        self._checked: set[int] = set()

    def started(self, machine: Machine) -> None:
        assert machine.process is not None
        machine.process.node.share_added.subscribe(lambda added: self.shares.setdefault(added[0].hash, added[0]))

    def each_minute(self) -> None:
        for block_hash, block in self.simulation.dash.chain.blocks.items():
            if block.coinbase is None or block_hash in self._checked:
                continue
            self._checked.add(block_hash)
            if any(block_hash in adversary.forged for adversary in self.simulation.adversaries):
                continue
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


class FindersOwnTheirShares(Invariant):
    """Each share that a miner found pays the address that it logged in with, or its node's, for the fee."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._checked: dict[str, int] = {}
        """By machine: the share that was checked last."""

    def each_minute(self) -> None:
        for machine in self.simulation.machines:
            if machine.process is not None:
                self._look(machine, machine.process)

    def _look(self, machine: Machine, process: PoolProcess) -> None:
        versions = self.simulation.network.parent.addresses
        last, node = self._checked.get(machine.name), process.node
        for record in reversed(process.stats._recent_shares):
            if record.share_hash == last:
                break
            self._checked[machine.name] = process.stats._recent_shares[-1].share_hash
            share = node.tracker.get(record.share_hash)
            if share is None:
                continue
            due = {payee_script(record.worker.partition(".")[0], versions)}
            if process.config.fee:
                due.add(p2pkh_script(node.settings.operator_key_hash() or b""))
            if share.script not in due:
                raise Violation(
                    f"share {hash_hex(share.hash)} of {record.worker} at {machine.name} pays {share.script.hex()}"
                )
