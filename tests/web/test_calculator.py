"""What a hash rate would earn in the pool and alone, and whether the pool suits it."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from p2pool.web.api.calculator import Fit, fit, fit_words
from tests.support import make_template
from tests.web.busy import busy_pool
from tests.web.pages import Pool

DAY = 86400.0


@pytest.fixture(scope="module")
def pool() -> Pool:
    """Blocks take some 10^17 hashes."""
    pool = Pool(60, make_template(bits=0x1A00FFFF))
    pool.refresh()
    return pool


def ask(pool: Pool, rate: float) -> dict:
    answer = pool.ask(f"/api/v1/calculator?hash_rate={rate}")
    assert answer.status == 200, answer.body
    return answer.json


def test_a_miner_that_joins_earns_what_it_would_earn_alone_less_the_fee(pool):
    for rate in (1e6, 1e9, 1e12):
        told = ask(pool, rate)
        for pooled, alone in zip(told["pool"]["periods"], told["alone"]["periods"], strict=True):
            assert pooled["days"] == alone["days"]
            assert pooled["amount"]["duffs"] == pytest.approx(0.985 * alone["amount"]["duffs"], rel=0.01)
            assert alone["payouts"] <= pooled["payouts"] * 1.01
        assert told["alone"]["payout_time"] == pytest.approx(
            told["pool_hash_rate"] * told["pool"]["block_time"] / rate
        )


def test_a_large_miner_makes_shares_harder_and_blocks_more_frequent(pool):
    small, large = ask(pool, 1e3), ask(pool, 1e13)
    period = pool.node.network.share_period
    assert small["share_difficulty"] < 1e-5
    assert large["share_difficulty"] == pytest.approx(1e13 * period / 2**32, rel=0.01)
    assert large["pool"]["share_time"] == pytest.approx(period, rel=0.01)
    assert large["pool"]["block_time"] < small["pool"]["block_time"]
    assert small["pool"]["first_payout_time"] >= small["pool"]["block_time"]


def test_what_is_no_hash_rate_is_refused(pool):
    for text in ("0", "-1", "nan", "inf", "1e22", "x", "", "1e999"):
        assert pool.ask(f"/api/v1/calculator?hash_rate={text}").status == 400, text
    assert pool.ask("/api/v1/calculator").json["hash_rate"] == 1e9
    empty = Pool(0, make_template())
    empty.refresh()
    assert empty.ask("/api/v1/calculator").json is None


@pytest.mark.parametrize(
    ("share", "block", "alone", "suits", "words"),
    [
        (0.1 * DAY, 0.5 * DAY, 500 * DAY, Fit.REGULAR, "Yes. You would find a share about every 2 h 24 min,"),
        (1 * DAY, 0.5 * DAY, 500 * DAY, Fit.BURSTS, "if irregular payouts do not matter"),
        (20 * DAY, 0.5 * DAY, 9000 * DAY, Fit.RARE, "Probably not. You would find a share about every 20 d"),
        (0.1 * DAY, 50 * DAY, 500 * DAY, Fit.SMALL_POOL, "Only if you can wait."),
        (0.001 * DAY, 0.5 * DAY, 1 * DAY, Fit.ALONE, "You could mine alone"),
    ],
)
def test_is_this_pool_for_me(share, block, alone, suits, words):
    times = {"share_time": share, "block_time": block, "alone_time": alone}
    told = fit(**times, window=DAY)
    assert told is suits
    assert words in fit_words(told, **times)


@pytest.mark.parametrize("rate", [1.0, 4.724595188501638e20, 1e21])
def test_the_ends_of_what_can_be_asked_are_answered(rate):
    pool = busy_pool()  # on a test network, where such a miner would find more blocks than JSON has numbers
    answer = pool.ask(f"/api/v1/calculator?hash_rate={quote(str(rate))}")
    assert answer.status == 200, answer.body
    assert answer.json["hash_rate"] == rate
