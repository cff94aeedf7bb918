"""Found blocks: /recent_blocks."""

from __future__ import annotations

from typing import Any

from p2pool.web.sources import Moment


def recent_blocks(moment: Moment) -> list[dict[str, Any]]:
    """/recent_blocks: newest first."""
    return [
        {
            "ts": block.time,
            "hash": f"{block.block_hash:064x}",
            "number": block.height,
            "share": None if block.share_hash is None else f"{block.share_hash:064x}",
            "miner": block.worker,
            "value": block.subsidy * 1e-8,
            "status": _status(block.result),
            "reason": block.result or None,
        }
        for block in reversed(moment.snapshot.recent_blocks)
    ]


def _status(result: str | None) -> str:
    if result is None:
        return "sent"
    return "accepted" if result == "" else "refused"
