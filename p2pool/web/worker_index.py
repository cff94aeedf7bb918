"""The workers of one snapshot put in order for lists of them: pages, sorted and filtered.

Ten thousand workers are sorted once a second for each order that is asked for, and searched a bounded number of
times: however many ask, it costs a part of one second's work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from p2pool.pool_stats import WorkerSnapshot
from p2pool.pool_stats.judgement import MinerState
from p2pool.pool_stats.workers import address_of
from p2pool.web.host_shares import HostShares


def _part(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


ORDERS: Final[dict[str, Callable[[WorkerSnapshot], Any]]] = {
    "name": lambda worker: worker.name,
    "hash_rate": lambda worker: worker.hash_rate,
    "hash_rate_1h": lambda worker: worker.hash_rates[1],
    "hash_rate_1d": lambda worker: worker.hash_rates[2],
    "dead_hash_rate": lambda worker: worker.dead_rate,
    "dead_part": lambda worker: _part(worker.dead_rate, worker.hash_rate),
    "accepted": lambda worker: worker.accepted,
    "refused": lambda worker: worker.refused,
    "refused_part": lambda worker: _part(worker.refused, worker.accepted + worker.refused),
    "shares": lambda worker: worker.shares,
    "difficulty": lambda worker: worker.difficulty,
    "connections": lambda worker: worker.connections,
    "last_seen": lambda worker: worker.last_seen,
    "last_share": lambda worker: worker.last_accepted or 0.0,
    "user_agent": lambda worker: worker.software,
}
"""What workers can be sorted by; equal ones by name."""
_Workers = Sequence[WorkerSnapshot]
ADDRESS_ORDERS: Final[dict[str, Callable[[_Workers], Any]]] = {
    "name": lambda workers: address_of(workers[0].name),
    "workers": lambda workers: sum([worker.connections > 0 for worker in workers]),
    "hash_rate": lambda workers: sum([worker.hash_rate for worker in workers]),
    "hash_rate_1h": lambda workers: sum([worker.hash_rates[1] for worker in workers]),
    "hash_rate_1d": lambda workers: sum([worker.hash_rates[2] for worker in workers]),
    "dead_part": lambda workers: _part(
        sum([worker.dead_rate for worker in workers]), sum([worker.hash_rate for worker in workers])
    ),
    "accepted": lambda workers: sum([worker.accepted for worker in workers]),
    "refused_part": lambda workers: _part(
        sum([worker.refused for worker in workers]), sum([worker.accepted + worker.refused for worker in workers])
    ),
    "shares": lambda workers: sum([worker.shares for worker in workers]),
    "difficulty": lambda workers: max(
        [worker.difficulty for worker in workers if worker.connections], default=0.0
    ),
    "last_share": lambda workers: max([worker.last_accepted or 0.0 for worker in workers]),
}
"""What addresses can be sorted by; equal ones by address."""
MAX_LISTS: Final = 32
"""Filtered lists made of one snapshot, a second's that is."""
MAX_LISTS_PER_HOST: Final = 8
"""Of these, those made for one host: no single one keeps the others from searching."""


class TooManyLists(Exception):
    """This snapshot was searched in MAX_LISTS ways already, or in MAX_LISTS_PER_HOST ways for this host: ask again
    in a second."""


StateOf = Callable[[WorkerSnapshot], MinerState]


def _no_state(worker: WorkerSnapshot) -> MinerState:
    raise NotImplementedError("only for filters without states")


@dataclass(frozen=True, slots=True)
class WorkerFilter:
    """Which workers: those whose name or software holds `search` (of any case), of this `address`, with or without
    a connection, in one of these states; None for all."""

    search: str | None = None
    address: str | None = None
    connected: bool | None = None
    states: frozenset[MinerState] | None = None

    def takes(self, worker: WorkerSnapshot, state_of: StateOf) -> bool:
        """Return whether a worker is one of those selected."""
        if self.connected is not None and self.connected != bool(worker.connections):
            return False
        if self.search is not None and not (
            self.search in worker.name.casefold() or self.search in worker.software.casefold()
        ):
            return False
        return self.states is None or state_of(worker) in self.states


ALL: Final = WorkerFilter()


@dataclass(frozen=True, slots=True)
class AddressFigures:
    """All workers of an address together. Rates in hashes a second; what the bounds differ from the rate is the
    root of the sum of the workers' squared differences, as errors of independent figures add up."""

    workers: Sequence[WorkerSnapshot]
    connections: int
    hash_rate: float
    hash_rate_low: float
    hash_rate_high: float
    dead_rate: float
    accepted: int
    refused: int
    dead: int
    shares: int
    difficulty: float
    """The highest of those connected; 0 if none is."""
    last_share: float | None
    hash_rates: tuple[float, ...]
    """Of RATE_WINDOWS."""
    refused_by: Mapping[int, int]


