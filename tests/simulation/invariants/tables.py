"""Tables: none grows without a bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from p2pool.share.share import Share
from tests.simulation.invariants.base import Invariant, Violation

if TYPE_CHECKING:
    from tests.simulation.machine import Machine


class TablesStayBounded(Invariant):
    """No table of a node grows beyond its bound, and none without a bound beyond what the share chain needs."""

    LARGEST = 60_000

    def each_minute(self) -> None:
        if round(self.simulation.events.now) % 3600 < 60:
            self.at_end()

    def at_end(self) -> None:
        for machine in self.simulation.machines:
            if machine.process is not None and machine.honest:
                self._look(machine, machine.process)

    def _look(self, machine: Machine, process: object) -> None:
        seen, waiting = {id(process)}, [process]
        while waiting:
            thing = waiting.pop()
            for name, value in _attributes(thing):
                if id(value) in seen:
                    continue
                seen.add(id(value))
                if isinstance(value, dict | list | set | tuple) and len(value) > self.LARGEST:
                    raise Violation(f"{machine.name}: {type(thing).__name__}.{name} has {len(value)} entries")
                limit = getattr(value, "limit", None)
                if isinstance(limit, int) and hasattr(value, "__len__") and len(value) > limit:
                    raise Violation(f"{machine.name}: {type(thing).__name__}.{name} has {len(value)} entries")
                if type(value).__module__.startswith("p2pool.") and not isinstance(value, Share):
                    waiting.append(value)


def _attributes(thing: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(thing, "__dict__", {}).items()
    for kind in type(thing).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if hasattr(thing, name):
                yield name, getattr(thing, name)
