"""How nodes behave: no exceptions, and no bans among the honest."""

from __future__ import annotations

from typing import Any

from tests.simulation.invariants.base import Invariant, Violation


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
