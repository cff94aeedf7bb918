"""The words for what became of a block: this software's own, and the three that front ends of legacy p2pool-dash
know."""

from __future__ import annotations

from typing import Any, Final

from p2pool.pool_stats import BlockStatus
from p2pool.web.api.schema import words

LEGACY_STATUS: Final = {
    BlockStatus.SENT: "pending",
    BlockStatus.ACCEPTED: "pending",
    BlockStatus.CONFIRMED: "confirmed",
    BlockStatus.ORPHANED: "orphaned",
    BlockStatus.REFUSED: "orphaned",
}
"""Legacy p2pool-dash says "confirmed" when the coins can be spent, and "pending" until then."""
STATUS: Final = words(*(status.value for status in BlockStatus))
STATUSES: Final = {
    "status": words(*dict.fromkeys(LEGACY_STATUS.values()), description="pending until its coins can be spent"),
    "detailed_status": STATUS,
}
"""The schema of `statuses`."""


def statuses(status: BlockStatus) -> dict[str, Any]:
    """Return both words, as fields of a block in legacy answers."""
    return {"status": LEGACY_STATUS[status], "detailed_status": status.value}
