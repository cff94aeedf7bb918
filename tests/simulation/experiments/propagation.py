"""How long shares take to the hash rate of the pool, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulation.network import JITTER

if TYPE_CHECKING:
    from p2pool.share.share import Share
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation

WARM_UP: int = 120
"""Shares after whose time the difficulty has settled."""


class Propagation:
    """Watches all nodes of a simulation that has not started. Shares found before `since` do not count."""

    def __init__(self, simulation: Simulation, since: float) -> None:
        self._simulation = simulation
        self._since = since
        self._previous: dict[int, int | None] = {}
        self._found: dict[int, bool] = {}
        """Shares found by miners from `since` on, and whether each came too late to its own node."""
        self._spread: dict[int, list[tuple[float, str]]] = {}
        """When which node had a share, in seconds since the first one had it."""
        for machine in simulation.machines:
            self._follow(machine)

    def _follow(self, machine: Machine) -> None:
        before = machine.started

        def started(started_machine: Machine) -> None:
            before(started_machine)
            self._watch(started_machine)

        machine.started = started

    def _watch(self, machine: Machine) -> None:
        assert machine.process is not None
        node, events, seen = machine.process.node, self._simulation.events, self._simulation.share_seen

        def added(share_and_own: tuple[Share, bool]) -> None:
            share, own = share_and_own
            self._previous.setdefault(share.hash, share.previous_hash)
            if seen[share.hash] < self._since:
                return
            self._spread.setdefault(share.hash, []).append((events.now - seen[share.hash], machine.name))
            if own and node.context is not None:
                self._found[share.hash] = (share.previous_block, share.previous_hash) != node.context.tip

        node.share_added.subscribe(added)

    def figures(self) -> dict[str, Any]:
        """Return what was measured; times in seconds."""
        simulation = self._simulation
        process = simulation.machines[0].process
        assert process is not None
        chain: dict[int, None] = {}
        share_hash = process.node.best_share
        while share_hash is not None and share_hash not in chain:
            chain[share_hash] = None
            share_hash = self._previous.get(share_hash)
        end = simulation.events.now - 60  # what is newer may not be known everywhere
        found = {each: dead for each, dead in self._found.items() if simulation.share_seen[each] < end}
        kept = sum(each in chain for each in found)
        dead = sum(dead for each, dead in found.items() if each not in chain)
        rates = self._hash_rates()
        spread = [self._spread[each] for each in found if each in chain and each in self._spread]
        means = [_mean(arrivals, rates) for arrivals in spread]
        halves = sorted(_half(arrivals, rates) for arrivals in spread)
        return {
            "found": len(found),
            "kept": kept,
            "dead": dead,
            "orphans": len(found) - kept - dead,
            "period": round((end - self._since) / max(1, kept), 3),
            "delay_between_nodes": round(sum(means) / max(1, len(means)), 4),
            "delay_to_half": round(halves[len(halves) // 2], 4) if halves else None,
            "delay_of_miners": round(self._miner_delay(), 4),
        }

    def _hash_rates(self) -> dict[str, float]:
        """Return the hash rate at each node, by name."""
        simulation = self._simulation
        names = {machine.host.address: machine.name for machine in simulation.machines}
        rates: dict[str, float] = {}
        for miner in simulation.miners:
            name = names[miner.pool[0]]
            rates[name] = rates.get(name, 0.0) + miner.hash_rate
        return rates

    def _miner_delay(self) -> float:
        """Return the seconds from a miner to its node and back, in the mean over the hash rate."""
        simulation, total, delay = self._simulation, 0.0, 0.0
        for miner in simulation.miners:
            host, node = miner.reactor.host, simulation.internet.hosts[miner.pool[0]]
            total += miner.hash_rate
            delay += miner.hash_rate * 2 * simulation.internet.latency(host, node) * (1 + JITTER / 2)
        return delay / total


def _mean(arrivals: list[tuple[float, str]], rates: dict[str, float]) -> float:
    """Return the mean time until a share was with a hash of the pool."""
    weights = [(time, rates.get(name, 0.0)) for time, name in arrivals]
    return sum(time * rate for time, rate in weights) / (sum(rate for _, rate in weights) or 1.0)


def _half(arrivals: list[tuple[float, str]], rates: dict[str, float]) -> float:
    """Return the time until a share was with half of the hash rate."""
    total = 0.0
    for time, name in sorted(arrivals):
        total += rates.get(name, 0.0)
        if 2 * total >= sum(rates.values()):
            return time
    return max(time for time, _ in arrivals)
