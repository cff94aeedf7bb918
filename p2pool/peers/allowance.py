"""How many transactions one host, and how many addresses one neighbourhood, may make known to everybody. Pure.

Whatever a peer has this node remember is kept for its own shares, up to MAX_REMEMBERED. To become one of the
transactions that all peers hear of it has to fit into its host's allowance: otherwise one host could fill the
pool, and have each of the others sent a list of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from p2pool.base.bounded import BoundedDict
from p2pool.peers.transactions import MAX_REMEMBERED, counted_size

PERIOD = 10.0
"""Seconds after which an allowance begins anew."""
MAX_BYTES = 2 * MAX_REMEMBERED
"""Of a host in a period, as `counted_size` counts: a whole template, and a whole other one."""
MAX_TRANSACTIONS = 10_000
"""Of a host in a period: more than a block has."""
_HOSTS = 1024
MAX_ADDRESSES = 100
"""Addresses that a neighbourhood may send at once: the longest answer to a request for them."""
ADDRESSES_RATE = 0.1
"""Addresses a second that it may send on average, besides those that it was asked for: ten times what each
connection of an honest network carries."""
_NEIGHBOURHOODS = 1024


@dataclass(slots=True)
class _Used:
    until: float
    size: int = 0
    count: int = 0


class Allowance:
    """What each host has used of its allowance. Bound: _HOSTS; the one seen first is forgotten first."""

    def __init__(self) -> None:
        self._used: BoundedDict[str, _Used] = BoundedDict(_HOSTS)

    def take(self, host: str, transactions: Iterable[tuple[int, bytes]], now: float) -> list[tuple[int, bytes]]:
        """Return those of the (hash, bytes) that fit, in their order."""
        used = self._used.get(host)
        if used is None or now >= used.until:
            used = self._used[host] = _Used(now + PERIOD)
        taken = []
        for tx_hash, data in transactions:
            size = counted_size(data)
            if used.count >= MAX_TRANSACTIONS or used.size + size > MAX_BYTES:
                break
            used.count += 1
            used.size += size
            taken.append((tx_hash, data))
        return taken


class AddressAllowance:
    """How many addresses one neighbourhood may still send: a flood would only cost time and be passed on."""

    def __init__(self, now: float) -> None:
        self._left, self._since = float(MAX_ADDRESSES), now

    def take(self, count: int, now: float) -> int:
        """Return how many of so many addresses are taken."""
        self._left = min(float(MAX_ADDRESSES), self._left + (now - self._since) * ADDRESSES_RATE)
        self._since = now
        allowed = min(count, int(self._left))
        self._left -= allowed
        return allowed

    def expect(self, count: int) -> None:
        """Allow so many more: this node asks for them."""
        self._left = min(float(MAX_ADDRESSES), self._left + count)


class AddressAllowances:
    """The allowance of each neighbourhood. Bound: _NEIGHBOURHOODS; the one seen first is forgotten first."""

    def __init__(self) -> None:
        self._allowances: BoundedDict[str, AddressAllowance] = BoundedDict(_NEIGHBOURHOODS)

    def of(self, neighbourhood: str, now: float) -> AddressAllowance:
        """Return a neighbourhood's allowance, which its connections share."""
        allowance = self._allowances.get(neighbourhood)
        if allowance is None:
            allowance = self._allowances[neighbourhood] = AddressAllowance(now)
        return allowance
