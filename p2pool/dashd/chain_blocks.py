"""List the pool's blocks that are known from its share chain alone: those found while this node was down, and
those of other nodes that could not be assembled here.

`app.dashd` hands over each share that is a block. Dash Core is asked for its position; then it is in the store
with what became of it. Blocks from before the start are shown, but nobody is notified of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from p2pool.base.bounded import BoundedDict
from p2pool.dashd.block_store import MAX_BLOCKS, BlockStore
from p2pool.dashd.daemon import BlockPosition
from p2pool.dashd.delivery import BlockDaemon
from p2pool.dashd.delivery_log import BEATEN
from p2pool.dashd.followup import CONFIRMED
from p2pool.dashd.submission import BURIED
from p2pool.pool_stats import BlockRecord, BlockStatus

LIST_PERIOD: Final = 5.0
PATIENCE: Final = 30.0
"""Seconds that a new block has to get into the store in the usual way, by being submitted."""
MAX_AT_ONCE: Final = 50
"""Requests to Dash Core each LIST_PERIOD, one after another: templates must not wait behind them."""


class ChainBlockLister:
    """Lists blocks of the share chain. `serving` gives the daemon to ask; `started` is when this node was started,
    a Unix time."""

    def __init__(
        self,
        serving: Callable[[], BlockDaemon],
        store: BlockStore,
        *,
        clock: Callable[[], float],
        started: float,
    ) -> None:
        self._serving = serving
        self._store = store
        self._clock = clock
        self._started = started
        self._waiting: BoundedDict[int, tuple[BlockRecord, float]] = BoundedDict(MAX_BLOCKS)
        """By block hash: its record, and when it may be listed."""

    def request(self, record: BlockRecord) -> None:
        """List a block of the share chain, unless that is done. `record.time` is its header's."""
        if record.block_hash in self._store.records or record.block_hash in self._waiting:
            return
        now = self._clock()
        due = now + PATIENCE if record.time >= self._started else now
        self._waiting[record.block_hash] = replace(record, time=min(record.time, now)), due

    @property
    def waiting(self) -> int:
        """Return how many blocks wait until it is known what became of them."""
        return len(self._waiting)

    async def poll(self) -> None:
        """Ask for the positions of some blocks that wait; those from before the start are listed together."""
        now, earlier = self._clock(), list[BlockRecord]()
        due = [record for record, at in self._waiting.values() if at <= now]
        for record in due[:MAX_AT_ONCE]:
            if record.block_hash in self._store.records:
                self._waiting.pop(record.block_hash, None)
                continue
            daemon = self._serving()
            position = await daemon.block_position(record.block_hash)
            if position is None or daemon.height < 0:
                break  # it does not answer: next time
            if record.block_hash in self._store.records:
                continue  # it was submitted meanwhile: the store knows more
            settled = _settled(record, position, daemon.height)
            # One that is not settled goes to the end: many of them must not keep others from their turn.
            self._waiting.pop(record.block_hash, None)
            if settled is None:
                self._waiting[record.block_hash] = record, now + PATIENCE
            elif record.time >= self._started:
                self._store.put(settled)
            else:
                earlier.append(settled)
        self._store.add_earlier(earlier)


def _settled(record: BlockRecord, position: BlockPosition, height: int) -> BlockRecord | None:
    """Return the record with what became of the block; None while that is open."""
    depth = position.confirmations
    if depth > 0:
        status = BlockStatus.CONFIRMED if depth >= CONFIRMED else BlockStatus.ACCEPTED
        at = record.height or height - depth + 1
        return replace(record, height=at, status=status, confirmations=depth, chainlocked=position.chainlocked)
    if height < record.height + BURIED:
        return None
    return replace(record, status=BlockStatus.ORPHANED, reason=BEATEN)
