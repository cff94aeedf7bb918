"""What an invariant is: it watches a simulation, and says what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation


class Violation(Exception):
    """An invariant does not hold."""


class Invariant:
    """Something that must hold. Methods raise Violation."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    def logged(self, process: str, text: str, event: dict[str, Any]) -> None:
        """Look at a log line."""

    def started(self, machine: Machine) -> None:
        """Look at a new process, before anything of it happens."""

    def ending(self, machine: Machine) -> None:
        """Look at a process that is about to be killed."""

    def data_lost(self, machine: Machine) -> None:
        """Look at a machine whose files are lost, or are replaced by old ones; its node does not run."""

    def each_minute(self) -> None:
        """Look at everything, once a simulated minute."""

    def at_end(self) -> None:
        """Look at everything when the world is over, an hour after the last fault."""

    def summary(self) -> Iterator[str]:
        """Yield lines for people."""
        yield from ()
