"""What becomes of blocks in the chain: confirmations, ChainLocks, orphans, and blocks that daemons lose."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from p2pool.dashd.daemon import BlockPosition
from p2pool.dashd.delivery_log import BEATEN
from p2pool.dashd.followup import CONFIRMED, BlockFollower
from p2pool.dashd.submission import SAFE
from p2pool.pool_stats import BlockRecord, BlockStatus
from tests.dashd.blocks import BLOCK, HASH, FakeDaemon, Offers
from tests.logged import logged


class Followed(Offers):
    """A block that dashd took at height 7, and a follower."""

    def __init__(self, directory) -> None:
        super().__init__(directory, [None])
        self.lost: list[int] = []
        self.serving: FakeDaemon = self.daemon
        self.follower = BlockFollower(
            serving=lambda: self.serving, store=self.store, spool=self.spool, lost=self.lost.append
        )
        self.offer()
        self.daemon.height = 7

    def at(self, depth: int | None, height: int, chainlocked: bool = False) -> tuple[str, int, bool]:
        """dashd has so many confirmations for it, at this height."""
        self.daemon.positions[HASH] = None if depth is None else BlockPosition(depth, chainlocked)
        self.daemon.height = height
        assert Deferred.fromCoroutine(self.follower.poll()).called
        record = self.record
        return record.status.value, record.confirmations, record.chainlocked


@pytest.fixture
def followed(tmp_path):
    with logged() as log:
        made = Followed(tmp_path)
        made.log = log  # type: ignore[attr-defined]
        yield made
    assert log.tracebacks == []


def test_from_the_first_confirmation_to_the_last(followed):
    assert followed.at(1, 7) == ("accepted", 1, False)
    assert followed.at(2, 8, True) == ("accepted", 2, True)
    assert followed.waiting is not None
    assert followed.at(SAFE, 7 + SAFE - 1, True) == ("accepted", SAFE, True)
    assert followed.waiting is None  # its file is not needed any more
    assert followed.at(CONFIRMED - 1, 105) == ("accepted", CONFIRMED - 1, False)
    assert followed.at(CONFIRMED, 106, True) == ("confirmed", CONFIRMED, True)
    assert "has 100 confirmations" in followed.log.lines[-1]
    polled = followed.daemon.polled
    assert followed.at(-1, 107) == ("confirmed", CONFIRMED, True)
    assert followed.daemon.polled == polled  # it is through


def test_nothing_is_asked_while_the_tip_is_the_same(followed):
    followed.at(1, 7)
    polled = followed.daemon.polled
    followed.at(1, 7)
    assert followed.daemon.polled == polled
    followed.serving = FakeDaemon(followed.clock, "another", None)
    followed.serving.height = 7
    followed.at(1, 7)
    assert followed.serving.polled == 1


def test_without_an_answer_it_is_asked_again(followed):
    assert followed.at(None, 8) == ("accepted", 1, False)
    assert followed.at(2, 8) == ("accepted", 2, False)


def test_orphaned_and_back_again(followed):
    followed.at(3, 9)
    followed.daemon.chain[7] = 0xBEEF
    assert followed.at(-1, 10) == ("orphaned", 0, False)
    assert followed.record.reason == f"block 7 is {0xBEEF:064x}"
    assert f"is orphaned: block 7 is {0xBEEF:064x}" in followed.log.lines[-1]
    assert followed.at(-1, 11) == ("orphaned", 0, False)
    assert followed.at(6, 12) == ("accepted", 6, False)
    assert followed.record.reason == ""
    assert "is back in the chain" in followed.log.lines[-1]
    assert followed.lost == []


def test_an_orphan_is_looked_after_until_its_coins_could_have_been_spent(followed):
    followed.at(-1, 8)
    assert followed.record.reason == BEATEN
    polled = followed.daemon.polled
    followed.at(-1, 7 + CONFIRMED - 1)
    assert followed.daemon.polled == polled + 1
    followed.at(-1, 7 + CONFIRMED)
    assert followed.daemon.polled == polled + 1


def test_a_block_that_dashd_lost_is_reported_but_not_by_one_that_is_behind(followed):
    assert followed.at(0, 6) == ("accepted", 1, False)
    assert followed.lost == []
    assert followed.at(0, 8) == ("orphaned", 0, False)
    assert followed.lost == [HASH]


def test_what_is_through_is_not_looked_after(followed):
    followed.store.put(BlockRecord(1.0, 1, 7, "w", None, 1, BlockStatus.CONFIRMED))
    polled = followed.daemon.polled
    followed.at(2, 8)
    assert followed.daemon.polled == polled + 1


@pytest.mark.parametrize("status", [BlockStatus.SENT, BlockStatus.REFUSED])
def test_a_block_of_which_we_heard_nothing_good_may_be_in_the_chain_all_the_same(followed, status):
    """Sent by p2p before the node was killed, its file lost; or refused by a daemon whose clock was wrong."""
    followed.store.put(BlockRecord(1.0, 1, 7, "w", None, 1, status, "time-too-new"))
    followed.at(2, 8)
    assert followed.store.records[1].status is status
    followed.daemon.positions[1] = BlockPosition(3, False)
    followed.at(3, 9)
    assert (followed.store.records[1].status, followed.store.records[1].reason) == (BlockStatus.ACCEPTED, "")


def test_a_block_that_was_sent_and_not_heard_of_again_is_given_up_in_the_end(followed):
    followed.store.put(BlockRecord(1.0, 1, 7, "w", None, 1, BlockStatus.SENT))
    followed.at(99, 7 + CONFIRMED - 1)
    assert followed.store.records[1].status is BlockStatus.SENT
    followed.daemon.chain[7] = 0xBEEF
    followed.at(100, 7 + CONFIRMED)
    assert followed.store.records[1].status is BlockStatus.ORPHANED
    assert followed.lost == []


def test_before_there_is_a_template_nothing_is_asked(followed):
    assert followed.at(5, -1) == ("accepted", 1, False)
    assert BLOCK.height == 7
