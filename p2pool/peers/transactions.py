"""The transactions that this node knows, and what each peer is notified of.

A share names its transactions by hash only, so nodes notify each other which ones they have (`have_tx`), and keep
for each other those that the next shares will name (`remember_tx`). One pool serves all peers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from p2pool.base.observable import Event
from p2pool.dash.hashes import sha256d_int
from p2pool.dash.transaction import has_stable_hash

GRACE = 20.0
"""Seconds that a transaction stays usable once it is lost: shares on the wire may still name it."""
MAX_LOST = 50_000_000
"""Bytes of lost transactions that are kept for so long; beyond it the oldest go."""
MAX_FRESH = 50_000_000
"""Bytes that may come before it is time to `trim`, whenever the last time was."""
MAX_FRESH_COUNT = 50_000
"""Transactions, likewise: with more of them `trim` would take too long."""
MAX_REMEMBERED = 2_500_000
"""Bytes of transactions that one peer may have another keep, as `counted_size` counts them."""
OVERHEAD = 100


def counted_size(data: bytes) -> int:
    """Return what a transaction counts, here and between nodes: its bytes and 100 more."""
    return len(data) + OVERHEAD


def hash_follows(tx_hash: int, data: bytes) -> bool:
    """Return whether everybody, legacy p2pool-dash too, hashes these bytes to this. Cheap for all but asset
    unlocks."""
    return not has_stable_hash(data) or sha256d_int(data) == tx_hash


@dataclass(frozen=True, slots=True)
class MiningChange:
    """Transactions that came into this node's template, and those that left it. Hash -> bytes."""

    added: Mapping[int, bytes]
    removed: Mapping[int, bytes]


class TransactionPool:
    """Known transactions by hash.

    Bound: `trim` is called every few seconds and leaves the template's, those that peers have this node remember
    (2.5 MB for each peer) and those of the last shares; it is called at once if `fresh_bytes` exceeds MAX_FRESH or
    `fresh_count` MAX_FRESH_COUNT.
    """

    def __init__(self) -> None:
        self.known: dict[int, bytes] = {}
        self.mining: dict[int, bytes] = {}
        """The transactions of the current template."""
        self.added: Event[tuple[int, ...]] = Event()
        self.removed: Event[tuple[int, ...]] = Event()
        self.mining_changed: Event[MiningChange] = Event()
        self._lost: dict[int, tuple[float, bytes]] = {}
        """Hash -> (when it was lost, bytes). At most MAX_LOST bytes."""
        self.fresh_bytes = self.fresh_count = 0
        """What came since the last `trim`."""

    def get(self, tx_hash: int) -> bytes | None:
        """Return the transaction, also if it was lost a moment ago."""
        data = self.known.get(tx_hash)
        if data is None:
            lost = self._lost.get(tx_hash)
            data = None if lost is None else lost[1]
        return data

    def add(self, transactions: Iterable[tuple[int, bytes]]) -> None:
        """Add transactions to those that are known."""
        new = {tx_hash: data for tx_hash, data in transactions if tx_hash not in self.known}
        if new:
            self.known.update(new)
            self.fresh_count += len(new)
            self.fresh_bytes += sum(counted_size(data) for data in new.values())
            self.added.fire(tuple(new))

    def set_mining(self, transactions: Iterable[tuple[int, bytes]]) -> None:
        """Set the template's transactions."""
        before, self.mining = self.mining, dict(transactions)
        self.add(self.mining.items())
        for tx_hash, data in self.mining.items():
            if before.get(tx_hash) is not data:  # dashd's own bytes count, if a hash leaves some of them out
                self.known[tx_hash] = data
        added = {tx_hash: data for tx_hash, data in self.mining.items() if tx_hash not in before}
        removed = {tx_hash: data for tx_hash, data in before.items() if tx_hash not in self.mining}
        if added or removed:
            self.mining_changed.fire(MiningChange(added, removed))

    def trim(self, wanted: set[int], now: float) -> None:
        """Forget all but the template's transactions and `wanted`. Of those, what was lost is known again."""
        self.fresh_bytes = self.fresh_count = 0
        self.add([(h, self._lost[h][1]) for h in wanted if h in self._lost])
        over = [h for h, (when, _) in self._lost.items() if not 0 <= now - when <= GRACE]
        for tx_hash in over:
            del self._lost[tx_hash]
        lost = [h for h in self.known if h not in self.mining and h not in wanted]
        for tx_hash in lost:
            self._lost.pop(tx_hash, None)  # so that the order is that of the loss
            self._lost[tx_hash] = (now, self.known.pop(tx_hash))
        self._bound_lost()
        # A dict keeps the table of its largest size when it shrinks; a copy has one of its own size.
        if len(lost) > len(self.known):
            self.known = self.known.copy()
        if len(over) > len(self._lost):
            self._lost = self._lost.copy()
        if lost:
            self.removed.fire(tuple(lost))

    def _bound_lost(self) -> None:
        excess = sum(counted_size(data) for _, data in self._lost.values()) - MAX_LOST
        for tx_hash, (_, data) in list(self._lost.items()):
            if excess <= 0:
                return
            del self._lost[tx_hash]
            excess -= counted_size(data)
