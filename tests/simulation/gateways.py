"""The brokers and gateways of a world: for each node that has gateways a Redis, and so many machines with one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.simulation import gateway_process
from tests.simulation.broker import SimulatedBroker
from tests.simulation.disk import Disk
from tests.simulation.events import WORLD
from tests.simulation.gateway_process import GatewayMachine, gateway_config
from tests.simulation.network import Host
from tests.simulation.pool_node import WORKER_PORT
from tests.simulation.redis_server import PORT, SimulatedRedis

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

START_SPREAD = 30.0
"""Seconds in which brokers and gateways start."""


class Gateways:
    """All brokers and gateways of a simulation; none in most worlds."""

    def __init__(self, simulation: Simulation, directory: Path) -> None:
        self._simulation = simulation
        self._directory = directory
        self._chance = simulation.events.chance("gateways")
        gateway_process.install()
        world = simulation.world
        nodes = range(min(world.brokers, world.nodes)) if world.gateways else range(0)
        self.brokers = [self._broker(node) for node in nodes]
        """One for each of the first nodes."""
        SimulatedBroker.servers = {broker.host.address: broker for broker in self.brokers}
        self.machines = [self._machine(node, number) for node in nodes for number in range(world.gateways)]

    def _broker(self, node: int) -> SimulatedRedis:
        simulation = self._simulation
        host = simulation.internet.add(Host(f"r{node}", _broker_address(node), simulation.region(self._chance)))
        return SimulatedRedis(simulation.internet, host, simulation.new_clock(self._chance))

    def _machine(self, node: int, number: int) -> GatewayMachine:
        """Return a gateway. Every other one has a Dash Core on its machine, as the documentation advises."""
        simulation = self._simulation
        region = simulation.region(self._chance)
        host = simulation.internet.add(Host(f"g{node}.{number}", f"52.{node}.{number}.1", region))
        disk = Disk(self._directory / host.name, simulation.events.chance(f"disk of {host.name}"))
        flags = ["--share-rate", str(simulation.world.pseudoshare_period)]
        if number % 2 == 0:
            flags += ["--dashd-rpc-port", "9998", "--dashd-p2p-port", "9999", "user", "password"]
        return GatewayMachine(
            simulation.internet,
            host,
            node=node,
            clock=simulation.new_clock(self._chance),
            disk=disk,
            daemon=simulation.dash.add(host) if number % 2 == 0 else None,
            config=gateway_config(
                disk.directory,
                simulation.network,
                host=host,
                broker=_broker_address(node),
                flags=tuple(flags),
            ),
        )

    def pools(self, number: int) -> list[tuple[str, int]]:
        """Return where a miner mines: at the gateways of one node, at any of them."""
        here = [each for each in self.machines if each.node == number % len(self.brokers)]
        order = here[number % len(here) :] + here[: number % len(here)]
        return [(machine.host.address, WORKER_PORT) for machine in order]

    def start(self, started: Callable[[GatewayMachine], None], ending: Callable[[GatewayMachine], None]) -> None:
        """Let all of them start, in any order with the nodes."""
        events = self._simulation.events
        for broker in self.brokers:
            events.at(self._chance.uniform(0, START_SPREAD), WORLD, broker.start)
        for machine in self.machines:
            machine.started, machine.ending = started, ending
            events.at(self._chance.uniform(0, START_SPREAD), WORLD, machine.start)

    def close(self) -> None:
        """End all gateways, and remove their files."""
        for machine in self.machines:
            machine.kill()
            machine.disk.remove()


def node_flags(node: int, brokers: int) -> tuple[str, ...]:
    """Return the flags by which a node serves gateways, if it is one of those that do."""
    return ("--broker", f"redis://{_broker_address(node)}:{PORT}") if node < brokers else ()


def _broker_address(node: int) -> str:
    return f"51.{node}.0.1"
