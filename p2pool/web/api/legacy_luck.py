"""What legacy p2pool-dash adds to the newest block of /recent_blocks: the luck of all listed blocks together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from p2pool.web.api.schema import count, number, text
from p2pool.web.luck import Round

LUCK_SUMMARY: Final = {
    "pool_avg_luck": number("percent: total expected work relative to total actual work"),
    "blocks_for_luck": count("blocks whose luck is known"),
    "accurate_luck_count": count("blocks whose luck is computed from shares"),
    "approximate_luck_count": count("blocks whose luck is computed from samples of the pool's hash rate"),
    "time_weighted_luck_count": count("blocks whose luck is known: both kinds are weighted by time"),
    "simple_avg_luck_count": count("always 0"),
    "single_hashrate_luck_count": count("always 0"),
    "luck_note": text("what the luck is computed from, as text"),
}
"""The schema of `luck_summary`."""


def luck_summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the luck of these rounds together; empty if it is known of none."""
    known = [each for each in rounds if each.luck is not None]
    if not known:
        return {}
    accurate = sum(1 for each in known if each.method == "shares")
    approximate = len(known) - accurate
    if not approximate:
        note = "All luck values are measured by the shares between two blocks"
    elif accurate:
        note = f"{accurate} measured by shares, {approximate} by samples of the pool's hash rate"
    else:
        note = "All luck values are measured by samples of the pool's hash rate"
    expected = sum(each.expected_work or 0.0 for each in known)
    return {
        "pool_avg_luck": 100 * expected / sum(each.actual_work or 0.0 for each in known),
        "blocks_for_luck": len(known),
        "accurate_luck_count": accurate,
        "approximate_luck_count": approximate,
        "time_weighted_luck_count": len(known),
        "simple_avg_luck_count": 0,
        "single_hashrate_luck_count": 0,
        "luck_note": note,
    }
