"""What a peer knows of transactions, as far as both sides have told each other, and what it needs before a
share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from p2pool.peers.messages import (
    MAX_HAVE_TX,
    MAX_PAYLOAD,
    Envelope,
    ForgetTx,
    HaveTx,
    LosingTx,
    Message,
    RawTransaction,
    RememberTx,
    Shares,
)
from p2pool.peers.transactions import (
    MAX_REMEMBERED,
    MiningChange,
    TransactionPool,
    counted_size,
    hash_follows,
)

MAX_KNOWN = MAX_HAVE_TX
"""Transactions that one peer is believed to have; beyond it the oldest are forgotten."""
_ROOM = MAX_PAYLOAD - 64
T = TypeVar("T")


class Sender(Protocol):
    """The connection that messages go out on."""

    def send(self, message: Message) -> None:
        """Send one message to the peer."""

    def send_framed(self, data: bytes) -> None:
        """Send bytes that are framed already."""


def split(items: Sequence[T], size: Callable[[T], int], room: int = _ROOM) -> list[list[T]]:
    """Yield parts of a list that each fit into one message."""
    parts: list[list[T]] = []
    left = 0
    for item in items:
        needed = size(item)
        if not parts or needed > left:
            parts.append([])
            left = room
        parts[-1].append(item)
        left -= needed
    return parts


class RemoteView:
    """What one peer knows of transactions, and what this node had it keep."""

    def __init__(self) -> None:
        self._known: dict[int, None] = {}
        self._remembers: dict[int, int] = {}
        """What this node had the peer keep: hash -> the size that it counts. At most MAX_REMEMBERED in all."""
        self._remembered_size = 0

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, tx_hash: object) -> bool:
        return tx_hash in self._known

    # --- what the peer says ------------------------------------------------------------------------------

    def has(self, tx_hashes: Iterable[int]) -> None:
        """Note that the peer knows these."""
        known = self._known
        known.update(dict.fromkeys(tx_hashes))
        for oldest in list(islice(known, max(0, len(known) - MAX_KNOWN))):
            del known[oldest]

    def lost(self, tx_hashes: Iterable[int]) -> None:
        """Note that the peer no longer knows these."""
        for tx_hash in tx_hashes:
            self._known.pop(tx_hash, None)

    # --- what this node says -----------------------------------------------------------------------------

    def introduce(self, sender: Sender, pool: TransactionPool) -> None:
        """Send, after the handshake, what this node knows and what its next shares will name."""
        for message in have_tx_messages(tuple(pool.known)):
            sender.send(message)
        self._remember(sender, pool.mining)

    def send_mining(self, sender: Sender, change: MiningChange) -> None:
        """Tell the peer what changed in the template of this node."""
        self._forget(sender, change.removed)
        self._remember(sender, change.added)

    def _remember(self, sender: Sender, transactions: Mapping[int, bytes], ahead: bool = True) -> list[int]:
        """Have the peer keep these, as far as it has room for them. Returns which ones it keeps now.

        What legacy p2pool-dash hashes to another number is not sent `ahead` of a share: such a peer would
        disconnect when told to forget a transaction that it does not remember.
        """
        kept: list[int] = []
        for tx_hash, data in transactions.items():
            size = counted_size(data)
            if tx_hash in self._remembers or self._remembered_size + size > MAX_REMEMBERED:
                continue
            if ahead and tx_hash not in self._known and not hash_follows(tx_hash, data):
                continue
            self._remembers[tx_hash] = size
            self._remembered_size += size
            kept.append(tx_hash)
        by_hash = [tx_hash for tx_hash in kept if tx_hash in self._known]
        # Bytes with two hashes are sent once: the peer knows them by both, and would disconnect the second time.
        in_full = {transactions[h]: RawTransaction(h, transactions[h]) for h in kept if h not in self._known}
        for hashes in split(by_hash, lambda _: 32):
            sender.send(RememberTx(tuple(hashes), ()))
        for part in split(list(in_full.values()), lambda transaction: len(transaction.data)):
            sender.send(RememberTx((), tuple(part)))
        return kept

    def _forget(self, sender: Sender, tx_hashes: Iterable[int]) -> None:
        dropped = [tx_hash for tx_hash in tx_hashes if tx_hash in self._remembers]
        for tx_hash in dropped:
            self._remembered_size -= self._remembers.pop(tx_hash)
        for part in split(dropped, lambda _: 32):
            sender.send(ForgetTx(tuple(part)))

    def can_learn(self, tx_hashes: Iterable[int], pool: TransactionPool) -> bool:
        """Return whether the peer has these, or can be sent them."""
        return all(h in self._known or h in self._remembers or pool.get(h) is not None for h in tx_hashes)

    def send_shares(
        self, sender: Sender, *, new_hashes: Iterable[int], framed: Sequence[bytes], pool: TransactionPool
    ) -> None:
        """Send shares (framed `shares` messages), with those of their new transactions that the peer lacks.
        Send nothing if it has no room for them: it would have to disconnect, and can ask for the shares later.
        (Legacy p2pool-dash disconnects on a share with an asset unlock that it hashes otherwise; it asks for the
        share when it is connected again, because it is then told the best share.)"""
        lacking: dict[int, bytes] = {}
        for tx_hash in new_hashes:
            data = None if tx_hash in self._known or tx_hash in self._remembers else pool.get(tx_hash)
            if data is not None:
                lacking[tx_hash] = data
        if self._remembered_size + sum(counted_size(data) for data in lacking.values()) > MAX_REMEMBERED:
            return
        kept = self._remember(sender, lacking, ahead=False) if lacking else []
        for data in framed:
            sender.send_framed(data)
        if kept:
            self._forget(sender, kept)


def share_messages(envelopes: Sequence[Envelope]) -> list[Shares]:
    """Return `shares` messages that each fit into the payload limit."""
    return [Shares(tuple(part)) for part in split(envelopes, lambda envelope: len(envelope.contents) + 10)]


def have_tx_messages(tx_hashes: Sequence[int]) -> list[HaveTx]:
    """Return `have_tx` messages that each fit into the payload limit."""
    return [HaveTx(tuple(part)) for part in split(tx_hashes, lambda _: 32)]


def losing_tx_messages(tx_hashes: Sequence[int]) -> list[LosingTx]:
    """Return `losing_tx` messages that each fit into the payload limit."""
    return [LosingTx(tuple(part)) for part in split(tx_hashes, lambda _: 32)]
