"""Fairness: miners find shares, and are paid, in proportion to their work. What was lost of it, for people."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from p2pool.dash.address import payee_script
from p2pool.share.share import Share
from p2pool.stratum.errors import ErrorCode
from tests.simulation.invariants.base import Invariant, Violation

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.miner import SimulatedMiner
    from tests.simulation.simulation import Simulation

FALSE_ALARM: Final = 1e-10
"""The probability that luck alone breaks a bound. A miner has four: for 10,000 worlds of ten miners all of them
together are wrong with a probability below 1 in 20,000."""
SETTLED: Final = 120.0
"""Seconds after which it is certain whether a share is in the chain."""
SHOWN: Final = 4
"""Nodes whose lost shares are shown: those that lost the largest part."""
PAID_TO_WINDOW: Final = 49
"""Of 50 parts of a block's payout; the finder has the other."""


def luck(found: float, expected: float, largest: float) -> float:
    """Return a bound of the probability that a sum of independent finds, none of them larger than `largest`, is at
    least so far from what is expected, to the same side.

    Finds are a Poisson process, and each counts with its weight: Chernoff's bound for such a sum is
    exp(-(expected / largest) h(found / expected - 1)), with h(u) = (1 + u) ln(1 + u) - u.
    """
    if largest <= 0:
        return 1.0
    if expected <= 0:
        return 1.0 if found <= 0 else 0.0
    ratio = found / expected
    exponent = 1.0 if ratio == 0 else ratio * math.log(ratio) - ratio + 1
    return math.exp(-expected / largest * exponent)


