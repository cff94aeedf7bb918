"""Ends of a node at any moment: between two events of a burst, in the middle of a call to the system, with a disk
that hangs, and with the data of yesterday."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.simulation.events import WORLD
from tests.simulation.fault import Fault, Happen

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.pool_node import PoolProcess
    from tests.simulation.simulation import Simulation

BURST: Final = 200
"""Events after the one that begins a burst, at most, until the kill."""
USES: Final = 12
"""Uses of the disk after which a process ends in the middle of one, at most."""


def kill_at_event(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """SIGKILL after some more events, from the next share, block, work or choice of a best share on."""
    process = machine.process
    if process is None:
        return
    left = int(BURST**fault.size)
    node = process.node
    bursts: list[Any] = [node.share_added, node.work_changed, node.thought, node.block_found]
    begun = False

    def begin(_: object) -> None:
        nonlocal begun
        if not begun:
            begun = True
            simulation.events.watchers.append(count)

    def count() -> None:
        nonlocal left
        left -= 1
        if left > 0 and machine.process is process:
            return
        simulation.events.watchers.remove(count)
        if machine.process is process:
            _end(simulation, machine, fault)

    bursts[fault.number % len(bursts)].subscribe(begin)


def _end(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    fault.now(simulation)
    machine.kill()
    fault.later(simulation, machine.start)


def crash_in_call(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """SIGKILL while a thread writes: some of its calls to the system are done, the others never happen. For every
    third fault it is the thread that writes the node's next block."""
    process = machine.process
    if process is None or machine.disk.crash_in is not None:
        return

    def crashed() -> None:
        fault.now(simulation)
        fault.later(simulation, machine.start)

    def arm(_: object = None) -> None:
        if machine.process is process and machine.disk.crash_in is None:
            machine.disk.crash_in = int(USES * fault.size)
            machine.crashed = crashed

    if fault.number % 3:
        arm()
    else:
        process.node.block_found.subscribe(arm)


def disk_hang(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """No call to the disk returns; every third node is killed meanwhile."""
    process, disk, now = machine.process, machine.disk, simulation.events.now
    if disk.hangs_until <= now:
        disk.hangs_since = now
    disk.hangs_until = max(disk.hangs_until, now + fault.seconds)
    disk.well_since = max(disk.well_since, disk.hangs_until)
    if fault.number % 3 == 0:
        simulation.events.at(now + fault.seconds * fault.size, WORLD, _kill_if, machine, process)
    fault.later(simulation, machine.start)


def _kill_if(machine: Machine, process: PoolProcess | None) -> None:
    if machine.process is process:
        machine.kill()


def old_backup(simulation: Simulation, machine: Machine, fault: Fault) -> None:
    """Somebody copies the data directory now, and has only this copy later."""
    copy = machine.disk.directory.with_name(f"{machine.name}.backup")
    machine.disk.save(copy)

    def restore() -> None:
        machine.kill()
        machine.disk.restore(copy)
        machine.data_lost(machine)
        machine.start()
        fault.now(simulation)

    fault.later(simulation, restore)


CRASHES: Final[dict[str, tuple[Happen, tuple[float, float]]]] = {
    "kill_at_event": (kill_at_event, (1, 60)),
    "crash_in_call": (crash_in_call, (1, 60)),
    "disk_hang": (disk_hang, (20, 600)),
    "old_backup": (old_backup, (60, 3600)),
}
"""By kind: what lets it happen, and the seconds that it lasts, from and to."""
