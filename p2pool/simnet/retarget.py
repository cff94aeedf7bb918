"""The compact target of the next block: steered towards the block period from the last dozen of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from p2pool.dash.target import bits_to_target, target_to_bits

WINDOW = 12
"""Intervals between blocks that count."""

# A pause (nobody mined over night) and a clock that steps must not outweigh the other intervals.
_LONGEST_INTERVAL_PERIODS = 6


@dataclass(frozen=True, slots=True)
class TimedBits:
    """A block as the retarget sees it: seconds, and the compact target."""

    timestamp: int
    bits: int


def next_bits(history: Sequence[TimedBits], period: float, initial_bits: int) -> int:
    """Return the compact target after `history`, which is oldest first without the genesis (its time says
    nothing).

    The mean target of the window is scaled by the mean interval, newer intervals weighing more; one block
    changes the target by at most a factor of two, and it never becomes easier than `initial_bits`.
    """
    if not history:
        return initial_bits
    window = history[-(WINDOW + 1) :]
    initial_target = bits_to_target(initial_bits)
    last_target = bits_to_target(window[-1].bits)
    # A young chain is continued backwards: blocks on time at the initial target.
    missing = WINDOW + 1 - len(window)
    weighted = sum(range(1, missing + 1)) * period
    total_target = missing * initial_target
    for weight, (before, after) in enumerate(pairwise(window), missing + 1):
        interval = after.timestamp - before.timestamp
        weighted += weight * min(max(interval, 0), _LONGEST_INTERVAL_PERIODS * period)
        total_target += bits_to_target(after.bits)
    mean_interval = weighted / (WINDOW * (WINDOW + 1) // 2)
    # In integers from here on: a target has 256 bits.
    target = total_target // WINDOW * int(1_000_000 * mean_interval / period) // 1_000_000
    target = min(max(target, last_target // 2), last_target * 2, initial_target)
    return target_to_bits(max(1, target))
