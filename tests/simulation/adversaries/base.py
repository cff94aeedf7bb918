"""What a malicious participant is: a name, its own chance, and hosts in neighbourhoods of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tests.simulation.network import Host

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.reactor import SimulatedReactor
    from tests.simulation.simulation import Simulation


class Adversary:
    """Somebody who does not keep to the rules. It is made before anything starts; its docstring says what it does,
    and what it hopes for. Further parameters of a kind are named, and can be set in a world's file."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        self.simulation = simulation
        self.name = name
        self.events = simulation.events
        self.chance = simulation.events.chance(f"adversary {name}")
        self.forged: set[int] = set()
        """Hashes of shares that no honest node may work on."""

    def start(self) -> None:
        """Begin; called when the world starts."""

    def at_end(self) -> None:
        """Look at the world before it ends."""

    def figures(self) -> dict[str, float]:
        """Return what tests bound, by name."""
        return {}

    def summary(self) -> Iterator[str]:
        """Yield lines for people."""
        yield from ()

    @property
    def victims(self) -> list[Machine]:
        """Return all honest nodes."""
        return [machine for machine in self.simulation.machines if machine.honest]

    def add_host(self, number: int = 0) -> Host:
        """Return a new host, in a neighbourhood (/16) of its own."""
        internet, regions = self.simulation.internet, self.simulation.world.regions
        region = self.chance.choices(list(regions), list(regions.values()))[0]
        return internet.add(Host(f"{self.name}.{number}", self._free_address(), region))

    def _free_address(self) -> str:
        """Return an address that nobody has: hosts of nodes and miners are numbered below 70."""
        count = len(self.simulation.internet.hosts)
        return f"{70 + count // 250}.{count % 250}.0.1"

    def every(self, reactor: SimulatedReactor, seconds: float, function: Callable[[], None]) -> None:
        """Call a function again and again, at times that differ from `seconds` by up to a tenth."""

        def call() -> None:
            self.every(reactor, seconds, function)
            function()

        reactor.callLater(seconds * self.chance.uniform(0.9, 1.1), call)
