"""Block templates: what the next block is to contain. Made by `chain`, rendered by the RPC, mined by `finder`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from p2pool.simnet.economy import Economy, Payee
from p2pool.simnet.index import ChainBlock
from p2pool.simnet.mempool import MempoolEntry
from p2pool.simnet.validation import MAX_BLOCK_SIZE, MAX_SIGNATURE_OPERATIONS

_COINBASE_RESERVE = 1000
"""Bytes that getmininginfo counts for the coinbase."""

# Kept free for the coinbase, which pays every miner of a pool.
_BLOCK_SIZE_RESERVE = 150_000
_SIGNATURE_OPERATIONS_RESERVE = 4_000


@dataclass(frozen=True, slots=True)
class TemplateTransaction:
    """A transaction of a template. `depends` holds 1-based positions in the template; `fee` in duffs."""

    raw: bytes
    hash: int
    depends: tuple[int, ...]
    fee: int
    signature_operations: int


@dataclass(frozen=True, slots=True)
class BlockTemplate:
    """Everything about the next block but its coinbase's own outputs and its time."""

    previous: ChainBlock
    height: int
    bits: int
    minimum_time: int
    transactions: tuple[TemplateTransaction, ...]
    coinbase_value: int
    masternode: tuple[Payee, ...]
    superblock: tuple[Payee, ...]
    coinbase_payload: bytes
    updates: int
    """The mempool's counter when the template was made."""

    @property
    def size(self) -> int:
        """Bytes as getmininginfo counts them."""
        return _COINBASE_RESERVE + sum(len(transaction.raw) for transaction in self.transactions)


def build_template(
    economy: Economy, previous: ChainBlock, bits: int, waiting: Iterable[MempoolEntry], updates: int
) -> BlockTemplate:
    """The template for the block after `previous`; `waiting` must be valid on top of it, parents first."""
    height = previous.height + 1
    chosen = [
        TemplateTransaction(commitment.pack(), commitment.hash, (), 0, 0)
        for commitment in economy.commitments(height, previous.hash)
    ]
    positions: dict[int, int] = {}
    size, operations = sum(len(c.raw) for c in chosen), 0
    for entry in waiting:
        size_after, operations_after = size + entry.size, operations + entry.signature_operations
        if (
            size_after > MAX_BLOCK_SIZE - _BLOCK_SIZE_RESERVE
            or operations_after > MAX_SIGNATURE_OPERATIONS - _SIGNATURE_OPERATIONS_RESERVE
            or any(parent not in positions for parent in entry.depends)
        ):
            continue
        size, operations = size_after, operations_after
        depends = tuple(positions[parent] for parent in entry.depends)
        chosen.append(TemplateTransaction(entry.raw, entry.hash, depends, entry.fee, entry.signature_operations))
        positions[entry.hash] = len(chosen)
    fees = sum(transaction.fee for transaction in chosen)
    return BlockTemplate(
        previous=previous,
        height=height,
        bits=bits,
        minimum_time=previous.median_time + 1,
        transactions=tuple(chosen),
        coinbase_value=economy.coinbase_value(height, fees),
        masternode=economy.masternode_payees(height, fees),
        superblock=economy.superblock_payees(height),
        coinbase_payload=economy.coinbase_payload(height).pack(),
        updates=updates,
    )