class SharesFollowWork(Invariant):
    """Each miner has the shares that its work is worth: not more than luck makes of what it submitted, nor less
    than luck leaves of what was accepted. Blocks pay by shares (see EverybodyIsPaid), so this is its income.

    Without faults and adversaries, what Dash's blocks paid is compared with hash rates as well: the pay of windows
    then follows them but for luck, and for shares that are lost on the way."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.shares: dict[int, Share] = {}
        self.finders: dict[int, tuple[str, bool]] = {}
        """(node, whether it was late there) by share."""
        self._chain: set[int] = set()
        """The shares of the chain at the end."""

    def started(self, machine: Machine) -> None:
        assert machine.process is not None
        node, name = machine.process.node, machine.name

        def added(event: tuple[Share, bool]) -> None:
            share, own = event
            self.shares.setdefault(share.hash, share)
            if own and share.hash not in self.finders:
                context = node.context
                current = context is not None and (share.previous_hash, share.previous_block) == (
                    context.parent.previous_hash,
                    context.template.previous_block,
                )
                self.finders[share.hash] = name, not current

        node.share_added.subscribe(added)

    # --- shares for work ---------------------------------------------------------------------------------

    def at_end(self) -> None:
        self._chain = self._in_chain()
        found: dict[bytes, int] = {}
        for share in self.shares.values():
            found[share.script] = found.get(share.script, 0) + share.attempts
        largest = max((share.attempts for share in self.shares.values()), default=0)
        for miner in self.simulation.miners:
            attempts, name = found.get(self._script(miner), 0), miner.reactor.host.name
            most, least = miner.submitted_attempts, miner.accepted_attempts
            if attempts > most and luck(attempts, most, largest) < FALSE_ALARM:
                raise Violation(f"{name} has shares of {attempts} hashes, and submitted work of {most:.0f}")
            if attempts < least and self._served_honestly(miner) and luck(attempts, least, largest) < FALSE_ALARM:
                raise Violation(f"{name} has shares of {attempts} hashes for accepted work of {least:.0f}")
        if not self.simulation.faults and all(machine.honest for machine in self.simulation.machines):
            self._compare_pay()

    def _served_honestly(self, miner: SimulatedMiner) -> bool:
        dishonest = {machine.host.address for machine in self.simulation.machines if not machine.honest}
        return dishonest.isdisjoint(host for host, _ in miner.pools)

    def _script(self, miner: SimulatedMiner) -> bytes:
        return payee_script(miner.username, self.simulation.network.parent.addresses)

    # --- pay for hash rates ------------------------------------------------------------------------------

    def _compare_pay(self) -> None:
        lost = 1 - len(self._chain) / max(1, len(self.shares))
        paid, largest = self._paid_to_windows()
        total, rate = sum(paid.values()), sum(miner.hash_rate for miner in self.simulation.miners)
        for miner in self.simulation.miners:
            part = miner.hash_rate / rate
            has, due = paid.get(self._script(miner), 0.0), total * part
            nearest = min(max(has, due * (1 - 2 * lost)), due * (1 + 2 * lost))
            if luck(has, nearest, largest) < FALSE_ALARM:
                raise Violation(
                    f"{miner.reactor.host.name} has {part:.2%} of the hash rate, and {has / total:.2%} of the pay"
                )

    def _paid_to_windows(self) -> tuple[dict[bytes, float], float]:
        """Return what the blocks in Dash's chain paid to each script, without the finders' parts, and the most
        that a single share got of it."""
        paid: dict[bytes, float] = {}
        largest = 0.0
        block: Any = self.simulation.dash.best
        while block is not None:
            share = self.shares.get(block.hash)
            if block.coinbase is not None and share is not None:
                payout = share.subsidy - sum(amount for _, amount in share.payments)
                window = self._window(share)
                for output in block.coinbase.outputs:
                    if output.script in window:
                        finder = payout // 50 if output.script == share.script else 0
                        paid[output.script] = paid.get(output.script, 0.0) + output.value - finder
                work = sum(window.values())
                if work:
                    largest += payout * PAID_TO_WINDOW / 50 * self._hardest / work
            block = block.previous
        return paid, largest

    @property
    def _hardest(self) -> int:
        return max(share.attempts for share in self.shares.values())

    def _window(self, share: Share) -> dict[bytes, int]:
        """Return the hashes by script of the shares before a share, as many as the chain may have."""
        found: dict[bytes, int] = {}
        before = self.shares.get(share.previous_hash or 0)
        for _ in range(self.simulation.network.real_chain_length):
            if before is None:
                break
            found[before.script] = found.get(before.script, 0) + before.attempts
            before = self.shares.get(before.previous_hash or 0)
        return found

    # --- for people --------------------------------------------------------------------------------------

    def _in_chain(self) -> set[int]:
        """Return the shares in the chain of the honest node with the most work."""
        tips = [
            self.shares[machine.process.node.best_share]
            for machine in self.simulation.machines
            if machine.process is not None and machine.honest and machine.process.node.best_share in self.shares
        ]
        chain: set[int] = set()
        share = max(tips, key=lambda tip: tip.abswork, default=None)
        while share is not None:
            chain.add(share.hash)
            share = self.shares.get(share.previous_hash or 0)
        return chain

    def summary(self) -> Iterator[str]:
        """Yield the rates of lost shares and of rejected work."""
        now = self.simulation.events.now
        orphans: dict[str, int] = {}
        dead: dict[str, int] = {}
        made: dict[str, int] = {}
        for share_hash, (name, late) in self.finders.items():
            if now - self.simulation.share_seen.get(share_hash, now) < SETTLED:
                continue
            made[name] = made.get(name, 0) + 1
            if share_hash not in self._chain:
                kind = dead if late else orphans
                kind[name] = kind.get(name, 0) + 1
        count, late, beaten = sum(made.values()), sum(dead.values()), sum(orphans.values())
        if count:
            yield (
                f"stale shares: {late + beaten} of {count}, {(late + beaten) / count:.2%}: {beaten / count:.2%} "
                f"orphaned, {late / count:.2%} dead on arrival"
            )
            lost = {name: (dead.get(name, 0) + orphans.get(name, 0)) / number for name, number in made.items()}
            worst = sorted(lost, key=lambda name: (-lost[name], name))[:SHOWN]
            parts = (f"{name} {lost[name]:.1%} of {made[name]}" for name in worst)
            yield f"most stale shares by node: {', '.join(parts)}"
        yield self._pseudoshares()

    def _pseudoshares(self) -> str:
        accepted = sum(miner.accepted for miner in self.simulation.miners)
        rejected: dict[int, int] = {}
        for miner in self.simulation.miners:
            for code, number in miner.refused.items():
                rejected[code] = rejected.get(code, 0) + number
        parts = ", ".join(f"{number} {_name(code)}" for code, number in sorted(rejected.items()))
        return (
            f"pseudoshares: {accepted} accepted, {sum(rejected.values())} rejected{f' ({parts})' if parts else ''}"
        )


def _name(code: int) -> str:
    known = {each.value: each.name for each in ErrorCode}
    return known.get(code, f"code {code}").lower().replace("_", " ")
