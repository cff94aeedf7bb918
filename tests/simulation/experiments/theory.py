"""Formulas to compare measurements with. Nothing here runs the program."""

from __future__ import annotations

import math
import random
from typing import Final

FINDER_PART: Final = 0.02
"""The part of a block that its finder gets besides the pay of shares."""


def stale_rate(delay: float, period: float) -> float:
    """Return the part of shares that is lost if all others learn of a share `delay` seconds after it was found and
    the chain grows by a share every `period` seconds.

    Shares are found at a rate r. The chain grows by one share in 1/r + delay, as what is found during the delay
    builds on the same share. The difficulty makes that time the period, so r = 1 / (period - delay), and of
    r * period shares one is kept.
    """
    return min(1.0, delay / period)


def selfish_income(part: float, lead: float) -> float:
    """Return the part of the chain that a selfish miner gets who has `part` of the hash rate, if `lead` of the
    others work on its share when both were published at the same time: Eyal and Sirer (2013), equation 8.
    """
    above = part * (1 - part) ** 2 * (4 * part + lead * (1 - 2 * part)) - part**3
    return above / (1 - part * (1 + (2 - part) * part))


def withholding_income(part: float) -> float:
    """Return the part of the pool's income that a miner gets who has `part` of the hash rate, is paid for its
    shares and keeps all blocks to itself: its usual part. What it changes is the income of all, to 1 - part.
    """
    return part


def income_variation(part: float, window: float) -> float:
    """Return the coefficient of variation of the income per block of a miner with `part` of the hash rate, who is
    paid for its shares among the last `window` ones, and found the block itself with probability `part`.

    The number of its shares in the window is binomial, as shares are a Poisson process.
    """
    of_one = (1 - part) / part
    return math.sqrt(of_one * ((1 - FINDER_PART) ** 2 / window + FINDER_PART**2))


def drawn_income_variation(part: float, window: int, *, blocks: int, chance: random.Random) -> float:
    """Return the same figure as `income_variation`, of blocks that are drawn independently."""
    incomes = []
    for _ in range(blocks):
        shares = sum(chance.random() < part for _ in range(window))
        incomes.append((1 - FINDER_PART) * shares / window + FINDER_PART * (chance.random() < part))
    mean = sum(incomes) / blocks
    return math.sqrt(sum((each - mean) ** 2 for each in incomes) / blocks) / mean


def confidence(count: int, total: int) -> tuple[float, float]:
    """Return the 95% confidence interval of a part of which `count` in `total` were seen (Wilson's)."""
    if total == 0:
        return 0.0, 1.0
    z = 1.96
    part, weight = count / total, 1 + z * z / total
    middle = (part + z * z / (2 * total)) / weight
    half = z / weight * math.sqrt(part * (1 - part) / total + z * z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)
