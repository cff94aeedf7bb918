"""A world brought to life: machines, Dash Cores, nodes and miners from a `World` and a seed."""

from __future__ import annotations

import gc
import math
import random
import re
import shutil
import tempfile
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.logger import globalLogBeginner

from p2pool.dash.target import target_to_bits
from tests.simulation import shared_shares, surroundings, tempo
from tests.simulation.adversaries import make_adversaries
from tests.simulation.adversaries.dishonest_node import DishonestNode
from tests.simulation.computer import Clock
from tests.simulation.dash_chain import DashChain
from tests.simulation.dash_daemon import DashNetwork, SimulatedRpc
from tests.simulation.disk import Disk
from tests.simulation.events import WORLD, EventQueue
from tests.simulation.faults import Fault, draw_faults, schedule
from tests.simulation.gateway_faults import GatewayFault, draw_gateway_faults, schedule_gateway_faults
from tests.simulation.gateway_invariants import GATEWAY_INVARIANTS
from tests.simulation.gateway_process import GatewayMachine
from tests.simulation.gateways import Gateways, node_flags
from tests.simulation.invariants import INVARIANTS, Violation
from tests.simulation.keys import address_of
from tests.simulation.machine import Machine
from tests.simulation.miner import SimulatedMiner
from tests.simulation.network import Host, Internet
from tests.simulation.pages import PagesAnswer
from tests.simulation.pool_node import P2P_PORT, WORKER_PORT, pool_config
from tests.simulation.reactor import SimulatedReactor
from tests.simulation.trace import Trace
from tests.simulation.votes import set_voters
from tests.simulation.world import EPOCH, LATENCY, World

COLLECTION, FULL_COLLECTION = 1800.0, 6 * 3600.0
"""Seconds between two collections of garbage: of what is new, and of everything."""
START_SPREAD = 30.0
"""Seconds in which all nodes start."""
RAMDISK = Path("/dev/shm")
NODE_BYTES = 14 * 1024 * 1024
"""What a node takes of memory in a day if its disk is in memory as well: 8 MB, and 6 MB of files."""


