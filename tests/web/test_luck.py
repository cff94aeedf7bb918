"""Luck: the work of rounds out of the shares held, else out of samples, else not known."""

from __future__ import annotations

import pytest

from p2pool.history.records import RoundFigures
from p2pool.pool_stats import BlockRecord, BlockStatus
from p2pool.web.luck import MAX_ROUNDS, ChainBlocks, LuckBook, PoolBlock
from p2pool.web.samples import Samples, make_sample
from tests.chains import NOW, grow_chain
from tests.support import make_template
from tests.web.busy import SUBSIDY, busy_pool
from tests.web.pages import Pool

HARD = 0x1D00FFFF


@pytest.fixture
def pool() -> Pool:
    """Forty shares, none of which is a block (each may be made one)."""
    pool = Pool(40, make_template())
    for share in pool.shares:
        share.block_bits = 0x03000001
    return pool


def block(pool: Pool, number: int) -> PoolBlock:
    share = pool.shares[number]
    return PoolBlock(share.timestamp, share.hash, share.hash)


def rounds(pool: Pool, *blocks: PoolBlock, stale: float = 0.0, samples: Samples | None = None, now: float = NOW):
    return LuckBook().rounds(
        pool.tracker, best=pool.shares[-1].hash, blocks=blocks, stale=stale, samples=samples or Samples(), now=now
    )


def sampled(rate: float, difficulty: float, start: float = NOW, seconds: int = 3000) -> Samples:
    samples = Samples()
    for second in range(0, seconds, 10):
        scalars = {"pool_hash_rate": rate, "network_difficulty": difficulty}
        samples.add(make_sample(start + second, scalars, {}))
    return samples


def test_a_round_s_work_is_that_of_its_shares(pool):
    pool.shares[30].block_bits = HARD
    first, second = rounds(pool, block(pool, 10), block(pool, 30)).rounds
    work = sum(share.attempts for share in pool.shares[11:31])
    assert (first.actual_work, first.luck, first.time_to_find) == (None, None, None)
    assert second.method == "shares"
    assert second.actual_work == work
    assert second.time_to_find == 20 * 20
    assert second.hash_rate == pytest.approx(work / 400)
    assert second.difficulty == pytest.approx(1)
    assert second.expected_work == pytest.approx(2**32, rel=1e-4)
    assert second.luck == pytest.approx(100 * 2**32 / work, rel=1e-4)
    assert second.expected_time == pytest.approx(2**32 / work * 400, rel=1e-4)


def test_stale_work_was_done_as_well(pool):
    plain = rounds(pool, block(pool, 10), block(pool, 30)).rounds[1]
    corrected = rounds(pool, block(pool, 10), block(pool, 30), stale=0.2).rounds[1]
    assert corrected.actual_work == pytest.approx(plain.actual_work / 0.8)
    assert corrected.luck == pytest.approx(plain.luck * 0.8)


def test_the_round_that_is_not_over(pool):
    told = rounds(pool, block(pool, 10), block(pool, 30))
    assert told.current_work == sum(share.attempts for share in pool.shares[31:])
    assert rounds(pool, block(pool, 39)).current_work == 0


def test_work_is_weighted_by_time_where_only_samples_tell(pool):
    samples = sampled(1000, 2.0, seconds=1000)
    for second in range(1000, 2000, 10):
        samples.add(make_sample(NOW + second, {"pool_hash_rate": 4000, "network_difficulty": 2.0}, {}))
    before, after = PoolBlock(NOW + 500, 1, None), PoolBlock(NOW + 1500, 2, None)
    told = rounds(pool, before, after, samples=samples, now=NOW + 1990).rounds[1]
    assert told.method == "samples"
    assert told.actual_work == pytest.approx(500 * 1000 + 500 * 4000, rel=0.02)
    assert told.hash_rate == pytest.approx(2500, rel=0.02)  # no mean of the two ends would know
    assert told.expected_work == 2.0 * 2**32


def test_what_neither_shares_nor_samples_tell_is_not_known(pool):
    before, after = PoolBlock(NOW - 500, 1, None), PoolBlock(NOW + 500, 2, None)
    told = rounds(pool, before, after, samples=sampled(1000, 2.0)).rounds[1]
    assert (told.actual_work, told.luck, told.method, told.hash_rate) == (None, None, None, None)
    assert told.time_to_find == 1000
    assert rounds(pool).rounds == ()


