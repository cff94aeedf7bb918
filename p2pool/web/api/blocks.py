"""The pool's blocks: /recent_blocks, /block_history."""

from __future__ import annotations

from typing import Any, Final

from p2pool.pool_stats import BlockRecord
from p2pool.web.sources import Moment

RECENT: Final = 100


def _block(record: BlockRecord) -> dict[str, Any]:
    return {
        "ts": record.time,
        "hash": f"{record.block_hash:064x}",
        "number": record.height,
        "share": None if record.share_hash is None else f"{record.share_hash:064x}",
        "miner": record.worker,
        "value": record.subsidy * 1e-8,
        "status": record.status.value,
        "reason": record.reason or None,
        "confirmations": record.confirmations,
        "chainlock": record.chainlocked,
    }


def recent_blocks(moment: Moment) -> list[dict[str, Any]]:
    """/recent_blocks: the newest RECENT, newest first."""
    return [_block(record) for record in reversed(moment.snapshot.blocks[-RECENT:])]


def block_history(moment: Moment) -> list[dict[str, Any]]:
    """/block_history: all that are remembered, newest first."""
    return [_block(record) for record in reversed(moment.snapshot.blocks)]
