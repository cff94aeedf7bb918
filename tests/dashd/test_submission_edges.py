"""Found blocks at the edges: offered twice, on a disk that hangs, at shutdown, and with bugs of ours."""

from __future__ import annotations

import errno
import gc
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred, fail

from p2pool.dashd.daemon import BlockPosition
from p2pool.dashd.rpc import RpcError
from p2pool.dashd.spool import UNKNOWN as FROM_BEFORE
from p2pool.dashd.submission import (
    BEATEN,
    BURIED,
    MAX_UNDER_WAY,
    PARTING,
    RESEND_PERIOD,
    SEND_PATIENCE,
    SPOOL_PATIENCE,
)
from p2pool.pool_stats import BlockRecord, BlockStatus
from tests.dashd.blocks import BLOCK, DATA, DOWN, HASH, Offers
from tests.logged import logged

HEX = b"00ff10\n"
IN_CHAIN, SIDE_BRANCH, NOWHERE = (BlockPosition(depth, False) for depth in (1, -1, 0))


@pytest.fixture
def log():
    # What earlier tests left unfinished ends when it is collected, and would be taken for this test's.
    gc.collect()
    with logged() as lines:
        yield lines
        gc.collect()
    assert lines.tracebacks == []


# --- offered twice ---------------------------------------------------------------------------------------


def test_a_block_that_is_under_way_is_not_resumed_as_well(tmp_path, log):
    made = Offers(tmp_path, [Deferred()]).offer().resume()
    assert made.daemon.data == [DATA]
    assert made.submitter.waiting == 1


def test_a_block_that_the_chain_lost_is_under_way_once(tmp_path, log):
    made = Offers(tmp_path, [None, Deferred()]).offer()
    for _ in range(3):
        made.submitter.offer_again(HASH)
    assert made.daemon.data == [DATA, DATA]


def test_a_block_that_the_chain_has_again_meanwhile_is_not_sent(tmp_path, log):
    made = Offers(tmp_path, [None]).offer()
    made.daemon.positions[HASH] = IN_CHAIN
    made.submitter.offer_again(HASH)
    assert made.daemon.data == [DATA]
    assert made.ended


def test_a_block_of_an_earlier_run_is_known_before_any_daemon_answers(tmp_path, log):
    Offers(tmp_path, [DOWN]).offer()
    again = Offers(tmp_path, [Deferred()])
    again.daemon.positions[HASH] = Deferred()
    again.resume()
    assert again.daemon.data == []
    assert again.status == ("sent", "")
    assert (again.record.worker, again.record.height) == ("me.rig", 7)


def test_what_is_known_of_a_block_stays_if_its_file_says_less_or_something_else(tmp_path, log):
    known = BlockRecord(5.0, HASH, 7, "somebody", 0xAB, 400)
    for number, found in enumerate((replace(BLOCK, time=9e8), replace(BLOCK, worker=FROM_BEFORE, subsidy=0))):
        Offers(tmp_path / str(number), [DOWN]).offer(found)
        again = Offers(tmp_path / str(number), [DOWN])
        again.store.put(known)
        again.resume()
        assert again.record == known


def test_nothing_is_made_of_a_file_that_says_nothing(tmp_path, log):
    made = Offers(tmp_path, [DOWN])
    made.store.put(BlockRecord(5.0, HASH, 7, FROM_BEFORE, None, 0))
    made.offer(replace(BLOCK, worker="nobody", subsidy=0, time=9e8))
    assert (made.record.time, made.record.worker) == (5.0, FROM_BEFORE)


def test_its_share_is_added_to_the_record_of_an_earlier_version(tmp_path, log):
    made = Offers(tmp_path, [DOWN])
    made.store.put(BlockRecord(5.0, HASH, 7, FROM_BEFORE, None, 0))
    made.offer(replace(BLOCK, share_hash=0xCD))
    assert made.record.share_hash == 0xCD


def test_the_oldest_of_too_many_is_named(tmp_path, log):
    made = Offers(tmp_path, [Deferred()])
    for number in range(MAX_UNDER_WAY + 1):
        made.offer(replace(BLOCK, block_hash=number, height=100 + number))
    (alarm,) = [line for line in log.lines if "not settled yet" in line]
    assert alarm.startswith(
        f"{MAX_UNDER_WAY} found blocks are not settled yet; the oldest, block 100, stays on disk"
    )


def test_too_many_are_not_waited_for_even_if_their_daemon_hangs(tmp_path, log):
    for number in range(MAX_UNDER_WAY):
        Offers(tmp_path, [DOWN]).offer(replace(BLOCK, block_hash=number))
    made = Offers(tmp_path, [Deferred()])
    made.daemon.positions.update({number: Deferred() for number in range(MAX_UNDER_WAY)})
    made.resume()
    for number in range(1000, 1005):
        made.offer(replace(BLOCK, block_hash=number))
        assert made.submitter.waiting == MAX_UNDER_WAY


