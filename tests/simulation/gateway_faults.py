"""What goes wrong with gateways and brokers, drawn from the seed apart from the faults of nodes: adding a kind to
either changes nothing of the other."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.simulation.events import WORLD
from tests.simulation.faults import DAY, SETTLING, Drawn, Fault, draw_kind

if TYPE_CHECKING:
    from tests.simulation.gateway_process import GatewayMachine
    from tests.simulation.network import Host
    from tests.simulation.redis_server import SimulatedRedis
    from tests.simulation.simulation import Simulation
    from tests.simulation.world import World


@dataclass(frozen=True)
class GatewayFault(Fault):
    """A fault of a gateway or of a broker, of which `target` is the place among them."""

    def __str__(self) -> str:
        return f"fault {self.number}: {self.kind} of {self.target} for {self.seconds:.0f} s"


def draw_gateway_faults(world: World, chance: random.Random, *, first_number: int) -> list[GatewayFault]:
    """Return all faults of the gateways and brokers of a world, in order of time."""
    rates = world.gateway_faults
    first, last = 300.0, world.hours * 3600 - world.faults.calm_hours * 3600
    brokers = min(world.brokers, world.nodes) if world.gateways else 0
    drawn: list[Drawn] = []
    for kind in (*GATEWAY_KINDS, *BROKER_KINDS):
        count = brokers if kind in BROKER_KINDS else brokers * world.gateways
        mean = getattr(rates, kind) / DAY * max(0.0, last - first) * count
        drawn += draw_kind(
            kind, mean, lasting=GATEWAY_DURATIONS[kind], between=(first, last), targets=count, chance=chance
        )
    return [GatewayFault(first_number + number, *each) for number, each in enumerate(sorted(drawn))]


def schedule_gateway_faults(simulation: Simulation, faults: list[GatewayFault]) -> None:
    """Let faults happen when their time comes."""
    for fault in faults:
        simulation.events.at(fault.time, WORLD, _happen, simulation, fault)


def _happen(simulation: Simulation, fault: GatewayFault) -> None:
    simulation.trace.note("world", str(fault))
    simulation.disturbed_until = max(simulation.disturbed_until, fault.time + 2 * fault.seconds + SETTLING)
    gateways = simulation.gateways
    if fault.kind in BROKER_KINDS:
        end = BROKER_KINDS[fault.kind](simulation, gateways.brokers[fault.target], fault)
    else:
        end = GATEWAY_KINDS[fault.kind](simulation, gateways.machines[fault.target], fault)

    def over() -> None:
        simulation.trace.note("world", f"fault {fault.number} is over")
        end()

    simulation.events.at(simulation.events.now + fault.seconds, WORLD, over)


_End = Callable[[], None]
"""What ends a fault."""


# --- gateways ----------------------------------------------------------------------------------------------------


def _kill(simulation: Simulation, machine: GatewayMachine, fault: GatewayFault) -> _End:
    """The gateway gets SIGKILL, every third time SIGTERM, and starts again later."""
    machine.kill() if fault.size < 2 / 3 else machine.stop()
    return machine.start


def _power_cut(simulation: Simulation, machine: GatewayMachine, fault: GatewayFault) -> _End:
    """The machine loses its power, with what its disk has not synced."""
    machine.cut_power()
    return machine.power_on


def _freeze(simulation: Simulation, machine: GatewayMachine, fault: GatewayFault) -> _End:
    """The gateway gets SIGSTOP: connections stay, and nothing is answered."""
    process = machine.process
    if process is None:
        return lambda: None
    process.reactor.freeze()
    return process.reactor.thaw


def _disk_full(simulation: Simulation, machine: GatewayMachine, fault: GatewayFault) -> _End:
    """Each write to the gateway's disk fails."""
    machine.disk.full = True

    def end() -> None:
        machine.disk.full = False

    return end


def _disk_slow(simulation: Simulation, machine: GatewayMachine, fault: GatewayFault) -> _End:
    """Each sync of the gateway's disk takes 0.2 to 5.2 s."""
    machine.disk.delay = 0.2 + 5 * fault.size

    def end() -> None:
        machine.disk.delay = 0.0

    return end


