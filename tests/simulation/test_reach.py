"""The search for tables reaches all of a node's packages, and a table that grows in any of them is found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from p2pool.app import dashd as dashd_module
from p2pool.dash.address import encode_address
from tests.simulation.computer import Clock
from tests.simulation.dash_chain import DashChain
from tests.simulation.dash_daemon import DashNetwork, SimulatedRpc
from tests.simulation.disk import Disk
from tests.simulation.events import EventQueue
from tests.simulation.invariants import Violation
from tests.simulation.invariants.tables import TablesStayBounded, node_tables
from tests.simulation.machine import Machine
from tests.simulation.network import Host, Internet
from tests.simulation.pool_node import P2P_PORT, pool_config
from tests.simulation.world import EPOCH, NETWORK, World

TABLES = {
    "app": "StratumAssembly._timers",
    "peers": "PeerHub._pings",
    "peers, by service": "Dialler._attempts",
    "dashd": "BlockSubmitter._deliveries",
    "dashd, by daemon": "DashdService._tasks",
    "stratum": "Guard.elsewhere",
    "persistence": "Batch.removed",
    "node": "Node.wanted",
    "sharechain": "Tracker._arrivals",
    "pool_stats": "PoolStats._refused",
}
"""A table of each package, by name."""


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Machine]]:
    """Yield two nodes that are connected with each other, and nobody mines."""
    monkeypatch.setattr(dashd_module, "RpcClient", dashd_module.RpcClient)
    events = EventQueue("reach")
    internet = Internet(events, lambda source, target: 0.02)
    dash = DashNetwork(internet, DashChain(NETWORK, 0x1E00FFFF, EPOCH), others=0.0)
    monkeypatch.setattr(SimulatedRpc, "daemons", dash, raising=False)
    made: list[Machine] = []
    owner = encode_address(NETWORK.parent.addresses.pubkey_hash, b"\x01" * 20)
    for name, address in (("n0", "11.0.0.1"), ("n1", "12.0.0.1")):
        host = internet.add(Host(name, address, "eu"))
        machine = Machine(
            internet,
            host,
            clock=Clock(events, EPOCH),
            disk=Disk(tmp_path / name, random.Random(1)),
            daemon=dash.add(host),
            config=pool_config(tmp_path / name, NETWORK, owner, ("--bootstrap", f"11.0.0.1:{P2P_PORT}")),
        )
        machine.start()
        made.append(machine)
    events.run(60.0)
    yield made
    for machine in made:
        machine.kill()
        machine.disk.remove()


@pytest.mark.parametrize("name", TABLES.values(), ids=TABLES.keys())
def test_a_table_that_grows_in_any_package_is_found(machines: list[Machine], name: str) -> None:
    machine = machines[1]
    assert machine.process is not None

    class OfWorld:
        world = World(name="reach", nodes=2, miners=0, hours=1)

    simulation: Any = OfWorld()
    watch = TablesStayBounded(simulation)
    watch.look(machine.name, machine.process)
    table = next(table for found, table in node_tables(machine.process) if found == name)
    entries = range(watch.largest + 1)
    if isinstance(table, dict):
        table.update(dict.fromkeys(entries))
    elif isinstance(table, list):
        table.extend(entries)
    else:
        for entry in entries:
            table.add(entry)
    with pytest.raises(Violation, match=f"n1: {name} has"):
        watch.look(machine.name, machine.process)
    table.clear()
