"""The transactions that one peer has this node keep for the shares that it is going to send. Called by
`session`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from p2pool.peers.errors import Misbehaviour
from p2pool.peers.messages import RawTransaction
from p2pool.peers.transactions import MAX_REMEMBERED, counted_size


class RememberedTransactions(OrderedDict[int, bytes]):
    """Transaction hash -> bytes, oldest first. Bound: MAX_REMEMBERED bytes, as `counted_size` counts; beyond it
    the oldest go. c2pool-dash fills it at the handshake, never gives that up, and sends what its shares name on
    top.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        """Bytes that they count."""
        self._other_names: dict[int, int] = {}
        """For those that are kept under two hashes: each one's other hash."""

    def keep(self, tx_hash: int, data: bytes) -> None:
        """Keep a transaction; one that is there already stays as it is: c2pool-dash sends it again if it has not
        heard yet that this node knows it. Raises Misbehaviour for one that alone exceeds the bound."""
        if tx_hash in self:
            return
        counted = counted_size(data)
        if counted > MAX_REMEMBERED:
            raise Misbehaviour(f"it sent a transaction of {len(data)} bytes, too large to remember")
        while self.size + counted > MAX_REMEMBERED:
            self.forget((next(iter(self)),))
        self.size += counted
        self[tx_hash] = data

    def keep_whole(self, transaction: RawTransaction) -> tuple[int, ...]:
        """Keep a transaction that came with its bytes. Returns the hashes that it is known by: both, if legacy
        p2pool-dash calls it by another one, since nobody says which of them the peer's shares will name. Raises as
        `keep` does."""
        tx_hash, other = transaction.hash, transaction.other_hash
        if other is None:
            self.keep(tx_hash, transaction.data)
            return (tx_hash,)
        if tx_hash in self:  # another signed instance of the same withdrawal
            self.keep(other, transaction.data)
            return (other,)
        self.keep(tx_hash, transaction.data)
        if other in self:
            return (tx_hash,)
        self[other] = transaction.data
        self._other_names |= {tx_hash: other, other: tx_hash}
        return tx_hash, other

    def forget(self, tx_hashes: Iterable[int]) -> None:
        """Give transactions up; those that are not there are passed over."""
        for tx_hash in tx_hashes:
            data = self.pop(tx_hash, None)
            if data is not None:
                self.size -= counted_size(data)
                other = self._other_names.pop(tx_hash, None)
                if other is not None:
                    del self[other], self._other_names[other]