def test_samples_with_a_hole_tell_nothing():
    samples = sampled(1000, 2.0, seconds=500)
    samples.add(make_sample(NOW + 2000, {"pool_hash_rate": 1000}, {}))
    assert samples.work_between(NOW, NOW + 400) == pytest.approx(400_000)
    assert samples.work_between(NOW, NOW + 2000) is None
    assert samples.work_between(NOW - 100, NOW + 100) is None
    assert samples.work_between(NOW + 100, NOW + 100) is None


def test_what_is_known_once_stays(pool):
    book, ends = LuckBook(), (block(pool, 10), block(pool, 30))
    best = pool.shares[-1].hash
    first = book.rounds(pool.tracker, best=best, blocks=ends, stale=0.0, samples=Samples(), now=NOW).rounds[1]
    again = book.rounds(Pool().tracker, best=None, blocks=ends, stale=0.5, samples=Samples(), now=NOW).rounds[1]
    assert again is first


def test_the_book_is_bounded(pool):
    book, best = LuckBook(), pool.shares[-1].hash
    for number in range(MAX_ROUNDS + 5):
        ends = (PoolBlock(NOW, number, pool.shares[1].hash), block(pool, 30))
        book.rounds(pool.tracker, best=best, blocks=ends, stale=0.0, samples=Samples(), now=NOW)
    assert len(book._known) == MAX_ROUNDS


# --- blocks of the chain -------------------------------------------------------------------------------------


def make_block(share) -> None:
    share.block_bits = 0x2100FFFF


def test_blocks_of_the_chain_are_found_as_it_grows(pool):
    blocks, tracker = ChainBlocks(), pool.tracker
    make_block(pool.shares[5])
    make_block(pool.shares[20])
    assert blocks.of(tracker, None) == []
    assert [each.block_hash for each in blocks.of(tracker, pool.shares[10].hash)] == [pool.shares[5].hash]
    both = [pool.shares[5].hash, pool.shares[20].hash]
    assert [each.block_hash for each in blocks.of(tracker, pool.shares[-1].hash)] == both
    fork = grow_chain(tracker, make_template(), 2, 1, pool.shares[10].hash, seed=9)
    for share in fork:
        share.block_bits = 0x03000001
    assert [each.block_hash for each in blocks.of(tracker, fork[-1].hash)] == both[:1]
    assert [each.block_hash for each in blocks.of(tracker, pool.shares[-1].hash)] == both


def test_only_new_shares_are_looked_at(pool):
    blocks = ChainBlocks()
    blocks.of(pool.tracker, pool.shares[30].hash)
    make_block(pool.shares[20])  # no share changes: were it looked at again, it would be found
    make_block(pool.shares[35])
    assert [each.block_hash for each in blocks.of(pool.tracker, pool.shares[-1].hash)] == [pool.shares[35].hash]


def test_a_chain_that_grows_at_its_lower_end():
    whole = Pool(30, make_template())
    for share in whole.shares:
        share.block_bits = 0x03000001
    make_block(whole.shares[3])
    part = Pool()
    for share in whole.shares[10:]:
        part.tracker.add(share, NOW)
    blocks, best = ChainBlocks(), whole.shares[-1].hash
    assert blocks.of(part.tracker, best) == []
    for share in reversed(whole.shares[:10]):
        part.tracker.add(share, NOW)
    assert [each.block_hash for each in blocks.of(part.tracker, best)] == [whole.shares[3].hash]


# --- on pages ------------------------------------------------------------------------------------------------


def test_pages_tell_of_luck():
    pool = busy_pool()
    for share in pool.shares:
        share.block_bits = HARD
    pool.sources.cache.luck = LuckBook()
    pool.sources.cache._latest.clear()
    pool.refresh()
    stats, luck = pool.ask("/luck_stats").json, pool.ask("/api/v1/luck").json
    assert stats["luck_available"] is True
    assert (stats["blocks_found"], stats["blocks_with_luck"]) == (3, 2)  # the refused one is none
    assert (luck["blocks"], luck["known_rounds"]) == (3, 2)
    works = [sum(share.attempts for share in pool.shares[a:b]) for a, b in ((11, 31), (31, 59), (59, 60))]
    each = pytest.approx(2**32, rel=1e-4)
    assert [told["actual_work"] for told in luck["rounds"]] == [works[1], works[0], None]
    assert [told["expected_work"] for told in luck["rounds"]] == [each] * 3
    assert stats["average_luck"] == pytest.approx(100 * 2 * 2**32 / sum(works[:2]), rel=1e-4)
    assert stats["avg_luck"] == pytest.approx(100 * 2 * 2**32 / sum(works), rel=1e-4)
    assert (luck["luck"], luck["luck_with_current_round"]) == (stats["average_luck"], stats["avg_luck"])
    assert luck["current_round"]["work"] == works[2]
    assert stats["avg_time_between_blocks"] == pytest.approx((20 + 28) * 20 / 2)
    assert [told["number"] for told in stats["blocks"]] == [158, 130, 110]
    newest = pool.ask("/recent_blocks").json[1]
    assert (newest["number"], newest["luck_method"]) == (158, "time_weighted_avg")
    assert newest["luck"] == stats["blocks"][0]["luck"]
    page = pool.ask("/api/v1/blocks").json
    assert [told["round"]["luck"] for told in page["blocks"]] == [
        None,
        newest["luck"],
        stats["blocks"][1]["luck"],
        None,
    ]


