"""What a miner may expect: when its next share and payout come, and what it earns, with the spread of chance.

Everything is a Poisson process, as proofs of work are found without memory. Shares of a miner come at the rate
`s` = hash rate / average hashes of a share, blocks of the pool at the rate `b` = pool's hash rate / average hashes
of a block. A share is paid by each block that comes within `W` seconds after it (the PPLNS window; Rosenfeld,
"Analysis of Bitcoin Pooled Mining Reward Systems", 2011, section 5). Rates are taken to stay as they are. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

PROBABILITY: Final = 0.8
"""With which a figure is between its low and its high end: 10 % of the time it is below, 10 % above."""
_Z: Final = 1.2816
"""The 90 % quantile of the normal distribution."""
_MOST: Final = 2**53
"""The largest number of events: what every reader of JSON keeps exactly. No miner has as many."""
_MANY: Final = 400.0
"""Events from which their number is taken for normally distributed."""


@dataclass(frozen=True, slots=True)
class PoolTerms:
    """What the pool is like: average hashes for a share and for a block, hashes a second of all miners, `window`
    in seconds, and the duffs that a block pays to miners. `kept` is the part of its work that is a miner's own:
    what fee and donation leave. `good` is the part of the pool's work that is not dead on arrival."""

    share_attempts: float
    block_attempts: float
    pool_rate: float
    window: float
    reward: float
    kept: float = 1.0
    good: float = 1.0

    def with_miner(self, rate: float, share_period: float) -> PoolTerms:
        """Return the pool after a miner of so many hashes a second has joined: blocks come sooner, and shares
        become harder so that they still come every `share_period` seconds."""
        pool_rate = self.pool_rate + rate
        attempts = max(self.share_attempts, pool_rate * share_period)
        return PoolTerms(attempts, self.block_attempts, pool_rate, self.window, self.reward, self.kept, self.good)


@dataclass(frozen=True, slots=True)
class PeriodExpectation:
    """Payouts and duffs of a period of so many days: on average, and the ends of the range in which they are with
    PROBABILITY."""

    days: float
    payouts: float
    payouts_low: int
    payouts_high: int
    amount: float
    amount_low: float
    amount_high: float


def share_time(terms: PoolTerms, rate: float) -> float | None:
    """Return the average seconds until a miner of `rate` hashes a second finds its next share; None if never."""
    return terms.share_attempts / rate if rate > 0 else None


def payout_time(terms: PoolTerms, rate: float, paid_for: float) -> float | None:
    """Return the average seconds until the next payout of a miner whose newest share is paid for `paid_for`
    seconds more (0 if it has none in the window); None if never.

    With a = s + b: before anything else happens, its shares leave the window with the probability q(R) =
    exp(-a R); then it takes a share, 1 / s, and T(W). Else a share (T(W)) or a block (the end) comes first. So

        T(R) = (1 - q(R)) / a + (1 - q(R)) s / a * T(W) + q(R) (1 / s + T(W))
        T(W) = 1 / b + q(W) a / (s b (1 - q(W)))
    """
    if terms.pool_rate <= 0 or terms.block_attempts <= 0:
        return None
    blocks = terms.pool_rate / terms.block_attempts
    shares = rate * terms.kept / terms.share_attempts
    window = max(terms.window, 1.0)
    if shares <= 0:
        return 1 / blocks if paid_for > 0 else None
    both = shares + blocks
    leaves = -math.expm1(-both * window)
    after_share = 1 / blocks + math.exp(-both * window) * both / (shares * blocks * leaves)
    gone = math.exp(-both * min(max(paid_for, 0.0), window))
    stays = 1 - gone
    return stays / both + stays * shares / both * after_share + gone * (1 / shares + after_share)


def expected_income(terms: PoolTerms, rate: float, dead: float = 0.0) -> float:
    """Return duffs a second of a miner, of whose work the part `dead` is too late. It does not depend on the size
    of the pool: reward * rate / hashes of a block, less fee and donation; shares that are dead more often than the
    pool's lower it."""
    if terms.block_attempts <= 0 or terms.good <= 0:
        return 0.0
    return terms.reward * rate * (1 - dead) / terms.good * terms.kept / terms.block_attempts


