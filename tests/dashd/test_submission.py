"""Found blocks: written to a file first, sent on all channels, seen through until their fate is known."""

from __future__ import annotations

import errno
import gc
import shutil
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from p2pool.dashd.daemon import BlockPosition
from p2pool.dashd.delivery_log import BEATEN
from p2pool.dashd.found_block import FoundBlock
from p2pool.dashd.rpc import RpcError, RpcTimeout, RpcUnauthorized
from p2pool.dashd.spool import UNKNOWN as FROM_BEFORE
from p2pool.dashd.spool import BlockSpool
from p2pool.dashd.submission import (
    BURIED,
    MAX_UNDER_WAY,
    PARTING,
    RESEND_PERIOD,
    RETRY_PERIOD,
    SAFE,
    SEND_PATIENCE,
    SPOOL_PATIENCE,
    STILL_OFFERED,
)
from p2pool.pool_stats import BlockRecord, BlockStatus
from tests.dashd.blocks import BLOCK, DATA, DOWN, HASH, Disk, FakeLink, Offers
from tests.logged import logged

HEX = b"00ff10\n"
IN_CHAIN, SIDE_BRANCH = BlockPosition(1, False), BlockPosition(-1, False)
ACCEPTED = ("accepted", "")


@pytest.fixture
def log():
    # What earlier tests left unfinished ends when it is collected, and would be taken for this test's.
    gc.collect()
    with logged() as lines:
        yield lines
    assert lines.tracebacks == []


# --- the good case ---------------------------------------------------------------------------------------


def test_accepted_at_once(tmp_path, log):
    made = Offers(tmp_path, [None]).offer()
    assert made.daemon.data == made.link.sent == [DATA]
    assert made.status == ACCEPTED
    assert (made.record.height, made.record.worker, made.record.subsidy) == (7, "me.rig", 500)
    assert made.ended
    assert made.sent_after == [0.0]
    assert made.waiting == HEX  # until it is buried: a daemon may lose it


def test_it_is_written_before_it_is_sent_and_synced_meanwhile(tmp_path):
    """A node that dies while it sends has the block at the next start, whether or not the disk was done."""
    made = Offers(tmp_path, [None])
    left: list[list[FoundBlock]] = []

    def submit_block(data: bytes) -> Coroutine[Any, Any, None]:
        shutil.copytree(made.directory, tmp_path / "left")
        Deferred.fromCoroutine(BlockSpool(tmp_path / "left", Disk().run).load()).addCallback(left.append)
        return _accepted()

    made.daemon.submit_block = submit_block  # type: ignore[assignment]
    made.disk.hangs = True
    made.offer()
    assert left == []
    made.disk.do_one()  # the file is written; syncing it hangs
    assert left == [[BLOCK]]
    assert made.sent_after == [0.0]
    assert made.waiting is None
    made.disk.go_on()
    assert made.waiting == HEX
    assert made.ended


def test_it_counts_as_safe_once_it_is_synced(tmp_path):
    """Others are told of the share of a block once a power cut cannot take it."""
    made = Offers(tmp_path, [Deferred()])
    made.disk.hangs = True
    made.offer()
    made.disk.do_one()
    assert made.daemon.data == [DATA]
    assert not made.submitter.is_safe(HASH)
    made.disk.do_one()
    assert made.submitter.is_safe(HASH)


def test_a_disk_that_fails_while_it_syncs_is_an_alarm_and_is_tried_again(tmp_path, log, monkeypatch):
    """Sending is not held up by that, and half a file is not left."""
    made = Offers(tmp_path, [DOWN])
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", _fail)
        made.offer().wait(1)
    assert made.daemon.asked[0] == 0.0
    assert not made.submitter.is_safe(HASH)
    assert list(made.directory.iterdir()) == []
    (alarm,) = [line for line in log.lines if "cannot keep a found block on disk" in line]
    assert "Input/output error" in alarm
    made.wait(RESEND_PERIOD)
    assert made.waiting == HEX
    assert made.submitter.is_safe(HASH)


