"""How connections and workers are spread over the hosts of miners: counted by the server every few seconds, for
pages. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from typing import Final

from p2pool.pool_stats import HostLoad

SHOWN_HOSTS: Final = 50
MAX_NAMES: Final = 20_000
"""Names that are compared in one count: some milliseconds. Beyond it, a name that is used on two connections of a
host counts twice."""


def host_loads(connections: Iterable[tuple[str, Collection[str]]]) -> list[HostLoad]:
    """Count connections and differently named workers by host. `connections` are (host, its workers' names).
    Returns the SHOWN_HOSTS hosts with the most connections, the greatest first."""
    by_host: dict[str, list[Collection[str]]] = {}
    for host, names in connections:
        by_host.setdefault(host, []).append(names)
    left, loads = MAX_NAMES, []
    for of_host in heapq.nlargest(SHOWN_HOSTS, by_host.values(), key=len):
        count = sum(map(len, of_host))
        if count <= left:
            left -= count
            count = len(set().union(*of_host))
        loads.append(HostLoad(len(of_host), count))
    return loads
