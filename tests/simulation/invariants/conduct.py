"""How nodes behave: no exceptions, and no bans or refusals among the honest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from p2pool.dash.hashes import hash_hex
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.share import Share
from tests.simulation.invariants.base import Invariant, Violation

if TYPE_CHECKING:
    from p2pool.sharechain.tracker import Thought
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation


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
            now, bans = machine.clock(), machine.process.peers.hub.bans
            for address, name in honest.items() if len(bans) else ():
                if bans.is_banned(address, now):
                    raise Violation(f"{machine.name} has banned {name}, which is honest")
            guard = machine.process.stratum.server.guard
            for address, name in miners.items() if guard.bans() else ():
                if guard.ban_of(address) is not None:
                    raise Violation(f"{machine.name} has banned miner {name}, which is honest")


class NobodyIsEclipsed(Invariant):
    """No honest node has only hostile peers for more than LONGEST seconds, SETTLING seconds after each fault and
    all before it."""

    LONGEST = 60.0

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._since: dict[str, float] = {}
        """Since when each node has only hostile peers."""

    def each_minute(self) -> None:
        simulation, now = self.simulation, self.simulation.events.now
        if not simulation.adversaries or now < simulation.disturbed_until:
            self._since.clear()
            return
        honest = {each.host.address for each in simulation.machines if each.honest}
        for machine in simulation.machines:
            peers: list[str] = []
            if machine.works and machine.honest and machine.process is not None:
                peers = [peer.host for peer in machine.process.peers.hub.peers]
            if not peers or not honest.isdisjoint(peers):
                self._since.pop(machine.name, None)
            elif now - self._since.setdefault(machine.name, now) > self.LONGEST:
                raise Violation(f"none of the {len(peers)} peers of {machine.name} is honest")


class HonestSharesAreValid(Invariant):
    """No honest node refuses a share that an honest node made, itself included."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._makers: dict[int, str] = {}
        self._refused: dict[int, tuple[str, Exception]] = {}

    def started(self, machine: Machine) -> None:
        assert machine.process is not None

        def added(share_added: tuple[Share, bool]) -> None:
            share, own = share_added
            if own and machine.honest:
                self._makers[share.hash] = machine.name

        def thought(thought: Thought) -> None:
            for share, error in thought.refused:
                too_early = isinstance(error, ShareInvalid) and error.reason is Reason.NOT_CHECKABLE
                if machine.honest and not too_early:
                    self._refused.setdefault(share.hash, (machine.name, error))

        machine.process.node.share_added.subscribe(added)
        machine.process.node.thought.subscribe(thought)

    def each_minute(self) -> None:
        for share_hash, (name, error) in self._refused.items():
            maker = self._makers.get(share_hash)
            if maker is not None:
                raise Violation(f"{name} refused share {hash_hex(share_hash)} of {maker}: {error}")
        self._refused.clear()
