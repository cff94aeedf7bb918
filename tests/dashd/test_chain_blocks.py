"""Blocks that only the share chain tells of: listed with what became of them, and no news if they are old."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from p2pool.dashd.block_store import MAX_BLOCKS, BlockStore
from p2pool.dashd.chain_blocks import MAX_AT_ONCE, PATIENCE, ChainBlockLister
from p2pool.dashd.daemon import BlockPosition
from p2pool.dashd.delivery_log import BEATEN
from p2pool.dashd.submission import BURIED
from p2pool.pool_stats import BlockRecord, PoolStats
from tests.dashd.blocks import Disk, FakeDaemon

STARTED = 1e9
OLD = BlockRecord(STARTED - 5000, 0xAB, 50, "another node", 0xAB, 500)
NEW = replace(OLD, time=STARTED + 100, block_hash=0xCD, share_hash=0xCD, height=99)


class Listing:
    """A lister over one daemon whose tip is block 100."""

    def __init__(self, directory) -> None:
        self.clock = Clock()
        self.daemon = FakeDaemon(self.clock, "d", None)
        self.daemon.height = 100
        self.store = BlockStore(directory / "blocks.json", Disk().run)
        self.stats = PoolStats(STARTED)
        self.news: list[BlockRecord] = []
        self.old: list[BlockRecord] = []
        self.store.changed.subscribe(self.news.append)
        self.store.changed.subscribe(self.stats.record_block)
        self.store.learned.subscribe(self.old.extend)
        self.store.learned.subscribe(self.stats.restore_blocks)
        self.lister = ChainBlockLister(
            lambda: self.daemon,
            self.store,
            clock=lambda: STARTED + 200 + self.clock.seconds(),
            started=STARTED,
        )

    def poll(self, times: int = 1) -> Listing:
        for _ in range(times):
            assert Deferred.fromCoroutine(self.lister.poll()).called
        return self

    @property
    def shown(self) -> list[BlockRecord]:
        return list(self.stats.snapshot(STARTED + 200).blocks)


@pytest.fixture
def listing(tmp_path) -> Listing:
    return Listing(tmp_path)


@pytest.mark.parametrize(
    ("position", "status", "confirmations"),
    [
        (BlockPosition(51, True), "accepted", 51),
        (BlockPosition(100, False), "confirmed", 100),
        (BlockPosition(-1, False), "orphaned", 0),
        (BlockPosition(0, False), "orphaned", 0),
    ],
)
def test_a_block_of_before_the_start_is_listed_at_once_and_is_no_news(listing, position, status, confirmations):
    listing.daemon.positions[0xAB] = position
    listing.lister.request(OLD)
    listing.lister.request(OLD)
    listing.poll()
    (shown,) = listing.shown
    assert (shown.time, shown.height, shown.worker, shown.subsidy) == (OLD.time, 50, "another node", 500)
    assert (shown.status.value, shown.confirmations) == (status, confirmations)
    assert shown.reason == (BEATEN if status == "orphaned" else "")
    assert listing.old == [shown]
    assert listing.news == []
    assert listing.stats.snapshot(STARTED + 200).blocks_accepted == 0
    assert listing.lister.waiting == 0
    listing.lister.request(OLD)  # the share is seen again
    assert listing.poll(3).daemon.polled == 1


def test_a_block_that_is_submitted_while_dashd_is_asked_is_left_to_that(listing):
    """Else the store said who did not find it, and that it is orphaned while it is under way."""
    submitted = replace(NEW, worker="me.rig")
    answer: Deferred[BlockPosition | None] = Deferred()

    async def block_position(block_hash: int) -> BlockPosition | None:
        return await answer

    listing.daemon.block_position = block_position
    listing.daemon.height = NEW.height + BURIED
    listing.lister.request(NEW)
    listing.clock.advance(PATIENCE)
    polling = Deferred.fromCoroutine(listing.lister.poll())
    listing.store.put(submitted)
    answer.callback(BlockPosition(0, False))
    assert polling.called
    assert list(listing.store.records.values()) == [submitted]
    listing.poll()
    assert listing.lister.waiting == 0


def test_a_block_of_after_the_start_is_news_if_nobody_submitted_it(listing):
    listing.daemon.positions[0xCD] = BlockPosition(2, False)
    listing.lister.request(NEW)
    assert listing.poll().shown == []
    listing.clock.advance(PATIENCE)
    (shown,) = listing.poll().shown
    assert listing.news == [shown]
    assert (shown.status.value, shown.time) == ("accepted", NEW.time)
    assert listing.stats.snapshot(STARTED + 200).blocks_accepted == 1


def test_one_that_was_submitted_meanwhile_stays_as_it_is(listing):
    listing.lister.request(NEW)
    listing.store.put(replace(NEW, worker="me.rig"))
    listing.clock.advance(PATIENCE)
    assert [record.worker for record in listing.poll().shown] == ["me.rig"]
    assert listing.daemon.polled == listing.lister.waiting == 0


def test_its_time_is_not_in_the_future(listing):
    listing.daemon.positions[0xCD] = BlockPosition(1, False)
    listing.lister.request(replace(NEW, time=STARTED * 2))
    listing.clock.advance(PATIENCE)
    assert listing.poll().shown[0].time == STARTED + 200


def test_while_dash_core_does_not_answer_or_is_behind_it_is_not_judged(listing):
    listing.daemon.positions[0xAB] = None
    listing.lister.request(OLD)
    assert listing.poll().shown == []
    listing.daemon.positions[0xAB] = BlockPosition(0, False)
    listing.daemon.height = 50 + BURIED - 1
    assert listing.poll().shown == []
    listing.daemon.height = 50 + BURIED
    listing.clock.advance(PATIENCE)
    assert listing.poll().shown[0].status.value == "orphaned"


def test_an_unknown_height_follows_from_the_confirmations(listing):
    listing.daemon.positions[0xAB] = BlockPosition(51, False)
    listing.lister.request(replace(OLD, height=0))
    assert listing.poll().shown[0].height == 50


def test_old_ones_come_where_they_belong_by_their_time(listing):
    blocks = [replace(OLD, time=STARTED - number, block_hash=number) for number in (1, 3, 5)]
    listing.store.put(blocks[1])
    for block in blocks:
        listing.daemon.positions[block.block_hash] = BlockPosition(3, False)
        listing.lister.request(block)
    assert [each.block_hash for each in listing.poll().shown] == [5, 3, 1]
    assert list(listing.store.records) == [5, 3, 1]


def test_a_long_chain_costs_a_few_questions_at_a_time_and_the_newest_are_kept(listing):
    for number in range(1, MAX_BLOCKS + 201):
        listing.daemon.positions[number] = BlockPosition(3, False)
        listing.lister.request(replace(OLD, time=float(number), block_hash=number))
    assert listing.lister.waiting == MAX_BLOCKS
    listing.poll()
    assert listing.daemon.polled == MAX_AT_ONCE
    listing.poll(MAX_BLOCKS // MAX_AT_ONCE)
    assert list(listing.store.records) == list(range(201, MAX_BLOCKS + 201))
    assert [each.block_hash for each in listing.shown] == list(range(201, MAX_BLOCKS + 201))


def test_blocks_that_are_not_settled_do_not_keep_others_from_their_turn(listing):
    listing.daemon.height = 0
    for number in range(1, MAX_AT_ONCE + 1):
        listing.lister.request(replace(OLD, block_hash=number))
    listing.daemon.positions[0xABC] = BlockPosition(1, False)
    listing.lister.request(replace(OLD, block_hash=0xABC))
    assert [each.block_hash for each in listing.poll(2).shown] == [0xABC]
