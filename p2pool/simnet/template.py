"""Block templates: what the next block is to contain. Made by `chain`, rendered by the RPC, mined by `finder`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from p2pool.dash.transaction import Transaction
from p2pool.simnet.economy import Economy, Payee
from p2pool.simnet.index import ChainBlock
from p2pool.simnet.mempool import MempoolEntry
from p2pool.simnet.special import special_effects
from p2pool.simnet.validation import MAX_BLOCK_SIZE, MAX_SIGNATURE_OPERATIONS

_COINBASE_RESERVE, _COINBASE_OPERATIONS = 1000, 100
"""What Dash Core counts for the coinbase, in bytes and signature operations, however many a pool pays with it."""


@dataclass(frozen=True, slots=True)
class TemplateEntry:
    """A transaction of a template. `depends` holds 1-based positions in the template; `fee` in duffs."""

    raw: bytes
    hash: int
    depends: tuple[int, ...]
    fee: int
    signature_operations: int


@dataclass(frozen=True, slots=True)
class SimulatedTemplate:
    """Everything about the next block but its coinbase's own outputs and its time."""

    previous: ChainBlock
    height: int
    bits: int
    minimum_time: int
    transactions: tuple[TemplateEntry, ...]
    coinbase_value: int
    masternode: tuple[Payee, ...]
    superblock: tuple[Payee, ...]
    coinbase_payload: bytes
    updates: int
    """The mempool's counter when the template was made."""

    @property
    def size(self) -> int:
        """Return the size in bytes, as getmininginfo counts."""
        return _COINBASE_RESERVE + sum(len(transaction.raw) for transaction in self.transactions)


def build_template(
    economy: Economy,
    previous: ChainBlock,
    *,
    bits: int,
    waiting: Iterable[MempoolEntry],
    updates: int,
    max_size: int = MAX_BLOCK_SIZE,
) -> SimulatedTemplate:
    """Return the template for the block after `previous`; `waiting` must be valid on top of it, parents first. It
    is filled as Dash Core's are if dash.conf has blockmaxsize=`max_size`."""
    height = previous.height + 1
    chosen = [
        TemplateEntry(commitment.pack(), commitment.hash, (), 0, 0)
        for commitment in economy.commitments(height, previous.hash)
    ]
    positions: dict[int, int] = {}
    max_size = max(_COINBASE_RESERVE, min(MAX_BLOCK_SIZE - _COINBASE_RESERVE, max_size))
    size, operations = _COINBASE_RESERVE + sum(len(c.raw) for c in chosen), _COINBASE_OPERATIONS
    special: list[Transaction] = []
    for entry in waiting:
        size_after, operations_after = size + entry.size, operations + entry.signature_operations
        if (
            size_after >= max_size
            or operations_after >= MAX_SIGNATURE_OPERATIONS
            or any(parent not in positions for parent in entry.depends)
        ):
            continue
        size, operations = size_after, operations_after
        depends = tuple(positions[parent] for parent in entry.depends)
        chosen.append(TemplateEntry(entry.raw, entry.hash, depends, entry.fee, entry.signature_operations))
        positions[entry.hash] = len(chosen)
        if entry.transaction.has_payload:
            special.append(entry.transaction)
    fees = sum(transaction.fee for transaction in chosen)
    return SimulatedTemplate(
        previous=previous,
        height=height,
        bits=bits,
        minimum_time=previous.median_time + 1,
        transactions=tuple(chosen),
        coinbase_value=economy.coinbase_value(height, fees),
        masternode=economy.masternode_payees(height, fees),
        superblock=economy.superblock_payees(height),
        coinbase_payload=economy.coinbase_payload(height, special_effects(special), previous.unlocked).pack(),
        updates=updates,
    )
