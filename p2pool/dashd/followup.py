"""Follow the pool's blocks once the chain has them, until their coins can be spent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from p2pool.dash.hashes import hash_hex
from p2pool.dashd.block_store import BlockStore
from p2pool.dashd.daemon import BlockPosition
from p2pool.dashd.delivery import BlockDaemon
from p2pool.dashd.delivery_log import BEATEN, log_change, log_orphaned
from p2pool.dashd.spool import BlockSpool
from p2pool.dashd.submission import SAFE
from p2pool.pool_stats import BlockRecord, BlockStatus

CONFIRMED = 100
"""Confirmations after which the coins of a coinbase can be spent."""
FOLLOW_PERIOD = 5.0


class BlockFollower:
    """Follows blocks in the chain, and those that may come into it: orphans, those that the own daemons refused,
    and those of which nothing is known because their file is gone. `serving` gives the daemon to ask; `lost(hash)`
    is called for a block that it no longer knows."""

    def __init__(
        self,
        *,
        serving: Callable[[], BlockDaemon],
        store: BlockStore,
        spool: BlockSpool,
        lost: Callable[[int], None],
    ) -> None:
        self._serving = serving
        self._store = store
        self._spool = spool
        self._lost = lost
        self._polled_at: tuple[str, int] | None = None

    async def poll(self) -> None:
        """Ask about each block whose coins cannot be spent yet, if there is a new block since the last time."""
        daemon = self._serving()
        height = daemon.height
        seen = (daemon.name, height)
        if height < 0 or seen == self._polled_at:
            return
        complete = True
        for record in self._open(height):
            position = await daemon.block_position(record.block_hash)
            if position is None:
                complete = False  # it does not answer: next time
                break
            await self._follow(record, position, height=height, daemon=daemon)
        self._polled_at = seen if complete else None

    def _open(self, height: int) -> Sequence[BlockRecord]:
        return [
            record
            for record in self._store.records.values()
            if record.status in (BlockStatus.ACCEPTED, BlockStatus.SENT)
            or (record.status is not BlockStatus.CONFIRMED and height < record.height + CONFIRMED)
        ]

    async def _follow(
        self, record: BlockRecord, position: BlockPosition, *, height: int, daemon: BlockDaemon
    ) -> None:
        depth = position.confirmations
        if depth > 0:
            status = BlockStatus.CONFIRMED if depth >= CONFIRMED else BlockStatus.ACCEPTED
            now = replace(record, status=status, reason="", confirmations=depth, chainlocked=position.chainlocked)
            if record.status is BlockStatus.ORPHANED:
                log_change(now, "is back in the chain")
            elif record.status is not BlockStatus.ACCEPTED:
                log_change(now, "is in the chain")
            if status is BlockStatus.CONFIRMED:
                log_change(now, f"has {CONFIRMED} confirmations")
            self._store.put(now)
            if record.confirmations < SAFE <= depth:
                await self._spool.forget(record.height, record.block_hash)
        elif height >= record.height + (0 if record.status is BlockStatus.ACCEPTED else CONFIRMED):
            rival = await daemon.block_at(record.height)
            reason = BEATEN if rival is None else f"block {record.height} is {hash_hex(rival)}"
            self._store.put(
                replace(record, status=BlockStatus.ORPHANED, reason=reason, confirmations=0, chainlocked=False)
            )
            log_orphaned(record, reason)
            if depth == 0 and record.status is BlockStatus.ACCEPTED:
                self._lost(record.block_hash)
