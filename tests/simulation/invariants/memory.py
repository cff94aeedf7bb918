"""Memory: in a long world, a node holds no more on the last day than on the third."""

from __future__ import annotations

import gc
import os
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from types import CoroutineType
from typing import TYPE_CHECKING, Final

from tests.simulation.invariants.base import Invariant, Violation
from tests.simulation.invariants.tables import node_tables

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation

DAY: Final = 86_400.0
FIRST_DAY: Final = 3
"""After so many days everything is as large as it gets: windows, tables, caches."""
GROWTH: Final = 1.25
"""What luck may add until the end."""
FEW_ENTRIES, FEW_OBJECTS = 100, 1500
"""Entries of a table, and objects of a kind in all nodes, that are no leak yet."""
_COUNTED: Final = ("p2pool.", "twisted.", "tests.simulation.events")
_OF_THE_WORLD: Final = ("p2pool.share.", "p2pool.dash.", "p2pool.simnet.")
"""Kinds of objects that the world's own records consist of."""


class MemoryStaysFlat(Invariant):
    """In worlds of four days or more, a table of a node that has no fixed bound has, at the end, no more entries
    than after three days, and there are no more objects of any kind. Each is compared after garbage collection."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._entries: dict[str, Counter[str]] = {}
        """By node: the entries of its tables after FIRST_DAY days."""
        self._objects: Counter[str] = Counter()
        self._resident: list[tuple[int, float]] = []
        """(day, megabytes) at the end of each day."""
        self._day = 0

    def each_minute(self) -> None:
        day = int(self.simulation.events.now // DAY)
        if day == self._day:
            return
        self._day = day
        gc.collect()
        self._resident.append((day, _resident()))
        if day == FIRST_DAY:
            self._entries = {machine.name: entries_of(machine) for machine in self.simulation.machines}
            self._objects = _objects()

    def at_end(self) -> None:
        if self._day <= FIRST_DAY:
            return
        gc.collect()
        for machine in self.simulation.machines:
            before = self._entries[machine.name]
            for name, entries in entries_of(machine).items():
                if before and entries > GROWTH * before[name] + FEW_ENTRIES:
                    raise Violation(f"{machine.name}: {name} has {entries} entries, and had {before[name]}")
        for kind, count in _objects().items():
            if count > GROWTH * self._objects[kind] + FEW_OBJECTS:
                raise Violation(f"there are {count} objects {kind}, and were {self._objects[kind]}")

    def summary(self) -> Iterator[str]:
        """Yield how much memory the whole world takes, its own records of all shares and blocks included."""
        if self._day > FIRST_DAY:
            parts = ", ".join(f"{megabytes:.0f} MB after {day} days" for day, megabytes in self._resident)
            yield f"memory of the world: {parts}"


def entries_of(machine: Machine) -> Counter[str]:
    """Return the entries of all tables of a node that can grow, by name; empty if it does not run."""
    found: Counter[str] = Counter()
    if machine.process is not None:
        for name, table in node_tables(machine.process):
            fixed = isinstance(table, tuple | frozenset) or (isinstance(table, deque) and table.maxlen is not None)
            if not fixed and not isinstance(getattr(table, "limit", None), int):
                found[name] += len(table)
    return found


def _objects() -> Counter[str]:
    """Count objects by kind: the program's, and those of Twisted and of the clock that could pile up."""
    found: Counter[str] = Counter()
    for each in gc.get_objects():
        kind = type(each)
        module = kind.__module__
        counted = module.startswith(_COUNTED) or kind is CoroutineType
        if counted and not module.startswith(_OF_THE_WORLD):
            found[f"{module}.{kind.__name__}"] += 1
    return found


def _resident() -> float:
    """Return the memory of this process in megabytes; 0 where the system does not tell."""
    path = Path("/proc/self/statm")
    if not path.exists():
        return 0.0
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
