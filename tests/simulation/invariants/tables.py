"""Tables: none grows without a bound."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from p2pool.share.share import Share
from p2pool.sharechain.forest import ChainEntry
from tests.simulation.invariants.base import Invariant, Violation

if TYPE_CHECKING:
    from tests.simulation.machine import Machine


LARGEST: Final = 60_000
ROOM, ROOM_OF_EACH = 100, 20
"""Entries that a table may have that has nothing to do with the length of the share chain: in any world, and for
each node and miner of it."""
ELEMENTS: Final = 100
"""Elements of a table that are looked into."""
_TABLES: Final = (dict, list, set, frozenset, tuple, deque)


class TablesStayBounded(Invariant):
    """No table of a node grows beyond its bound, and none without a bound beyond what the share chain needs."""

    def each_minute(self) -> None:
        if round(self.simulation.events.now) % 1800 < 60:
            for machine in self.simulation.machines:
                if machine.process is not None:
                    self._look(machine, machine.process)

    @property
    def largest(self) -> int:
        """Return how many entries a table may have: a node holds twice the length of the chain."""
        world = self.simulation.world
        return min(LARGEST, ROOM + ROOM_OF_EACH * (world.nodes + world.miners) + 3 * world.chain_length)

    def _look(self, machine: Machine, process: object) -> None:
        seen, waiting = {id(process)}, [process]
        while waiting:
            thing = waiting.pop()
            for name, value in _attributes(thing):
                if id(value) in seen:
                    continue
                seen.add(id(value))
                if hasattr(value, "__len__") and len(value) > self._most(value):
                    raise Violation(f"{machine.name}: {type(thing).__name__}.{name} has {len(value)} entries")
                if _is_ours(value):
                    waiting.append(value)
                for each in _elements(value):
                    if _is_ours(each) and id(each) not in seen:
                        seen.add(id(each))
                        waiting.append(each)

    def _most(self, value: object) -> int:
        """Return how many entries a table may have."""
        limit = getattr(value, "limit", None)
        if isinstance(limit, int):
            return limit
        return self.largest if isinstance(value, _TABLES) else sys.maxsize


def _is_ours(value: object) -> bool:
    """Return whether a thing is the program's, and may have tables."""
    return type(value).__module__.startswith("p2pool.") and not isinstance(value, Share | ChainEntry)


def _elements(value: object) -> list[object]:
    """Return some elements of a table."""
    if isinstance(value, dict):
        return [each for pair in islice(value.items(), ELEMENTS) for each in pair]
    return list(islice(value, ELEMENTS)) if isinstance(value, list | set | deque) else []


def _attributes(thing: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(thing, "__dict__", {}).items()
    for kind in type(thing).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if hasattr(thing, name):
                yield name, getattr(thing, name)
