"""Tables: none grows without a bound."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from p2pool.dashd.template_parsing import MAX_KNOWN
from p2pool.peers.address_book import MAX_ADDRESSES
from tests.simulation.invariants.base import Invariant, Violation
from tests.simulation.invariants.reach import tables_of

if TYPE_CHECKING:
    from tests.simulation.reactor import SimulatedReactor

LARGEST: Final = 60_000
BOUNDS: Final = {
    "TransactionCache._new": MAX_KNOWN,
    "TransactionCache._old": MAX_KNOWN,
}
"""Tables that need weeks until they are full, and the bounds that they keep by themselves."""
ROOM, ROOM_OF_EACH = 100, 20
"""Entries that a table may have that has nothing to do with the length of the share chain: in any world, and for
each node and miner of it."""
LOOK_PERIOD: Final = 1800.0
LOOKED_AT: Final = 5
"""Nodes of which the tables are looked at in a period, in turn: each look costs as much as a minute of a node."""


class HasReactor(Protocol):
    """A process, whatever is in it."""

    reactor: SimulatedReactor


class TablesStayBounded(Invariant):
    """No table of a node grows beyond its bound, and none without a bound beyond what the share chain needs."""

    def each_minute(self) -> None:
        if round(self.simulation.events.now) % LOOK_PERIOD < 60:
            machines = self.simulation.machines
            first = round(self.simulation.events.now / LOOK_PERIOD) * LOOKED_AT
            for number in range(first, first + min(LOOKED_AT, len(machines))):
                machine = machines[number % len(machines)]
                if machine.process is not None and machine.honest:
                    self.look(machine.name, machine.process)

    @property
    def largest(self) -> int:
        """Return how many entries a table may have: a node holds twice the length of the chain."""
        world = self.simulation.world
        spam = MAX_ADDRESSES if "spam_addresses" in world.adversaries else 0
        return spam + min(LARGEST, ROOM + ROOM_OF_EACH * (world.nodes + world.miners) + 3 * world.chain_length)

    def look(self, process_name: str, process: HasReactor) -> None:
        """Look at all tables of one node or gateway."""
        for name, table in node_tables(process):
            if len(table) > BOUNDS.get(name, self._most(table)):
                raise Violation(f"{process_name}: {name} has {len(table)} entries")

    def _most(self, table: object) -> int:
        """Return how many entries a table may have."""
        limit = getattr(table, "limit", None)
        if isinstance(limit, int):
            return limit
        return sys.maxsize if isinstance(table, bytearray) else self.largest


def node_tables(process: HasReactor) -> Iterator[tuple[str, Any]]:
    """Yield (name, table) of all tables of a node, those of its connections among them."""
    yield from tables_of(process, [connection.protocol for connection in process.reactor.connections])