def test_blocks_that_only_the_chain_knows_end_rounds_too(pool):
    make_block(pool.shares[20])
    for number in (10, 30):
        share = pool.shares[number]
        record = BlockRecord(share.timestamp, share.hash, 100, "yA", share.hash, SUBSIDY, BlockStatus.ACCEPTED)
        pool.stats.record_block(record)
    pool.refresh()
    told = pool.ask("/api/v1/luck").json["rounds"]
    assert [each["time_to_find"] for each in told] == [200, 200, None]


def test_without_blocks():
    pool = Pool(10, make_template())
    for share in pool.shares:
        share.block_bits = 0x03000001
    pool.refresh()
    stats = pool.ask("/luck_stats").json
    assert (stats["blocks_found"], stats["luck_available"], stats["avg_luck"]) == (0, False, None)
    assert stats["current_expected_time"] > 0
    assert pool.ask("/api/v1/luck").json["current_round"]["time"] is None


def test_luck_over_days_counts_blocks_against_the_sampled_work(pool):
    samples = pool.sources.cache.samples
    now = pool.now
    for back, rate in ((40 * 86400, 9e9), (3600, 2.0**32 / 100)):
        for second in range(0, 600, 10):
            scalars = {"pool_hash_rate": rate, "network_difficulty": 3.0}
            samples.add(make_sample(now - back + second, scalars, {}))
    for when in (now - 3590, now - 3300, now - 2000, now - 40 * 86400):
        pool.stats.record_block(BlockRecord(when, int(when), 1, "", None, 1, BlockStatus.CONFIRMED))
    pool.refresh()
    day, week, month = pool.ask("/api/v1/luck").json["periods"]
    assert [each["days"] for each in (day, week, month)] == [1, 7, 30]
    for each in (day, week, month):
        # The third block was found while nothing was sampled, the fourth too long ago.
        assert each["blocks"] == 2
        assert each["seconds"] == pytest.approx(600, abs=15)
        assert each["expected_blocks"] == pytest.approx(2, rel=0.05)
        assert each["luck"] == pytest.approx(100, rel=0.05)
    assert Pool(0).ask("/api/v1/luck").status == 503


def test_what_an_earlier_run_knew_of_a_round_stays_known(pool):
    blocks = (block(pool, 10), PoolBlock(NOW + 9000, 0xB10C, None))
    book = LuckBook()
    book.restore([RoundFigures(0xB10C, blocks[0].block_hash, 60.0, 2.0, 8e9, 4e9, "shares")])
    known = book.rounds(
        pool.tracker, best=pool.shares[-1].hash, blocks=blocks, stale=0.0, samples=Samples(), now=NOW
    ).rounds[1]
    assert (known.luck, known.method, known.time_to_find, known.block) == (200, "shares", 60, blocks[1])
    # Other ends are another round.
    other = book.rounds(
        pool.tracker,
        best=pool.shares[-1].hash,
        blocks=(block(pool, 11), blocks[1]),
        stale=0.0,
        samples=Samples(),
        now=NOW,
    )
    assert other.rounds[1].luck is None


def test_shares_that_are_held_know_better_than_an_earlier_run(pool):
    ends = (block(pool, 10), block(pool, 30))
    book = LuckBook()
    book.restore([RoundFigures(ends[1].block_hash, ends[0].block_hash, 60.0, 2.0, 8e9, 4e9, "samples")])
    known = book.rounds(
        pool.tracker, best=pool.shares[-1].hash, blocks=ends, stale=0.0, samples=Samples(), now=NOW
    ).rounds[1]
    assert known.time_to_find == 400