def test_a_block_is_safe_once_it_is_on_disk_or_its_fate_is_known(tmp_path, log):
    made = Offers(tmp_path, [Deferred()])
    made.disk.hangs = True
    assert not made.offer().submitter.is_safe(HASH)
    made.disk.go_on()
    assert made.submitter.is_safe(HASH)
    taken = Offers(tmp_path / "b", [None])
    taken.disk.error = OSError(errno.ENOSPC, "No space left on device")
    assert taken.offer().submitter.is_safe(HASH)
    assert not taken.submitter.is_safe(HASH + 1)


def test_a_block_that_gives_way_to_newer_ones_is_safe_only_if_it_is_on_disk(tmp_path, log):
    made = Offers(tmp_path, [Deferred()])
    made.disk.error = OSError(errno.ENOSPC, "No space left on device")
    made.offer(replace(BLOCK, block_hash=1))
    made.disk.error = None
    made.offer(replace(BLOCK, block_hash=2))
    for number in range(3, 3 + MAX_UNDER_WAY):
        made.offer(replace(BLOCK, block_hash=number))
    assert [made.submitter.is_safe(block_hash) for block_hash in (1, 2, 3)] == [False, True, True]


# --- several daemons -------------------------------------------------------------------------------------


def test_what_is_accepted_is_not_looked_up_and_not_taken_for_beaten(tmp_path, log):
    accepts: Deferred[None] = Deferred()
    made = Offers(tmp_path, [accepts])
    made.daemon.positions[HASH] = SIDE_BRANCH  # until it has connected the block
    made.offer()
    accepts.callback(None)
    assert made.status == ("accepted", "")
    assert made.daemon.polled == 0


def test_accepted_while_its_position_is_asked_for_it_is_not_taken_for_beaten(tmp_path, log):
    accepts, position = Deferred(), Deferred()
    made = Offers(tmp_path, ["inconclusive"], [accepts])
    made.daemon.positions[HASH] = position
    made.offer()
    accepts.callback(None)
    position.callback(SIDE_BRANCH)
    assert made.status == ("accepted", "")


def test_a_late_answer_does_not_set_its_confirmations_back(tmp_path, log):
    late: Deferred[None] = Deferred()
    made = Offers(tmp_path, [None], [late]).offer()
    made.store.put(replace(made.record, confirmations=3, chainlocked=True))
    late.callback(None)
    assert (made.record.confirmations, made.record.chainlocked) == (3, True)


def test_the_daemon_that_knows_most_confirmations_counts(tmp_path, log):
    made = Offers(tmp_path, ["duplicate"], ["duplicate"], ["duplicate"])
    for daemon, depth in zip(made.daemons, (1, 3, -1), strict=True):
        daemon.positions[HASH], daemon.height = BlockPosition(depth, depth == 3), 9
    made.offer()
    assert made.status == ("accepted", "")
    assert (made.record.confirmations, made.record.chainlocked) == (3, True)


def test_a_refused_block_is_not_offered_again(tmp_path, log):
    made = Offers(tmp_path, ["high-hash"]).offer()
    made.submitter.offer_again(HASH)
    assert made.daemon.data == [DATA]


def test_what_one_daemon_knows_is_sent_again_neither_to_others_nor_by_p2p(tmp_path, log):
    made = Offers(tmp_path, ["inconclusive"], ["high-hash"], [DOWN])
    for daemon, position in zip(made.daemons, (SIDE_BRANCH, NOWHERE, NOWHERE), strict=True):
        daemon.positions[HASH] = position
    made.offer().wait(RESEND_PERIOD * 3 + 1)
    assert made.link.sent == [DATA]
    assert [daemon.data for daemon in made.daemons[:2]] == [[DATA], [DATA]]


@pytest.mark.parametrize("first", ["behind", "without an answer", "with our block"])
def test_any_daemon_may_show_that_another_block_is_buried(tmp_path, log, first):
    made = Offers(tmp_path, ["duplicate"], ["duplicate"])
    for daemon in made.daemons:
        daemon.positions[HASH], daemon.height, daemon.chain[7] = SIDE_BRANCH, 7 + BURIED, 0xBEEF
    if first == "behind":
        made.daemon.height = 7 + BURIED - 1
    else:
        made.daemon.chain[7] = HASH if first == "with our block" else None
    made.offer()
    assert made.status == ("orphaned", f"block 7 is {0xBEEF:064x}")