class WorkerIndex:
    """Over the workers of one snapshot. Everything is made when first asked for."""

    def __init__(self, workers: Sequence[WorkerSnapshot]) -> None:
        self.workers = workers
        self._by_name: dict[str, WorkerSnapshot] | None = None
        self._by_address: dict[str, list[WorkerSnapshot]] | None = None
        self._ordered: dict[str, list[WorkerSnapshot]] = {}
        self._lists: dict[tuple[str, WorkerFilter], list[WorkerSnapshot]] = {}
        """Bound: MAX_LISTS."""
        self._ordered_addresses: dict[str, list[str]] = {}
        self._address_lists: dict[tuple[str, WorkerFilter], list[str]] = {}
        """Bound: MAX_LISTS, together with those of workers."""
        self._shares = HostShares(MAX_LISTS_PER_HOST)
        self._addresses: dict[str, AddressFigures] = {}

    def get(self, name: str) -> WorkerSnapshot | None:
        """Return a worker by its name; None if there is none."""
        if self._by_name is None:
            self._by_name = {worker.name: worker for worker in self.workers}
        return self._by_name.get(name)

    def by_address(self) -> dict[str, list[WorkerSnapshot]]:
        """Return all workers by payout address."""
        if self._by_address is None:
            self._by_address = {}
            for worker in self.workers:
                self._by_address.setdefault(address_of(worker.name), []).append(worker)
        return self._by_address

    def address(self, address: str) -> AddressFigures | None:
        """Return an address's workers together, summed once; None if it has none."""
        known = self._addresses.get(address)
        if known is None:
            workers = self.by_address().get(address)
            if workers is None:
                return None
            known = self._addresses[address] = _together(workers)
        return known

    def ordered(
        self, order: str, selected: WorkerFilter = ALL, client: str = "", *, state_of: StateOf = _no_state
    ) -> Sequence[WorkerSnapshot]:
        """Return the selected workers by `order` (one of ORDERS), rising, for a client's host. Raises
        TooManyLists."""
        if selected == ALL:
            return self._all(order)
        known = self._lists.get((order, selected))
        if known is None:
            self._take(client)
            if selected.address is None:
                known = [worker for worker in self._all(order) if selected.takes(worker, state_of)]
            else:
                of_address = self.by_address().get(selected.address, [])
                known = _sorted([worker for worker in of_address if selected.takes(worker, state_of)], order)
            self._lists[order, selected] = known
        return known

    def ordered_addresses(
        self, order: str, selected: WorkerFilter = ALL, client: str = "", *, state_of: StateOf = _no_state
    ) -> Sequence[str]:
        """Return the addresses that have a selected worker, by `order` (one of ADDRESS_ORDERS), rising, for a
        client's host. Raises TooManyLists."""
        whole = self._ordered_addresses.get(order)
        if whole is None:
            key, groups = ADDRESS_ORDERS[order], self.by_address()
            by_key = sorted((key(workers), address) for address, workers in groups.items())
            whole = self._ordered_addresses[order] = [address for _, address in by_key]
        if selected == ALL:
            return whole
        known = self._address_lists.get((order, selected))
        if known is None:
            self._take(client)
            found = {address_of(worker.name) for worker in self.workers if selected.takes(worker, state_of)}
            known = self._address_lists[order, selected] = [address for address in whole if address in found]
        return known

    def _take(self, client: str) -> None:
        if len(self._lists) + len(self._address_lists) >= MAX_LISTS or not self._shares.take(client):
            raise TooManyLists

    def _all(self, order: str) -> list[WorkerSnapshot]:
        known = self._ordered.get(order)
        if known is None:
            known = self._ordered[order] = _sorted(self.workers, order)
        return known


def _sorted(workers: Sequence[WorkerSnapshot], order: str) -> list[WorkerSnapshot]:
    by_name = sorted(workers, key=ORDERS["name"])
    return by_name if order == "name" else sorted(by_name, key=ORDERS[order])


def _together(workers: Sequence[WorkerSnapshot]) -> AddressFigures:
    hash_rate = sum(worker.hash_rate for worker in workers)
    below = math.hypot(*[worker.hash_rate - worker.hash_rate_low for worker in workers])
    above = math.hypot(*[worker.hash_rate_high - worker.hash_rate for worker in workers])
    return AddressFigures(
        workers=workers,
        connections=sum(worker.connections for worker in workers),
        hash_rate=hash_rate,
        hash_rate_low=max(0.0, hash_rate - below),
        hash_rate_high=hash_rate + above,
        dead_rate=sum(worker.dead_rate for worker in workers),
        accepted=sum(worker.accepted for worker in workers),
        refused=sum(worker.refused for worker in workers),
        dead=sum(worker.dead for worker in workers),
        shares=sum(worker.shares for worker in workers),
        difficulty=max((worker.difficulty for worker in workers if worker.connections), default=0.0),
        last_share=max((w.last_accepted for w in workers if w.last_accepted is not None), default=None),
        hash_rates=tuple(map(sum, zip(*[worker.hash_rates for worker in workers], strict=True))),
        refused_by=_sums([worker.refused_by for worker in workers]),
    )


def _sums(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    total: dict[int, int] = {}
    for each in counts:
        for code, count in each.items():
            total[code] = total.get(code, 0) + count
    return total