class Simulation:
    """All of a world. Only one can live in a process: logging and proof of work belong to the process."""

    def __init__(
        self,
        world: World,
        seed: str,
        *,
        without: Container[int] = (),
        show: Callable[[str], None] | None = None,
    ) -> None:
        """Take the numbers of faults to leave out, and what is called with each line of the log."""
        self.world = world
        self.seed = seed
        self.network = world.network
        self.events = events = EventQueue(f"{world.name}/{seed}")
        self.trace = Trace(events, show=show)
        events.failed = self.trace.failed
        self._chance = events.chance("world")
        self._directory = tempfile.TemporaryDirectory(
            prefix="p2pool-simulation-",
            dir=RAMDISK if _has_room(world.nodes * NODE_BYTES) else None,
        )
        self.trace.directory = self._directory.name
        self.internet = Internet(events, self._latency)
        self.internet.delivered = self.trace.delivered
        chain = DashChain(self.network, self._block_bits(), EPOCH)
        others = (1 - world.pool_part) / world.block_period
        self.dash = SimulatedRpc.daemons = DashNetwork(self.internet, chain, others=others)
        self.machines = [self._machine(number) for number in range(world.nodes)]
        self.gateways = Gateways(self, Path(self._directory.name))
        self.miners = [self._miner(number, rate) for number, rate in enumerate(self._hash_rates())]
        self.faults: list[Fault] = [*draw_faults(world, events.chance("faults"))]
        number, chance = len(self.faults), events.chance("gateway faults")
        self.faults += draw_gateway_faults(world, chance, first_number=number)
        self.adversaries = list(make_adversaries(self))
        self.machines += [each.machine for each in self.adversaries if isinstance(each, DishonestNode)]
        self.without = without
        self.share_seen: dict[int, float] = {}
        """When each share was first held by an honest node, in the world's seconds."""
        self.disturbed_until = 600.0
        """When everything has been well for a while, as far as faults go: at first all nodes have to start."""
        if world.surroundings:
            self.alerts = surroundings.AlertReceiver(self.internet)
        kinds = (*INVARIANTS, PagesAnswer, *(GATEWAY_INVARIANTS if world.gateways else ()))
        self.invariants = [kind(self) for kind in kinds]
        self.violation: Violation | None = None
        self._collection = COLLECTION
        for machine in self.machines:
            machine.ending, machine.data_lost = self._ending, self._data_lost
            if machine.honest:
                machine.started = self.node_started
        self.trace.heard.append(self._logged)
        tempo.set_tempo(world.tempo)
        set_voters(events, frozenset(f"n{world.nodes - 1 - number}" for number in range(world.other_votes)))
        shared_shares.install(check_once=world.check_once)
        _route_log(self.trace)
        gc.collect()
        gc.freeze()
        gc.disable()

    def _latency(self, source: str, target: str) -> float:
        known = LATENCY.get((source, target)) or LATENCY[target, source]
        return known * self.world.latency_factor

    def _block_bits(self) -> int:
        attempts = self.world.hash_rate / self.world.pool_part * self.world.block_period
        return target_to_bits(int(2**256 / attempts))

    def region(self, chance: random.Random) -> str:
        """Return where a machine is."""
        regions = self.world.regions
        return chance.choices(list(regions), list(regions.values()))[0]

    def new_clock(self, chance: random.Random) -> Clock:
        """Return the system clock of a machine, which is a little wrong."""
        clock = Clock(self.events, EPOCH)
        clock.offset = chance.uniform(-self.world.clock_error, self.world.clock_error)
        return clock

    def _machine(self, number: int) -> Machine:
        flags = node_flags(number, self.world.brokers if self.world.gateways else 0)
        has_surroundings = number < self.world.surroundings
        if has_surroundings:
            flags = (*flags, *surroundings.FLAGS)
        machine = self.new_machine(f"n{number}", _node_address(number), chance=self._chance, flags=flags)
        machine.surroundings = has_surroundings
        if number >= self.world.nodes - self.world.needs_peers:
            machine.reconfigure(network=replace(self.network, persist=True))
        return machine

    def new_machine(self, name: str, address: str, *, chance: random.Random, flags: Iterable[str] = ()) -> Machine:
        """Return a machine with a node, which is to be in `machines`; `chance` says where it is."""
        host = self.internet.add(Host(name, address, self.region(chance)))
        clock = self.new_clock(chance)
        disk = Disk(Path(self._directory.name) / host.name, self.events.chance(f"disk of {host.name}"))
        flags = [*flags, "--share-rate", str(self.world.pseudoshare_period)]
        flags += ["--outgoing-conns", str(self.world.outgoing)]
        for seed in map(_node_address, range(min(self.world.seeds, self.world.nodes))):
            if seed != address:
                flags += ["--bootstrap", f"{seed}:{P2P_PORT}"]
        payee = address_of(self.network, f"node {name.removeprefix('n')}")
        config = pool_config(disk.directory, self.network, payee, tuple(flags))
        return Machine(self.internet, host, clock=clock, disk=disk, daemon=self.dash.add(host), config=config)

    def _hash_rates(self) -> list[float]:
        """Return the hash rate of each miner: a whale, and a long tail."""
        world = self.world
        if not world.miners:
            return []
        tail = [1 / (rank + 1) for rank in range(world.miners - 1)]
        rest = world.hash_rate * (1 - world.whale)
        return [world.hash_rate - (rest if tail else 0.0), *(rest * each / math.fsum(tail) for each in tail)]

    def _miner(self, number: int, hash_rate: float) -> SimulatedMiner:
        host = self.internet.add(
            Host(f"m{number}", f"60.{number // 250}.{number % 250}.7", self.region(self._chance))
        )
        machines = [self.machines[(number + step) % self.world.nodes] for step in range(min(3, self.world.nodes))]
        pools = [(machine.host.address, WORKER_PORT) for machine in machines]
        return SimulatedMiner(
            SimulatedReactor(self.internet, host),
            address_of(self.network, f"miner {number}"),
            hash_rate=hash_rate,
            pools=self.gateways.pools(number) if self.world.gateways else pools,
            chance=self.events.chance(f"miner {number}"),
        )

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Let nodes and miners start, one after another."""
        for machine in self.machines[: self.world.nodes]:
            self.events.at(self._chance.uniform(0, START_SPREAD), WORLD, machine.start)
        for miner in self.miners:
            when = START_SPREAD + self._chance.uniform(0, START_SPREAD)
            self.events.at(when, miner.reactor, miner.start)
        self.gateways.start(self._gateway_started, self._gateway_ending)
        for adversary in self.adversaries:
            adversary.start()
        self.dash.start()
        faults = [fault for fault in self.faults if fault.number not in self.without]
        schedule(self, [fault for fault in faults if not isinstance(fault, GatewayFault)])
        schedule_gateway_faults(self, [fault for fault in faults if isinstance(fault, GatewayFault)])

    def run(self, until: float) -> None:
        """Let time pass up to `until`, in seconds since the world began. Raises Violation."""
        while self.events.now < until:
            self.events.run(min(until, (self.events.now // 60 + 1) * 60))
            self._raise()
            self._collect_garbage()
            for invariant in self.invariants:
                invariant.each_minute()

    def finish(self) -> None:
        """Look at everything once more, at the end. Raises Violation."""
        for adversary in self.adversaries:
            adversary.at_end()
        for invariant in self.invariants:
            invariant.at_end()

    def _raise(self) -> None:
        if self.violation is not None:
            raise self.violation

    def node_started(self, machine: Machine) -> None:
        """Let the invariants watch a new process."""
        assert machine.process is not None
        seen, events = self.share_seen, self.events
        if machine.honest:
            machine.process.node.share_added.subscribe(lambda added: seen.setdefault(added[0].hash, events.now))
        for invariant in self.invariants:
            invariant.started(machine)

    def _ending(self, machine: Machine) -> None:
        for invariant in self.invariants:
            invariant.ending(machine)

    def _gateway_started(self, gateway: GatewayMachine) -> None:
        for invariant in self.invariants:
            invariant.gateway_started(gateway)

    def _gateway_ending(self, gateway: GatewayMachine) -> None:
        for invariant in self.invariants:
            invariant.gateway_ending(gateway)

    def _data_lost(self, machine: Machine) -> None:
        for invariant in self.invariants:
            invariant.data_lost(machine)

    def _logged(self, process: str, text: str, event: dict[str, Any]) -> None:
        try:
            for invariant in self.invariants:
                invariant.logged(process, text, event)
        except Violation as violation:  # whoever logs must go on
            self.violation = self.violation or violation

    def _collect_garbage(self) -> None:
        """Collect garbage at moments that are the same in every run: destructors may log and close."""
        if self.events.now >= self._collection:
            self._collection = self.events.now + COLLECTION
            gc.collect(2 if self.events.now % FULL_COLLECTION < COLLECTION else 1)

    def close(self) -> None:
        """Remove all files."""
        self.gateways.close()
        for machine in self.machines:
            machine.kill()
            machine.disk.remove()
        self._directory.cleanup()
        gc.enable()

    @property
    def duration(self) -> float:
        """Return the seconds that the world lasts."""
        return self.world.hours * 3600


def _has_room(size: int) -> bool:
    """Return whether there is a disk in memory, with so many bytes for it and the world."""
    try:
        available = int(re.findall(r"MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_text())[0]) * 1024
        return min(available, shutil.disk_usage(RAMDISK).free) > size
    except (OSError, IndexError):
        return False


def _node_address(number: int) -> str:
    """Return an address in a neighbourhood (/16) of its own as far as there are enough."""
    return f"{11 + number % 40}.{number // 40 % 250}.{number // 10_000}.1"


_routed: list[Trace] = []


def _log(event: dict[str, Any]) -> None:
    _routed[0].log(event)


def _route_log(trace: Trace) -> None:
    if not _routed:
        globalLogBeginner.beginLoggingTo([_log], redirectStandardIO=False, discardBuffer=True)
    _routed[:] = [trace]
