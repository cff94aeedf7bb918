"""Something that goes wrong in a world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.simulation.events import WORLD

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation

SETTLING: Final = 600.0
"""Seconds after a fault until everything must be as if there had been none."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong at `time` for `seconds`, with the node `target`. `size` says how much, by kind."""

    number: int
    time: float
    kind: str
    target: int
    seconds: float
    size: float = 0.0

    def __str__(self) -> str:
        return f"fault {self.number}: {self.kind} of n{self.target} for {self.seconds:.0f} s"

    def later(self, simulation: Simulation, function: Callable[[], None]) -> None:
        """Call what ends the fault in `seconds` from now."""

        def end() -> None:
            simulation.trace.note("world", f"fault {self.number} is over")
            function()

        simulation.events.at(simulation.events.now + self.seconds, WORLD, end)

    def now(self, simulation: Simulation) -> None:
        """Note that it happens now, and not at the time that was drawn."""
        simulation.trace.note("world", f"fault {self.number} happens")
        until = simulation.events.now + self.seconds + SETTLING
        simulation.disturbed_until = max(simulation.disturbed_until, until)


Happen = Callable[["Simulation", "Machine", Fault], None]
"""What lets a fault happen."""