def test_a_block_that_is_buried_itself_is_not_given_up(tmp_path, log):
    """Its position was asked for a moment too early."""
    made = Offers(tmp_path, ["duplicate"])
    made.daemon.positions[HASH], made.daemon.height, made.daemon.chain[7] = SIDE_BRANCH, 7 + BURIED, HASH
    made.offer()
    made.daemon.positions[HASH] = BlockPosition(BURIED + 1, False)
    assert made.wait(RESEND_PERIOD).status == ("accepted", "")


def test_the_reason_is_what_the_first_daemon_objected_to(tmp_path, log):
    made = Offers(tmp_path, ["high-hash"], ["bad-cb-payee"], [DOWN])
    made.daemon.height, made.daemon.chain[7] = 7 + BURIED, 0xBEEF
    made.offer().wait(RESEND_PERIOD + 1)
    assert made.status == ("refused", "high-hash")


# --- the disk --------------------------------------------------------------------------------------------


def test_how_long_sending_took_is_counted_from_when_it_was_found(tmp_path, log):
    made = Offers(tmp_path, [None]).wait(100)
    made.disk.hangs = True
    made.offer().clock.advance(SEND_PATIENCE)
    assert made.sent_after == [pytest.approx(SEND_PATIENCE)]


def test_refused_while_the_disk_hangs_it_is_kept_as_soon_as_that_goes_on(tmp_path, log):
    made = Offers(tmp_path, ["bad-cb-payee"])
    made.disk.hangs = True
    made.offer().clock.advance(SEND_PATIENCE)
    made.clock.advance(SPOOL_PATIENCE)
    assert made.status == ("refused", "bad-cb-payee")
    assert made.kept is None
    made.disk.go_on()
    assert (made.kept, made.waiting) == (HEX, None)
    assert made.ended


@pytest.mark.parametrize("hangs", [False, True])
def test_a_block_is_written_once(tmp_path, log, hangs):
    made, writes = Offers(tmp_path, [DOWN]), []
    keep = made.spool.keep
    made.spool.keep = lambda block, written: writes.append(block) or keep(block, written)  # type: ignore[method-assign]
    made.disk.hangs = hangs
    made.offer().wait(RESEND_PERIOD * 5)
    made.disk.go_on()
    made.wait(RESEND_PERIOD * 3)
    assert writes == [BLOCK]
    assert made.waiting == HEX


# --- shutdown --------------------------------------------------------------------------------------------


def test_stopped_while_the_disk_hangs_nothing_is_left_and_nothing_is_a_bug(tmp_path, log):
    made = Offers(tmp_path)  # no daemon that could still take it
    made.disk.hangs = True
    made.offer()
    assert len(made.clock.getDelayedCalls()) == 1  # the disk's time
    stopped = Deferred.fromCoroutine(made.submitter.stop())
    assert not stopped.called
    assert made.clock.getDelayedCalls() == []
    made.disk.go_on()
    assert stopped.called
    assert made.waiting == HEX


def test_a_shutdown_that_does_not_wait_for_the_disk_any_more_is_no_bug_either(tmp_path, log):
    made = Offers(tmp_path)
    made.disk.hangs = True
    made.offer()
    stopped = Deferred.fromCoroutine(made.submitter.stop())
    stopped.cancel()
    assert stopped.called
    assert made.ended


@pytest.mark.parametrize("others", [[], [["inconclusive"]]])
def test_a_daemon_that_hangs_when_it_is_asked_for_the_position_does_not_hold_up_the_end(tmp_path, log, others):
    made = Offers(tmp_path, ["duplicate"], *others)
    made.daemon.positions[HASH] = Deferred()
    made.offer()
    assert Deferred.fromCoroutine(made.submitter.stop()).called
    assert made.ended
    assert made.status == ("sent", "")
    assert made.waiting == HEX


def test_the_end_is_put_off_for_a_daemon_that_may_take_it_but_not_for_long(tmp_path, log):
    made = Offers(tmp_path, [Deferred()], [DOWN]).offer()
    stopped = Deferred.fromCoroutine(made.submitter.stop())
    made.wait(PARTING - 0.25, 0.05)
    assert not stopped.called
    made.wait(0.5, 0.05)
    assert stopped.called


# --- what is logged --------------------------------------------------------------------------------------


def test_how_many_connections_took_it_is_logged_if_any_did(tmp_path, log):
    made = Offers(tmp_path, [None])
    made.submitter._links = [made.link, made.link]
    made.offer()
    assert "block 7 was also sent over p2p, on 2 connections" in log.lines
    alone = Offers(tmp_path / "b", [None])
    alone.link.up = False
    alone.offer()
    assert sum("was also sent over p2p" in line for line in log.lines) == 1


def test_a_daemon_that_answered_without_a_verdict_is_not_said_to_be_out_of_reach(tmp_path, log):
    made = Offers(tmp_path, ["rejected", DOWN]).offer().wait(RESEND_PERIOD)
    assert len(made.daemon.data) > 2
    assert sum("not a known verdict" in line for line in log.lines) == 1
    assert not any("cannot submit" in line or "NOT YET SUBMITTED" in line for line in log.lines)


