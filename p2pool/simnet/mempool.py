"""Transactions that wait for a block, in an order in which each comes after those that it spends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from p2pool.base.observable import Event
from p2pool.dash.transaction import Transaction
from p2pool.simnet.errors import BlockInvalid, TransactionRefused
from p2pool.simnet.ledger import Coin, Ledger, OutPoint, check_spendable, is_unspendable
from p2pool.simnet.scripts import signature_operations
from p2pool.simnet.special import is_asset_unlock, is_special, parse_asset_unlock, special_types
from p2pool.simnet.validation import check_transaction, check_unlock_version, is_final

_MAX_TRANSACTION_SIZE = 100_000
MAX_ANCESTORS = 25
"""The longest chain of waiting transactions, as in Dash Core."""


@dataclass(frozen=True, slots=True)
class MempoolEntry:
    """A waiting transaction. `fee` in duffs, `time` in seconds, `height` of the tip when it came."""

    transaction: Transaction
    raw: bytes
    hash: int
    fee: int
    signature_operations: int
    time: float
    height: int
    depends: tuple[int, ...]
    """Hashes of the waiting transactions whose outputs it spends."""
    ancestors: int
    """How many waiting transactions it stands on, itself included."""

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return len(self.raw)


class Mempool:
    """At most `limit` waiting transactions, valid on top of `ledger`, which is the chain's and follows its tip."""

    def __init__(self, ledger: Ledger, limit: int, is_v24: Callable[[int], bool] = lambda height: False) -> None:
        """`is_v24`: whether the rules of Dash Core 24 hold for a block at a height."""
        self._ledger = ledger
        self._is_v24 = is_v24
        self._limit = limit
        self._entries: dict[int, MempoolEntry] = {}
        self._spent: dict[OutPoint, int] = {}
        self.updates = 0
        """Grows with every change: the number in a long-poll id."""
        self.transaction_added: Event[MempoolEntry] = Event()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[MempoolEntry]:
        return iter(tuple(self._entries.values()))

    def get(self, hash_: int) -> MempoolEntry | None:
        """Return the waiting transaction with this hash."""
        return self._entries.get(hash_)

    def spender(self, outpoint: OutPoint) -> int | None:
        """Return the hash of the waiting transaction that spends an output."""
        return self._spent.get(outpoint)

    def add(self, transaction: Transaction, *, now: float, height: int, median_time: int) -> MempoolEntry:
        """Take a transaction for the block after the tip at `height`. Another signed instance of an asset unlock
        replaces the one that waits. Raises TransactionRefused."""
        waiting, raw = self._entries.get(transaction.hash), transaction.pack()
        if waiting is not None and waiting.raw != raw:
            self._entries[waiting.hash] = again = replace(waiting, transaction=transaction, raw=raw)
            self.updates += 1
            return again
        entry = self._admit(transaction, now=now, height=height, median_time=median_time)
        self._forget_other_version(transaction)
        self._insert(entry)
        self.transaction_added.fire(entry)
        return entry

    def follow_tip(
        self, disconnected: Iterable[Transaction], *, now: Callable[[], float], height: int, median_time: int
    ) -> None:
        """Follow a change of the tip: drop what is confirmed or no longer valid, take back what a reorganisation
        freed."""
        waiting = [(entry.transaction, entry.time) for entry in self]
        self._entries.clear()
        self._spent.clear()
        for transaction, time in [(t, now()) for t in disconnected] + waiting:
            try:
                self._insert(self._admit(transaction, now=time, height=height, median_time=median_time))
            except TransactionRefused:
                continue
        self.updates += 1

    def _admit(self, transaction: Transaction, *, now: float, height: int, median_time: int) -> MempoolEntry:
        raw = transaction.pack()
        hash_ = transaction.hash
        if hash_ in self._entries:
            raise TransactionRefused("txn-already-in-mempool")
        if len(self._entries) >= self._limit:
            raise TransactionRefused("mempool full")
        if transaction.is_coinbase:
            raise TransactionRefused("coinbase")
        is_v24 = self._is_v24(height + 1)
        if transaction.has_payload and not is_special(transaction, special_types(is_v24)):
            raise TransactionRefused("bad-tx-type")
        if len(raw) > _MAX_TRANSACTION_SIZE:
            raise TransactionRefused("tx-size")
        if not is_final(transaction, height + 1, median_time):
            raise TransactionRefused("non-final")
        try:
            check_transaction(transaction)
            check_unlock_version(transaction, is_v24)
            fee, depends = self._inputs(transaction, height + 1)
        except BlockInvalid as error:
            raise TransactionRefused(error.reason) from None
        ancestors = 1 + len(self._ancestors(depends))
        if ancestors > MAX_ANCESTORS:
            raise TransactionRefused("too-long-mempool-chain")
        return MempoolEntry(
            transaction, raw, hash_, fee, signature_operations(transaction), now, height, depends, ancestors
        )

    def _inputs(self, transaction: Transaction, height: int) -> tuple[int, tuple[int, ...]]:
        """Return the fee, and the waiting transactions that are spent."""
        if is_asset_unlock(transaction):
            return self._ledger.check_unlock(transaction).fee, ()
        total = 0
        depends: dict[int, None] = {}
        for item in transaction.inputs:
            outpoint = (item.previous_hash, item.previous_index)
            if outpoint in self._spent:
                raise TransactionRefused("txn-mempool-conflict")
            coin = self._ledger.coins.get(outpoint)
            if coin is None:
                coin = self.waiting_coin(outpoint)
                if coin is None:
                    raise TransactionRefused("bad-txns-inputs-missingorspent")
                depends[outpoint[0]] = None
            check_spendable(coin, height)
            total += coin.value
        fee = total - sum(output.value for output in transaction.outputs)
        if fee < 0:
            raise TransactionRefused("bad-txns-in-belowout")
        return fee, tuple(depends)

    def waiting_coin(self, outpoint: OutPoint) -> Coin | None:
        """Return an output of a waiting transaction."""
        parent = self._entries.get(outpoint[0])
        if parent is None or outpoint[1] >= len(parent.transaction.outputs):
            return None
        output = parent.transaction.outputs[outpoint[1]]
        return None if is_unspendable(output.script) else Coin(output.value, output.script, -1, False)

    def _ancestors(self, depends: Iterable[int]) -> set[int]:
        found: set[int] = set()
        pending = list(depends)
        while pending:
            hash_ = pending.pop()
            if hash_ not in found:
                found.add(hash_)
                pending += self._entries[hash_].depends
        return found

    def _forget_other_version(self, unlock: Transaction) -> None:
        """Forget a withdrawal that waits in another version, and so under another hash: it is replaced."""
        if not is_asset_unlock(unlock):
            return
        index = parse_asset_unlock(unlock.extra_payload).index
        for entry in tuple(self._entries.values()):
            other = entry.transaction
            if is_asset_unlock(other) and parse_asset_unlock(other.extra_payload).index == index:
                del self._entries[entry.hash]

    def _insert(self, entry: MempoolEntry) -> None:
        self._entries[entry.hash] = entry
        for item in entry.transaction.inputs:
            self._spent[item.previous_hash, item.previous_index] = entry.hash
        self.updates += 1