def over(terms: PoolTerms, rate: float, *, days: float, dead: float = 0.0) -> PeriodExpectation:
    """Return what a miner that has long mined at `rate` hashes a second gets in so many days.

    The number of its shares in the window is Poisson with mean m = s W, so a block pays it with the probability
    p = 1 - exp(-m). Payouts come in clusters, while it has a share in the window: the variance of their number
    over T seconds is b T p + b^2 * 2 * integral from 0 to min(T, W) of (T - x) (exp(-s (W + x)) - exp(-2 m)) dx,
    and their number is taken for negative binomial. The squared coefficient of variation of the amount is
    (1 + 1 / m) / (b T) + (1 - W / (3 T)) / (s T) for T >= W (else (1 - T / (3 W)) / m), and the amount is taken
    for Gamma distributed (quantiles by Wilson and Hilferty).
    """
    seconds = days * 86400
    amount = expected_income(terms, rate, dead) * seconds
    blocks = terms.pool_rate / terms.block_attempts if terms.block_attempts > 0 else 0.0
    shares = rate * terms.kept / terms.share_attempts
    window = max(terms.window, 1.0)
    mean_shares = shares * window
    if blocks <= 0 or mean_shares <= 0:
        return PeriodExpectation(days, 0.0, 0, 0, amount, 0.0, amount)
    payouts = blocks * seconds * -math.expm1(-mean_shares)
    variance = payouts + blocks * blocks * _clusters(shares, window, seconds)
    low, high = _count_range(payouts, variance)
    if seconds >= window:
        spread = (1 - window / (3 * seconds)) / (shares * seconds)
    else:
        spread = (1 - seconds / (3 * window)) / mean_shares
    least, most = _gamma_range((1 + 1 / mean_shares) / (blocks * seconds) + spread)
    least, most = (least if low else 0.0), (most if high else 0.0)
    return PeriodExpectation(days, payouts, low, high, amount, amount * least, amount * most)


def alone(terms: PoolTerms, rate: float, *, days: float) -> PeriodExpectation:
    """Return what a miner of `rate` hashes a second gets in so many days if it mines alone: the number of its
    blocks is Poisson, and each brings all that a block pays to miners."""
    blocks = rate * days * 86400 / terms.block_attempts
    low, high = _count_range(blocks, blocks)
    amount = blocks * terms.reward
    return PeriodExpectation(days, blocks, low, high, amount, low * terms.reward, high * terms.reward)


def _clusters(shares: float, window: float, seconds: float) -> float:
    """Return the variance of the time, of so many seconds, in which a miner has a share in the window."""
    end = min(seconds, window)
    mean = shares * window
    # The integral of (T - x) exp(-s x): (T - x) falls, so it is taken by parts.
    decayed = math.exp(-shares * end)
    first = (seconds - (seconds - end) * decayed) / shares - (1 - decayed) / (shares * shares)
    second = seconds * end - end * end / 2
    return max(0.0, 2 * (math.exp(-mean) * first - math.exp(-2 * mean) * second))


def _count_range(mean: float, variance: float) -> tuple[int, int]:
    """Return the 10 % and 90 % quantiles of a number of events."""
    if mean > _MANY:
        reach = _Z * math.sqrt(variance)
        return max(0, round(min(mean - reach, _MOST))), round(min(mean + reach, _MOST))
    size = mean * mean / max(variance - mean, 1e-9 * mean)
    part = mean / (size + mean)
    probability = math.exp(size * math.log1p(-part))
    total, count, low = probability, 0, 0
    tail = (1 - PROBABILITY) / 2
    found_low = False
    while total < 1 - tail and count < 10 * _MANY:
        if not found_low and total >= tail:
            low, found_low = count, True
        probability *= part * (count + size) / (count + 1)
        count += 1
        total += probability
    return (low if found_low else count), count


def _gamma_range(squared_variation: float) -> tuple[float, float]:
    """Return the 10 % and 90 % quantiles of a Gamma distribution with mean 1."""
    ninth = squared_variation / 9
    low, high = (1 - ninth + sign * _Z * math.sqrt(ninth) for sign in (-1, 1))
    return max(0.0, low) ** 3, max(0.0, high) ** 3
