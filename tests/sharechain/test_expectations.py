"""What a miner may expect: formulas against a simulation, and in the cases where the answer is known."""

from __future__ import annotations

import random
from bisect import bisect_right

import pytest

from p2pool.sharechain.expectations import PoolTerms, expected_income, over, payout_time, share_time

DAY = 86400.0
REWARD = 2e8


def terms(shares_a_day: float, blocks_a_day: float, window: float = DAY) -> PoolTerms:
    """Of a miner of one hash a second."""
    return PoolTerms(DAY / shares_a_day, 1000 * DAY / blocks_a_day, 1000.0, window, REWARD)


def events(rng: random.Random, rate: float, seconds: float) -> list[float]:
    """Times of a Poisson process."""
    times, at = [], rng.expovariate(rate)
    while at < seconds:
        times.append(at)
        at += rng.expovariate(rate)
    return times


def simulated(shares_a_day: float, blocks_a_day: float, days: float, window: float = DAY):
    """(payouts, shares paid, seconds from the window's emptiness to the first payout) of many miners."""
    rng, counts, works, firsts = random.Random(7), [], [], []
    for _ in range(400):
        shares = events(rng, shares_a_day / DAY, window + days * DAY)
        paid = []
        for block in events(rng, blocks_a_day / DAY, days * DAY):
            at = block + window
            paid.append(bisect_right(shares, at) - bisect_right(shares, at - window))
        counts.append(sum(1 for number in paid if number))
        works.append(sum(paid))
        firsts.append(first_payout(rng, shares_a_day / DAY, blocks_a_day / DAY, window))
    return counts, works, firsts


def first_payout(rng: random.Random, shares: float, blocks: float, window: float) -> float:
    at, paid_until, block = 0.0, 0.0, rng.expovariate(blocks)
    share = rng.expovariate(shares)
    while True:
        while block < share:
            if block < paid_until:
                return block
            block += rng.expovariate(blocks)
        at = share
        paid_until = at + window
        share = at + rng.expovariate(shares)


@pytest.mark.parametrize(
    ("shares_a_day", "blocks_a_day"), [(0.3, 4.0), (3.0, 0.5), (30.0, 2.0)], ids=["rare", "few blocks", "many"]
)
def test_formulas_agree_with_a_simulation(shares_a_day, blocks_a_day):
    pool, days = terms(shares_a_day, blocks_a_day), 7.0
    counts, works, firsts = simulated(shares_a_day, blocks_a_day, days)
    told = over(pool, 1.0, days=days)
    assert told.payouts == pytest.approx(sum(counts) / len(counts), rel=0.15)
    within = sum(told.payouts_low <= count <= told.payouts_high for count in counts) / len(counts)
    assert 0.7 < within < 0.95
    unit = told.amount / (shares_a_day * blocks_a_day * days)  # duffs of a share that a block pays
    amounts = [work * unit for work in works]
    assert told.amount == pytest.approx(sum(amounts) / len(amounts), rel=0.15)
    within = sum(told.amount_low <= amount <= told.amount_high for amount in amounts) / len(amounts)
    assert 0.7 < within < 0.92
    assert payout_time(pool, 1.0, 0.0) == pytest.approx(sum(firsts) / len(firsts), rel=0.15)


def test_times_that_are_known():
    pool = terms(10.0, 2.0)
    assert share_time(pool, 1.0) == pytest.approx(DAY / 10)
    assert share_time(pool, 0.0) is None
    assert payout_time(terms(1e6, 2.0), 1.0, DAY) == pytest.approx(DAY / 2)
    assert payout_time(pool, 0.0, 5.0) == pytest.approx(DAY / 2)
    assert payout_time(pool, 0.0, 0.0) is None
    fresh, aged, none = (payout_time(pool, 1.0, seconds) or 0 for seconds in (DAY, 100.0, 0.0))
    assert DAY / 2 < fresh < aged < none
    assert none == pytest.approx(DAY / 10 + fresh)
    assert payout_time(PoolTerms(1, 1, 0, 1, 1), 1.0, 0.0) is None


def test_income_depends_on_the_network_not_on_the_pool():
    small, large = terms(10.0, 0.1), PoolTerms(1e9, 1000 * DAY / 0.1, 1e6, DAY, REWARD)
    assert expected_income(small, 1.0) == pytest.approx(expected_income(large, 1.0))
    assert expected_income(small, 1.0) > 0
    less = PoolTerms(1e9, 1000 * DAY / 0.1, 1e6, DAY, REWARD, kept=0.9, good=0.95)
    assert expected_income(less, 1.0, dead=0.05) == pytest.approx(0.9 * expected_income(large, 1.0))


def test_a_miner_that_joins_makes_blocks_sooner_and_shares_harder():
    joined = terms(10.0, 2.0).with_miner(1000.0, 20.0)
    assert joined.pool_rate == 2000.0
    assert joined.share_attempts == 2000.0 * 20
    assert terms(1.0, 2.0).with_miner(1.0, 20.0).share_attempts == DAY


def test_ranges_hold_at_all_sizes():
    for shares in (1e-6, 1e-3, 1.0, 1e3, 1e6):
        for blocks in (1e-4, 1e-1, 1e2, 1e4):
            for window in (100.0, DAY):
                for days in (1.0, 30.0):
                    told = over(terms(shares, blocks, window), 1.0, days=days)
                    assert 0 <= told.payouts_low <= told.payouts_high
                    assert 0 <= told.amount_low <= told.amount_high
                    assert told.payouts <= blocks * days * 1.0001
    assert over(terms(1.0, 1.0), 0.0, days=7.0).payouts == 0
    certain = over(terms(1e6, 1e4), 1.0, days=30.0)
    assert certain.amount_low > 0.98 * certain.amount
