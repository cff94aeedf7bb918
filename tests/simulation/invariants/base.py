"""What an invariant is: it watches a simulation, and says what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.gateway_process import GatewayMachine
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation


class Violation(Exception):
    """An invariant does not hold."""

    @property
    def invariant(self) -> str:
        """Return the name of the invariant that raised it; empty if none did."""
        name, step = "", self.__traceback__
        while step is not None:
            owner = step.tb_frame.f_locals.get("self")
            if isinstance(owner, Invariant):
                name = type(owner).__name__
            step = step.tb_next
        return name


class Invariant:
    """Something that must hold. Methods raise Violation."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    def report(self, text: str) -> None:
        """Report what is wrong from inside a process, which would take an exception for its own."""
        try:
            raise Violation(text)
        except Violation as violation:
            self.simulation.violation = self.simulation.violation or violation

    def logged(self, process: str, text: str, event: dict[str, Any]) -> None:
        """Look at a log line."""

    def started(self, machine: Machine) -> None:
        """Look at a new process, before anything of it happens."""

    def ending(self, machine: Machine) -> None:
        """Look at a process that is about to be killed."""

    def gateway_started(self, gateway: GatewayMachine) -> None:
        """Look at a new process of a gateway, before anything of it happens."""

    def gateway_ending(self, gateway: GatewayMachine) -> None:
        """Look at a process of a gateway that is about to be killed."""

    def data_lost(self, machine: Machine) -> None:
        """Look at a machine whose files are lost, or are replaced by old ones; its node does not run."""

    def each_minute(self) -> None:
        """Look at everything, once a simulated minute."""

    def at_end(self) -> None:
        """Look at everything when the world is over, an hour after the last fault."""

    def figures(self) -> dict[str, float]:
        """Return what tests bound, by name."""
        return {}

    def summary(self) -> Iterator[str]:
        """Yield lines for people."""
        yield from ()
