"""Derives events from the pool's blocks: each once, whatever the block store announces again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from p2pool.base.bounded import BoundedDict
from p2pool.base.text import format_dash
from p2pool.dash.hashes import hash_hex, optional_hash_hex
from p2pool.pool_stats import BlockRecord, BlockStatus, EventKind, EventRecord

MAX_BLOCKS: Final = 2000
"""Blocks whose last status is remembered: twice as many as the block store follows."""
_KINDS: Final = {
    BlockStatus.CONFIRMED: EventKind.BLOCK_CONFIRMED,
    BlockStatus.ORPHANED: EventKind.BLOCK_ORPHANED,
    BlockStatus.REFUSED: EventKind.BLOCK_REFUSED,
}


class BlockWatch:
    """Watches the status of blocks. `symbol` is that of the coin."""

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        self._notified: BoundedDict[int, BlockStatus] = BoundedDict(MAX_BLOCKS)

    def restored(self, records: Iterable[BlockRecord]) -> None:
        """Take note of blocks of earlier runs: their status was reported then."""
        for record in records:
            self._notified[record.block_hash] = record.status

    def is_old(self, record: BlockRecord) -> None:
        """Note that it need not be reported as found; later changes are reported."""
        self._notified.setdefault(record.block_hash, record.status)

    def changed(self, record: BlockRecord, now: float) -> Iterator[EventRecord]:
        """Yield the events of a block that is new or whose status changed."""
        before = self._notified.get(record.block_hash)
        self._notified[record.block_hash] = record.status
        if before is None:
            yield self.found(record)
        kind = _KINDS.get(record.status)
        if kind is not None and record.status is not before:
            yield self._event(kind, record, now)

    def found(self, record: BlockRecord) -> EventRecord:
        """Return the event of its being found."""
        return self._event(EventKind.BLOCK_FOUND, record, record.time)

    def _event(self, kind: EventKind, record: BlockRecord, time: float) -> EventRecord:
        block_hash = hash_hex(record.block_hash)
        here = record.found_here
        value = f"{format_dash(record.subsidy)} {self._symbol}"
        text = {
            EventKind.BLOCK_FOUND: f"found by {record.worker if here else 'another node of the pool'}: {value}",
            EventKind.BLOCK_CONFIRMED: f"is confirmed: its {value} can be spent",
            EventKind.BLOCK_ORPHANED: (
                f"is orphaned{_because(record)}: its {value} is lost unless the block returns to the chain"
            ),
            EventKind.BLOCK_REFUSED: f"was rejected by Dash Core{_because(record)}: its {value} is lost",
        }[kind]
        return EventRecord(
            time,
            kind,
            block_hash,
            f"block {record.height} {text}",
            {
                "block_hash": block_hash,
                "block_height": record.height,
                "value": record.subsidy / 1e8,
                "value_duffs": record.subsidy,
                "worker": record.worker,
                "found_here": here,
                "share_hash": optional_hash_hex(record.share_hash),
                "status": record.status.value,
                "reason": record.reason,
                "confirmations": record.confirmations,
            },
        )


def _because(record: BlockRecord) -> str:
    return f" ({record.reason})" if record.reason else ""