def alarms(log) -> int:
    return sum("NOT YET SUBMITTED" in line for line in log.lines)


def test_the_alarm_waits_until_each_daemon_has_failed(tmp_path, log):
    hangs: Deferred[None] = Deferred()
    made = Offers(tmp_path, [DOWN], [hangs, DOWN]).offer().wait(RESEND_PERIOD)
    assert alarms(log) == 0
    hangs.errback(DOWN)
    assert alarms(log) == 1
    made.daemon.answers = ["inconclusive"]
    made.daemon.positions[HASH] = IN_CHAIN
    made.wait(RESEND_PERIOD)
    assert made.status == ("accepted", "")
    assert sum("is in the chain after all" in line for line in log.lines) == 1


def test_no_alarm_if_a_daemon_that_failed_at_first_has_answered(tmp_path, log):
    hangs: Deferred[None] = Deferred()
    made = Offers(tmp_path, [DOWN, "high-hash"], [hangs, DOWN]).offer().wait(1)
    hangs.errback(DOWN)
    made.wait(RESEND_PERIOD)
    assert alarms(log) == 0
    assert made.submitter.waiting == 1


@pytest.mark.parametrize("answer", [None, "inconclusive", "high-hash"])
def test_no_alarm_if_one_daemon_answered(tmp_path, log, answer):
    made = Offers(tmp_path, [answer], [DOWN])
    made.daemon.positions[HASH] = SIDE_BRANCH
    made.offer().wait(RESEND_PERIOD * 2)
    assert alarms(log) == 0
    assert sum("cannot submit block 7 to dashd at d1: connection refused; retrying" in x for x in log.lines) == 1


def test_no_alarm_if_the_chain_has_it_anyway(tmp_path, log):
    hangs: Deferred[None] = Deferred()
    made = Offers(tmp_path, [hangs, DOWN]).offer()
    made.daemon.positions[HASH] = IN_CHAIN
    made.wait(RESEND_PERIOD + 1)
    assert made.status == ("accepted", "")
    hangs.errback(DOWN)
    made.wait(RESEND_PERIOD)
    assert alarms(log) == 0
    assert not any("after all" in line for line in log.lines)


def test_each_answer_is_logged_as_what_it_means(tmp_path, log):
    made = Offers(tmp_path, [None], ["duplicate"], ["high-hash"], ["prev-blk-not-found"]).offer()
    assert made.status == ("accepted", "")
    assert f"block 7 {HASH:064x} accepted by dashd at d0" in log.lines
    refused = [line for line in log.lines if "REJECTED" in line]
    assert refused == [f"block 7 {HASH:064x} REJECTED by dashd at d2: high-hash"]
    assert "cannot submit block 7 to dashd at d3: dashd answered prev-blk-not-found; retrying" in log.lines


# --- bugs of ours ----------------------------------------------------------------------------------------


def test_a_bug_of_ours_in_a_delivery_is_logged(tmp_path):
    made = Offers(tmp_path, [None])
    made.store.put = lambda record: 1 // 0  # type: ignore[method-assign]
    with logged() as log:
        made.offer()
    assert any("internal error while delivering a found block" in line for line in log.lines)
    assert made.daemon.data == made.link.sent == [DATA]
    assert made.submitter.waiting == 0


def test_a_bug_of_ours_in_writing_to_disk_costs_no_block(tmp_path):
    made = Offers(tmp_path, [None])

    async def keep(block) -> bool:
        raise ZeroDivisionError

    made.spool.keep = keep  # type: ignore[method-assign]
    with logged() as log:
        made.offer()
    assert any("internal error while writing block 7 to disk" in line for line in log.lines)
    assert made.daemon.data == [DATA]
    assert made.record.status is BlockStatus.ACCEPTED


def test_a_bug_of_ours_in_asking_one_daemon_does_not_end_a_delivery(tmp_path):
    made = Offers(tmp_path, ["inconclusive"], ["inconclusive"])
    made.daemons[0].positions[HASH], made.daemons[1].positions[HASH] = fail(ZeroDivisionError()), SIDE_BRANCH
    made.offer()
    assert made.status == ("orphaned", BEATEN)
    made.daemons[1].positions[HASH] = IN_CHAIN
    assert made.wait(RESEND_PERIOD).status == ("accepted", "")


def test_each_internal_error_names_the_block(tmp_path):
    made = Offers(tmp_path, [ZeroDivisionError("a bug"), RpcError(-28, "Loading")])
    with logged() as log:
        made.offer()
    assert any("internal error while submitting block 7" in line for line in log.lines)