def _fail(descriptor: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_the_world_hears_of_it_once_it_is_on_disk_and_on_its_way(tmp_path):
    """Or a node that is killed then would have told of a block that nobody ever sees."""
    made = Offers(tmp_path, [Deferred()])
    told: list[tuple] = []
    made.store.changed.subscribe(lambda record: told.append((record.status.value, made.waiting, made.daemon.data)))
    made.disk.hangs = True
    made.offer()
    assert told == []
    made.disk.go_on()
    assert told == [("sent", HEX, [DATA])]
    slow = Offers(tmp_path / "b", [Deferred()])
    slow.disk.hangs = True
    slow.offer()
    slow.clock.advance(SEND_PATIENCE)
    assert slow.daemon.data == [DATA]
    assert not slow.store.records
    slow.clock.advance(SPOOL_PATIENCE)
    assert slow.status == ("sent", "")


async def _accepted() -> None:
    return None


def test_a_disk_that_hangs_holds_it_up_for_a_moment_only(tmp_path):
    made = Offers(tmp_path, [None])
    made.disk.hangs = True
    made.offer()
    assert made.daemon.data == []
    made.clock.advance(SEND_PATIENCE)
    assert made.daemon.data == [DATA]
    assert made.sent_after == [SEND_PATIENCE]
    made.disk.go_on()
    assert made.status == ACCEPTED
    assert made.ended


def test_a_full_disk_holds_up_nothing_is_an_alarm_and_is_tried_again(tmp_path, log):
    made = Offers(tmp_path, [DOWN])
    made.disk.error = OSError(errno.ENOSPC, "No space left on device")
    made.offer().wait(RESEND_PERIOD + 1)
    assert made.daemon.data[0] == DATA
    assert made.daemon.asked[0] == 0.0
    assert "No space left on device" in made.spool.problem
    (alarm,) = [line for line in log.lines if "cannot keep a found block on disk" in line]
    assert "check the disk and its free space" in alarm
    made.disk.error = None
    made.wait(RESEND_PERIOD)
    assert made.waiting == HEX
    assert made.spool.problem is None
    made.daemon.answers = [None]
    assert made.wait(RETRY_PERIOD).status == ACCEPTED


def test_a_disk_that_hangs_is_not_given_ever_more_to_do(tmp_path, log):
    made = Offers(tmp_path, [DOWN])
    made.disk.hangs = True
    made.offer().wait(RESEND_PERIOD * 5)
    assert len(made.disk.waiting) == 1
    made.disk.go_on()
    assert made.waiting == HEX


def test_the_same_block_is_under_way_once(tmp_path):
    made = Offers(tmp_path, [Deferred()]).offer().offer()
    assert made.daemon.data == [DATA]
    taken = Offers(tmp_path / "b", [None]).offer().offer()
    assert taken.daemon.data == [DATA]


# --- several daemons -------------------------------------------------------------------------------------


def test_all_daemons_are_given_it_at_once_and_one_is_enough(tmp_path, log):
    made = Offers(tmp_path, [Deferred()], [DOWN], [None]).offer()
    assert [daemon.data for daemon in made.daemons] == [[DATA]] * 3
    assert made.status == ACCEPTED
    assert made.submitter.waiting == 0


def test_the_others_are_still_asked_for_a_while_as_the_one_that_took_it_may_be_cut_off(tmp_path, log):
    made = Offers(tmp_path, [None], [RpcError(-28, "Loading"), RpcError(-28, "Loading"), None], [DOWN]).offer()
    assert made.status == ACCEPTED
    made.wait(5)
    assert [daemon.data for daemon in made.daemons[:2]] == [[DATA], [DATA] * 3]
    made.wait(STILL_OFFERED)
    asked = len(made.daemons[2].data)
    assert asked > 50
    assert made.wait(60).ended
    assert len(made.daemons[2].data) == asked


def test_one_that_refuses_is_an_alarm_but_another_may_take_it(tmp_path, log):
    late: Deferred[str | None] = Deferred()
    made = Offers(tmp_path, ["bad-cb-payee"], [late]).offer()
    assert made.status == ("sent", "")
    assert any("REJECTED by dashd at d0: bad-cb-payee" in line for line in log.lines)
    late.callback(None)
    assert made.status == ACCEPTED
    assert made.kept is None


def test_refused_by_all_is_lost_and_kept_for_people(tmp_path, log):
    made = Offers(tmp_path, ["bad-cb-payee"], ["bad-cb-payee"]).offer()
    assert made.status == ("refused", "bad-cb-payee")
    assert (made.kept, made.waiting) == (HEX, None)
    assert made.ended
    assert str(made.path) in log.lines[-1]
    assert "LOST" in log.lines[-1]
    assert made.wait(60).daemon.data == [DATA]


def test_a_frozen_daemon_does_not_hold_up_the_verdict_of_another(tmp_path, log):
    made = Offers(tmp_path, [Deferred()], ["duplicate"])
    made.daemons[1].positions[HASH] = IN_CHAIN
    made.daemons[0].positions[HASH] = frozen = Deferred()
    made.offer()
    assert made.status == ("sent", "")
    frozen.callback(None)  # its time is up
    assert made.status == ACCEPTED


# --- refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["high-hash", "duplicate-invalid", "bad-cb-payee", "time-too-old"])
def test_refused_is_asked_once_and_kept(tmp_path, reason, log):
    made = Offers(tmp_path, [reason]).offer()
    assert made.status == ("refused", reason)
    assert made.kept == HEX
    assert made.wait(60).daemon.data == [DATA]


def test_what_cannot_be_decoded_is_final(tmp_path, log):
    made = Offers(tmp_path, [RpcError(-22, "Block decode failed")]).offer()
    assert made.status == ("refused", "Block decode failed (code -22)")
    assert made.kept == HEX


UNCLEAR = ["rejected", "valid?", "True", "a word of a later version"]


@pytest.mark.parametrize("answer", UNCLEAR)
def test_an_answer_without_a_verdict_is_not_final(tmp_path, answer, log):
    made = Offers(tmp_path, [answer]).offer()
    made.daemon.positions[HASH] = SIDE_BRANCH  # it may know the header only
    made.wait(RESEND_PERIOD * 3)
    assert made.status == ("sent", "")
    assert (made.waiting, made.kept) == (HEX, None)
    asked = len(made.daemon.data)
    assert 5 <= asked <= 8
    assert made.wait(RESEND_PERIOD * 3).daemon.data[asked:] == [DATA] * 3
    (alarm,) = [line for line in log.lines if "not a known verdict" in line]
    assert answer in alarm
    assert not any("is valid, but" in line for line in log.lines)
    made.daemon.positions[HASH] = IN_CHAIN
    assert made.wait(RESEND_PERIOD).status == ACCEPTED
    assert f"is in the chain after all; dashd at d0 said {answer}" in log.lines[-1]
    assert made.wait(STILL_OFFERED).ended is False  # this one answers nothing else


def test_an_answer_without_a_verdict_may_be_followed_by_one(tmp_path, log):
    made = Offers(tmp_path, ["rejected", "duplicate-invalid"]).offer().wait(1)
    assert made.status == ("refused", "rejected, then duplicate-invalid")
    assert made.kept == HEX
    taken = Offers(tmp_path / "b", ["rejected", None]).offer().wait(1)
    assert taken.status == ACCEPTED


def test_an_answer_without_a_verdict_is_looked_up_at_once(tmp_path, log):
    made = Offers(tmp_path, ["rejected"])
    made.daemon.positions[HASH] = IN_CHAIN
    assert made.offer().status == ACCEPTED


def test_without_a_verdict_it_is_given_up_once_another_is_buried(tmp_path, log):
    made = Offers(tmp_path, ["rejected"]).offer()
    made.daemon.height, made.daemon.chain[7] = 7 + BURIED, 0xBEEF
    made.wait(RESEND_PERIOD + 1)
    assert made.status == ("refused", "rejected")
    assert made.kept == HEX
    assert made.wait(RESEND_PERIOD * 2).ended


def test_a_block_whose_time_is_ahead_of_dashds_clock_is_offered_until_it_is_not(tmp_path, log):
    made = Offers(tmp_path, ["time-too-new"]).offer().wait(60)
    assert made.status == ("sent", "")
    made.daemon.answers = [None]
    assert made.wait(RESEND_PERIOD).status == ACCEPTED


def test_one_that_refused_it_knows_its_header_which_does_not_make_it_valid(tmp_path, log):
    made = Offers(tmp_path, ["bad-cb-payee"], [DOWN])
    made.daemon.positions[HASH] = SIDE_BRANCH
    made.daemons[1].positions[HASH] = None
    made.offer().wait(RESEND_PERIOD * 2)
    assert made.status == ("sent", "")
    assert not any("is valid, but" in line for line in log.lines)


def test_refused_on_a_full_disk_says_that_it_is_nowhere(tmp_path, log):
    made = Offers(tmp_path, ["high-hash"])
    made.disk.error = OSError(errno.EROFS, "Read-only file system")
    made.offer()
    assert made.status == ("refused", "high-hash")
    assert "could not be saved to disk" in log.lines[-1]


# --- held, but where? ------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["duplicate", "inconclusive", "duplicate-inconclusive", "bad-chainlock"])
def test_a_block_that_dashd_holds_is_looked_for_in_the_chain(tmp_path, answer):
    made = Offers(tmp_path, [answer])
    made.daemon.positions[HASH] = BlockPosition(3, True)
    made.offer()
    assert made.status == ACCEPTED
    assert (made.record.confirmations, made.record.chainlocked) == (3, True)


@pytest.mark.parametrize("answer", ["duplicate", "inconclusive", "duplicate-inconclusive", "bad-chainlock"])
def test_a_beaten_block_may_still_win(tmp_path, answer, log):
    made = Offers(tmp_path, [answer])
    made.daemon.positions[HASH] = SIDE_BRANCH
    made.offer().wait(RESEND_PERIOD * 2.5)
    assert made.status == ("orphaned", BEATEN)
    assert sum("is valid, but" in line for line in log.lines) == 1
    assert made.daemon.data == [DATA]
    made.daemon.positions[HASH] = BlockPosition(2, False)
    assert made.wait(RESEND_PERIOD).status == ACCEPTED


@pytest.mark.parametrize("answer", ["duplicate", "inconclusive", "duplicate-inconclusive", "bad-chainlock"])
def test_a_beaten_block_is_given_up_once_another_is_buried_and_that_one_is_named(tmp_path, answer, log):
    made = Offers(tmp_path, [answer])
    made.daemon.positions[HASH] = SIDE_BRANCH
    made.daemon.chain[7] = 0xBEEF
    made.daemon.height = 7 + BURIED - 1
    made.offer().wait(RESEND_PERIOD + 1)
    assert made.submitter.waiting == 1
    made.daemon.height = 7 + BURIED
    made.wait(RESEND_PERIOD)
    assert made.status == ("orphaned", f"block 7 is {0xBEEF:064x}")
    assert made.ended
    assert (made.waiting, made.kept) == (None, None)
    assert f"{0xBEEF:064x}" in log.lines[-1]


@pytest.mark.parametrize(("height", "fate"), [(7 + BURIED - 1, "accepted"), (7 + BURIED, "orphaned")])
def test_the_word_of_a_daemon_that_is_stuck_does_not_count(tmp_path, height, fate, log):
    made = Offers(tmp_path, ["duplicate"], [DOWN])
    made.daemons[0].positions[HASH], made.daemons[0].height = BlockPosition(1, False), 7
    made.daemons[1].positions[HASH], made.daemons[1].height = BlockPosition(0, False), height
    made.daemons[1].chain[7] = 0xBEEF
    assert made.offer().status[0] == fate


def test_a_block_that_nobody_took_in_time_is_given_up_only_with_proof(tmp_path, log):
    """No daemon for an hour: it is offered all the time. The one that comes back has had other blocks since."""
    made = Offers(tmp_path, [DOWN])
    made.daemon.positions[HASH] = None
    made.offer().wait(3600, 1.0)
    assert made.status == ("sent", "")
    assert len(made.daemon.data) > 1000
    made.daemon.answers = ["prev-blk-not-found"]
    made.daemon.positions[HASH] = BlockPosition(0, False)
    made.daemon.height = 7 + BURIED + 20
    made.wait(RESEND_PERIOD + 5, 1.0)
    assert made.status == ("sent", "")  # it does not say which block is there instead
    made.daemon.chain[7] = 0xBEEF
    made.wait(RESEND_PERIOD + 5, 1.0)
    assert made.status == ("orphaned", f"block 7 is {0xBEEF:064x}")


def test_refused_by_one_and_no_word_of_the_other_until_it_is_buried(tmp_path, log):
    made = Offers(tmp_path, ["high-hash"], [DOWN]).offer()
    made.daemons[1].positions[HASH] = None
    made.daemon.height, made.daemon.chain[7] = 100, 0xBEEF
    made.wait(RESEND_PERIOD + 1)
    assert made.status == ("refused", "high-hash")
    assert made.kept == HEX


# --- trouble ---------------------------------------------------------------------------------------------


def test_a_missing_parent_passes(tmp_path, log):
    """A dashd that was killed gets the blocks that it lost from its peers again."""
    made = Offers(tmp_path, ["prev-blk-not-found", "prev-blk-not-found", None]).offer().wait(5)
    assert made.daemon.data == [DATA] * 3
    assert made.status == ACCEPTED


@pytest.mark.parametrize(
    "error",
    [DOWN, RpcTimeout("late"), RpcUnauthorized("refuses"), RpcError(-28, "Loading"), RpcError(-9, "no")],
    ids=lambda error: type(error).__name__,
)
def test_trouble_is_retried_until_the_block_is_accepted(tmp_path, error, log):
    made = Offers(tmp_path, [error] * 5 + [None]).offer()
    assert made.status == ("sent", "")
    assert made.waiting == HEX
    made.wait(20)
    assert made.status == ACCEPTED
    assert made.daemon.data == [DATA] * 6
    assert made.ended
    assert sum("NOT YET SUBMITTED" in line for line in log.lines) == 1
    assert sum("cannot submit block" in line for line in log.lines) == 1


def test_an_internal_error_costs_no_block(tmp_path):
    with logged() as log:
        made = Offers(tmp_path, [ZeroDivisionError("a defect"), None]).offer().wait(1)
    assert made.status == ACCEPTED
    assert len(log.tracebacks) == 1


def test_an_internal_error_while_looking_after_a_block_does_not_end_that(tmp_path):
    made = Offers(tmp_path, ["inconclusive"])
    made.daemon.positions[HASH] = SIDE_BRANCH
    made.daemon.height, made.daemon.chain[7] = 100, ZeroDivisionError("a defect")
    with logged() as log:
        made.offer().wait(RESEND_PERIOD + 1)
    assert len(log.tracebacks) == 2
    made.daemon.positions[HASH] = IN_CHAIN
    assert made.wait(RESEND_PERIOD).status == ACCEPTED


def test_an_internal_error_of_a_link_costs_neither_the_other_links_nor_the_block(tmp_path):
    made = Offers(tmp_path, ["duplicate"])
    broken, whole = FakeLink(), made.link
    broken.send_block = lambda data: 1 // 0  # type: ignore[method-assign]
    made.submitter._links = [broken, whole]
    made.daemon.positions[HASH] = IN_CHAIN
    with logged() as log:
        made.offer()
    assert len(log.tracebacks) == 1
    assert whole.sent == [DATA]
    assert made.status == ACCEPTED
    assert made.ended


def test_what_was_accepted_while_another_daemon_was_asked_is_not_taken_for_beaten(tmp_path, log):
    late, rival = Deferred(), Deferred()
    made = Offers(tmp_path, ["inconclusive"], [late])
    made.daemon.positions[HASH] = SIDE_BRANCH
    made.daemon.height, made.daemon.chain[7] = 100, rival
    made.offer()
    late.callback(None)
    rival.callback(None)
    assert made.status == ACCEPTED
    assert made.waiting == HEX


def test_a_block_that_the_chain_lost_while_the_disk_hangs_is_sent_again(tmp_path, log):
    made = Offers(tmp_path, [None])
    made.disk.hangs = True
    made.offer().wait(1)
    assert made.status == ACCEPTED
    made.submitter.offer_again(HASH)
    made.wait(1)
    assert made.daemon.data == [DATA, DATA]


def test_soon_at_first_then_steadily(tmp_path, log):
    made = Offers(tmp_path, [DOWN]).offer().wait(30)
    gaps = [later - earlier for earlier, later in zip(made.daemon.asked, made.daemon.asked[1:], strict=False)]
    assert gaps[:5] == [0.25, 0.5, 1.0, 2.0, 2.0]
    assert set(gaps[3:]) == {RETRY_PERIOD}


def test_while_no_daemon_answers_it_goes_out_by_p2p_again_and_again(tmp_path, log):
    made = Offers(tmp_path, [DOWN])
    made.daemon.positions[HASH] = None
    made.offer().wait(RESEND_PERIOD * 3 + 1)
    assert made.link.sent == [DATA] * 4


def test_a_daemon_that_lost_a_block_that_it_held_is_given_it_again(tmp_path, log):
    made = Offers(tmp_path, ["inconclusive", None])
    made.daemon.positions[HASH] = SIDE_BRANCH
    made.offer().wait(RESEND_PERIOD + 1)
    del made.daemon.positions[HASH]
    made.wait(RESEND_PERIOD)
    assert made.daemon.data == [DATA, DATA]
    assert made.status == ACCEPTED


@pytest.mark.parametrize("answer", ["duplicate", "inconclusive", "duplicate-inconclusive", "bad-chainlock"])
def test_a_daemon_that_claims_a_block_that_it_does_not_know_is_not_sent_it_without_a_pause(tmp_path, answer):
    """Two behind one address, say, of which one lags behind."""
    made = Offers(tmp_path, [answer])
    rounds = iter(range(100))
    made.daemon.submit_block = lambda data: _counted(rounds, answer)  # type: ignore[assignment]
    made.offer().wait(RESEND_PERIOD * 2 + 1)
    assert next(rounds) == len(made.link.sent) == 3


async def _counted(rounds, answer):
    next(rounds)
    return answer


def test_very_many_blocks_at_a_time_are_on_disk(tmp_path, log):
    made = Offers(tmp_path, [DOWN])
    for number in range(MAX_UNDER_WAY + 3):
        made.offer(replace(BLOCK, block_hash=number))
    assert made.submitter.waiting == MAX_UNDER_WAY
    assert len(list(made.directory.glob("*.pending"))) == MAX_UNDER_WAY + 3
    assert len(made.daemon.data) == len(made.link.sent) == MAX_UNDER_WAY + 3  # the newest are seen to
    made.daemon.answers = [None]
    made.wait(RESEND_PERIOD + RETRY_PERIOD)
    assert [number for number, record in made.store.records.items() if not record.in_chain] == [0, 1, 2]
    assert made.ended
    again = Offers(tmp_path, [None]).resume()
    assert sum(record.in_chain for record in again.store.records.values()) == MAX_UNDER_WAY


# --- over a restart --------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Deferred(), DOWN], ids=["dashd thinks", "between two tries"])
def test_stopped_meanwhile_it_is_on_disk_and_sent_again_at_the_next_start(tmp_path, answer, log):
    made = Offers(tmp_path, [answer]).offer()
    assert made.waiting == HEX  # from the first moment: the node may be killed
    made.stop()
    assert made.status == ("sent", "")
    assert made.clock.getDelayedCalls() == []
    again = Offers(tmp_path, [None]).resume()
    assert again.daemon.data == again.link.sent == [DATA]
    assert again.status == ACCEPTED


def test_after_a_kill_it_is_known_who_found_it_and_when(tmp_path, log):
    """The store is written once a second only."""
    found = replace(BLOCK, share_hash=0xCD, time=1e9 - 5)
    Offers(tmp_path, [DOWN]).offer(found)
    again = Offers(tmp_path, [None]).resume()
    assert again.status == ACCEPTED
    record = again.record
    assert (record.time, record.worker, record.share_hash, record.subsidy) == (1e9 - 5, "me.rig", 0xCD, 500)


def test_a_block_is_not_found_in_the_future(tmp_path):
    """The time of another node's block is that of its header."""
    made = Offers(tmp_path, [None]).offer(replace(BLOCK, time=2e9))
    assert made.record.time == 1e9


def test_what_an_earlier_version_could_not_know_is_added_to_its_record(tmp_path, log):
    found = replace(BLOCK, time=1e9 - 5)
    Offers(tmp_path, [DOWN]).offer(found)
    again = Offers(tmp_path, [DOWN])
    again.store.put(BlockRecord(5.0, HASH, 7, FROM_BEFORE, None, 0))
    again.resume()
    assert (again.record.time, again.record.worker, again.record.subsidy) == (1e9 - 5, "me.rig", 500)


def test_what_the_chain_has_is_not_sent_again_at_the_next_start(tmp_path):
    Offers(tmp_path, [None]).offer()
    again = Offers(tmp_path, [None])
    again.daemon.positions[HASH] = BlockPosition(2, False)
    again.resume()
    assert (again.daemon.data, again.link.sent) == ([], [])
    assert again.status == ACCEPTED
    assert again.waiting == HEX
    buried = Offers(tmp_path, [None])
    buried.daemon.positions[HASH] = BlockPosition(SAFE, False)
    buried.resume()
    assert buried.waiting is None


def test_stopping_waits_for_the_disk(tmp_path):
    made = Offers(tmp_path, [Deferred()])
    made.disk.hangs = True
    made.offer()
    stopped = Deferred.fromCoroutine(made.submitter.stop())
    made.wait(PARTING + 1)
    assert not stopped.called
    made.disk.go_on()
    assert stopped.called
    assert made.waiting == HEX


def test_a_block_found_just_before_the_end_is_sent_and_a_daemon_has_the_time_to_take_it(tmp_path):
    thinks: Deferred[None] = Deferred()
    made = Offers(tmp_path, [thinks])
    made.disk.hangs = True
    made.offer()
    stopped = Deferred.fromCoroutine(made.submitter.stop())
    made.clock.advance(SPOOL_PATIENCE)
    assert made.daemon.data == made.link.sent == [DATA]
    assert not stopped.called
    thinks.callback(None)
    made.disk.go_on()
    made.wait(0.25)
    assert stopped.called
    assert made.status == ACCEPTED


def test_the_end_waits_for_nobody_where_no_daemon_answers(tmp_path, log):
    made = Offers(tmp_path, [DOWN], ["high-hash"]).offer()
    assert Deferred.fromCoroutine(made.submitter.stop()).called


def test_a_block_that_is_only_in_the_book_is_taken_from_a_peer(tmp_path, log):
    """The disk was full: its record was written, the block was not."""
    made = Offers(tmp_path, [DOWN]).offer().stop()
    again = Offers(tmp_path / "again", [None])
    again.store.put(made.record)
    again.offer()
    assert again.daemon.data == [DATA]
    assert again.status == ACCEPTED


def test_a_block_that_the_chain_lost_is_sent_again(tmp_path):
    made = Offers(tmp_path, [None]).offer()
    made.submitter.offer_again(0x123)  # not known
    made.submitter.offer_again(HASH)
    assert made.daemon.data == [DATA, DATA]
    assert made.status == ACCEPTED


TROUBLE = st.sampled_from(
    [DOWN, RpcTimeout("x"), RpcError(-28, "Loading"), RpcError(-25, "disk"), "prev-blk-not-found", "rejected"]
)
LAST = st.sampled_from([None, "duplicate", "high-hash", RpcError(-22, "Block decode failed")])


@given(st.lists(st.tuples(st.lists(TROUBLE, max_size=5), LAST), min_size=1, max_size=3))
def test_whatever_happens_it_is_in_the_chain_or_kept(tmp_path_factory, answers):
    made = Offers(tmp_path_factory.mktemp("found"), *[[*trouble, last] for trouble, last in answers])
    for daemon, (_, last) in zip(made.daemons, answers, strict=True):
        if last == "duplicate":
            daemon.positions[HASH] = IN_CHAIN
    made.offer().wait(60)
    accepted = any(last in (None, "duplicate") for _, last in answers)
    assert made.record.status is (BlockStatus.ACCEPTED if accepted else BlockStatus.REFUSED)
    assert made.kept == (None if accepted else HEX)
    assert made.waiting == (HEX if accepted else None)
    assert made.ended
