"""What goes wrong in a world: a list drawn from the seed before the world begins, so that some can be left out."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tests.simulation.crashes import CRASHES
from tests.simulation.dash_daemon import DaemonState
from tests.simulation.dashd_faults import DASHD_FAULTS
from tests.simulation.events import WORLD
from tests.simulation.fault import SETTLING, Fault, Happen

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation
    from tests.simulation.world import World

DAY: Final = 86_400.0


Drawn = tuple[float, str, int, float, float]
"""Time, kind, target, seconds and size of a fault."""


def draw_faults(world: World, chance: random.Random) -> list[Fault]:
    """Return all faults of a world, in order of time."""
    rates = world.faults
    first, last = 600.0, world.hours * 3600 - rates.calm_hours * 3600
    drawn: list[Drawn] = []
    for kind in KINDS:
        rate = getattr(rates, OF_THE_WORLD.get(kind, kind)) / DAY
        mean = rate * max(0.0, last - first) * (1 if kind in OF_THE_WORLD else world.nodes)
        drawn += draw_kind(
            kind, mean, lasting=DURATIONS[kind], between=(first, last), targets=world.nodes, chance=chance
        )
    for each in world.fixed_faults:
        drawn.append((each["time"], each["kind"], each.get("target", 0), each["seconds"], each.get("size", 0.0)))
    return [Fault(number, *each) for number, each in enumerate(sorted(drawn))]


def draw_kind(
    kind: str,
    mean: float,
    *,
    lasting: tuple[float, float],
    between: tuple[float, float],
    targets: int,
    chance: random.Random,
) -> Iterator[Drawn]:
    """Yield faults of one kind, `mean` of them on average, each of one of so many targets."""
    first, last = between
    for _ in range(_poisson(mean, chance)):
        seconds = chance.uniform(*lasting)
        when = chance.uniform(first, max(first, last - seconds))
        yield when, kind, chance.randrange(targets), seconds, chance.random()


def _poisson(mean: float, chance: random.Random) -> int:
    """Return how often something happens that happens `mean` times on average."""
    count, left = 0, mean
    while (left := left - chance.expovariate(1.0)) > 0:
        count += 1
    return count


def schedule(simulation: Simulation, faults: list[Fault]) -> None:
    """Let faults happen when their time comes."""
    for fault in faults:
        simulation.events.at(fault.time, WORLD, _happen, simulation, fault)


def _happen(simulation: Simulation, fault: Fault) -> None:
    simulation.trace.note("world", str(fault))
    simulation.disturbed_until = max(simulation.disturbed_until, fault.time + fault.seconds + SETTLING)
    KINDS[fault.kind](simulation, simulation.machines[fault.target], fault)


def _kill(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """The node gets SIGKILL, every third time SIGTERM, and starts again later."""
    machine.kill() if fault.size < 2 / 3 else machine.stop()
    fault.later(simulation, machine.start)


def _kill_at_block(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """The node gets SIGKILL within milliseconds after it has found its next block."""
    process = machine.process
    if process is None:
        return

    def found(block: object) -> None:
        def end() -> None:
            if machine.process is process:
                machine.kill()
                simulation.disturbed_until = max(simulation.disturbed_until, simulation.events.now + SETTLING)
                fault.later(simulation, machine.start)

        simulation.events.at(simulation.events.now + 0.01 + 0.03 * fault.size, WORLD, end)

    process.node.block_found.subscribe(found)


def _power_cut(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """The machine loses its power: node and Dash Core end, and what the disk has not synced is lost."""
    machine.cut_power()
    fault.later(simulation, machine.power_on)


def _data_loss(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """The node gets SIGKILL and starts again with an empty data directory."""
    machine.kill()
    machine.lose_data()
    fault.later(simulation, machine.start)


def _dashd_restart(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """Dash Core stops, and starts again later."""
    daemon = machine.daemon
    if daemon.state is DaemonState.DOWN:
        return
    daemon.stop()
    fault.later(simulation, lambda: daemon.start() if machine.host.up else None)


def _dashd_silent(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """Dash Core takes calls and answers none."""
    _set_state(simulation, machine, fault, state=DaemonState.SILENT)


def _dashd_stuck(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """Dash Core answers, but takes no more blocks."""
    _set_state(simulation, machine, fault, state=DaemonState.STUCK)


def _set_state(simulation: Simulation, machine: Machine, fault: Fault, *, state: DaemonState) -> None:
    daemon = machine.daemon
    if daemon.state is not DaemonState.RUNNING:
        return
    daemon.state = state

    def end() -> None:
        if daemon.state is state:
            daemon.start()

    fault.later(simulation, end)


def _disk_full(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """Each write to the disk fails."""
    machine.disk.full = True

    def end() -> None:
        machine.disk.full = False
        machine.disk.well_since = simulation.events.now

    fault.later(simulation, end)


def _disk_slow(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """Each sync of the disk takes 0.2 to 5.2 s."""
    machine.disk.delay = 0.2 + 5 * fault.size

    def end() -> None:
        machine.disk.delay = 0.0
        machine.disk.well_since = simulation.events.now

    fault.later(simulation, end)


def _clock_jump(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """The system clock jumps by up to ten minutes to either side, and back at the end."""
    jump = 1200 * (fault.size - 0.5)
    machine.clock.offset += jump

    def end() -> None:
        machine.clock.offset -= jump

    fault.later(simulation, end)


def _freeze(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """The node gets SIGSTOP: connections stay, and nothing is answered."""
    process = machine.process
    if process is None:
        return
    process.reactor.freeze()
    fault.later(simulation, process.reactor.thaw)


def _partition(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """A tenth to half of the machines cannot reach the others: in both directions, or for every fifth partition in
    one only."""
    chance = random.Random(f"{simulation.seed}/{fault.number}")
    count = max(1, round(len(simulation.machines) * (0.1 + 0.4 * fault.size)))
    inside = [each.host for each in chance.sample(simulation.machines, count)]
    outside = [each.host for each in simulation.machines if each.host not in inside]
    one_way = fault.number % 5 == 4
    pairs = [(one, other) for one in inside for other in outside]
    if not one_way:
        pairs += [(other, one) for one, other in pairs]
    for source, target in pairs:
        simulation.internet.cut(source, target)

    def end() -> None:
        for source, target in pairs:
            simulation.internet.mend(source, target)

    fault.later(simulation, end)


KINDS: Final[dict[str, Happen]] = {
    "kill": _kill,
    "kill_at_block": _kill_at_block,
    "power_cut": _power_cut,
    "data_loss": _data_loss,
    "dashd_restart": _dashd_restart,
    "dashd_silent": _dashd_silent,
    "dashd_stuck": _dashd_stuck,
    "disk_full": _disk_full,
    "disk_slow": _disk_slow,
    "clock_jump": _clock_jump,
    "freeze": _freeze,
    "partition": _partition,
    **{kind: happen for kind, (happen, _) in (CRASHES | DASHD_FAULTS).items()},
}
OF_THE_WORLD: Final = {"partition": "partitions", "reorganisation": "reorganisations"}
"""Kinds that do not happen to each node, and the names of their rates."""
DURATIONS: Final = {
    "kill": (1, 300),
    "kill_at_block": (1, 60),
    "power_cut": (10, 1800),
    "data_loss": (5, 60),
    "dashd_restart": (5, 300),
    "dashd_silent": (5, 600),
    "dashd_stuck": (60, 1800),
    "disk_full": (30, 1800),
    "disk_slow": (30, 1800),
    "clock_jump": (60, 3600),
    "freeze": (2, 120),
    "partition": (60, 3600),
    **{kind: seconds for kind, (_, seconds) in (CRASHES | DASHD_FAULTS).items()},
}
"""Seconds that each kind lasts, from and to."""
