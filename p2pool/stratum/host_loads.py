"""The numbers of connections and workers of each host of miners, counted by the server every few seconds for
pages."""

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
    """Return the SHOWN_HOSTS hosts with the most connections, the largest first: how many connections and
    differently named workers each has. `connections` are (host, names of its workers)."""
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