def _cut(simulation: Simulation, machine: GatewayMachine, fault: GatewayFault) -> _End:
    """Nothing passes between the gateway and its broker, every third time in one direction only."""
    return _cut_link(simulation, machine.host, simulation.gateways.brokers[machine.node].host, fault)


def _cut_link(simulation: Simulation, one: Host, other: Host, fault: GatewayFault) -> _End:
    """Cut a route both ways, or for every third fault one way only."""
    ways = [(one, other), (other, one)]
    if fault.size < 1 / 3:
        del ways[fault.number % 2]
    for source, target in ways:
        simulation.internet.cut(source, target)

    def end() -> None:
        for source, target in ways:
            simulation.internet.mend(source, target)

    return end


# --- brokers -----------------------------------------------------------------------------------------------------


def _down(simulation: Simulation, broker: SimulatedRedis, fault: GatewayFault) -> _End:
    """Redis refuses connections; every fourth time it has lost its data when it is back."""
    broker.kill()
    if fault.size < 1 / 4:
        broker.empty()
    return broker.start


def _silent(simulation: Simulation, broker: SimulatedRedis, fault: GatewayFault) -> _End:
    """Redis takes requests and answers none."""
    broker.freeze()
    return broker.thaw


def _empty(simulation: Simulation, broker: SimulatedRedis, fault: GatewayFault) -> _End:
    """Redis loses all its data."""
    broker.empty()
    return lambda: None


def _slow(simulation: Simulation, broker: SimulatedRedis, fault: GatewayFault) -> _End:
    """Redis takes up to two seconds for each request."""
    broker.slowness = 0.02 + 2 * fault.size**3

    def end() -> None:
        broker.slowness = 0.0

    return end


def _node_cut(simulation: Simulation, broker: SimulatedRedis, fault: GatewayFault) -> _End:
    """Nothing passes between the node and its broker, every third time in one direction only."""
    machine = simulation.machines[simulation.gateways.brokers.index(broker)]
    return _cut_link(simulation, machine.host, broker.host, fault)


def _kill_at_share(simulation: Simulation, broker: SimulatedRedis, fault: GatewayFault) -> _End:
    """The node gets SIGKILL within three seconds after the next share: its gateway has deleted it, or not yet."""
    machine = simulation.machines[simulation.gateways.brokers.index(broker)]
    process = machine.process
    if process is None:
        return lambda: None
    events = simulation.events

    def end() -> None:
        if machine.process is process:
            machine.kill()
            events.at(events.now + fault.seconds, WORLD, machine.start)

    def added(share: object) -> None:
        if events.now < fault.time + fault.seconds:
            events.at(events.now + 3 * fault.size, WORLD, end)

    process.node.share_added.subscribe(added)
    return lambda: None


GATEWAY_KINDS: Final[dict[str, Callable[[Simulation, GatewayMachine, GatewayFault], _End]]] = {
    "gateway_kill": _kill,
    "gateway_power_cut": _power_cut,
    "gateway_freeze": _freeze,
    "gateway_disk_full": _disk_full,
    "gateway_disk_slow": _disk_slow,
    "gateway_cut": _cut,
}
BROKER_KINDS: Final[dict[str, Callable[[Simulation, SimulatedRedis, GatewayFault], _End]]] = {
    "broker_down": _down,
    "broker_silent": _silent,
    "broker_empty": _empty,
    "broker_slow": _slow,
    "broker_cut": _node_cut,
    "kill_at_share": _kill_at_share,
}
GATEWAY_DURATIONS: Final = {
    "gateway_kill": (1, 200),
    "gateway_power_cut": (10, 400),
    "gateway_freeze": (2, 120),
    "gateway_disk_full": (20, 600),
    "gateway_disk_slow": (20, 600),
    "gateway_cut": (2, 400),
    "broker_down": (1, 400),
    "broker_silent": (1, 200),
    "broker_empty": (1, 2),
    "broker_slow": (20, 300),
    "broker_cut": (2, 400),
    "kill_at_share": (30, 120),
}
"""Seconds that each kind lasts, from and to."""
