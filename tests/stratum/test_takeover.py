"""Sessions that change hands while their connections live, or that come back under another address."""

from __future__ import annotations

import pytest

from tests.stratum.miner import ADDRESS, EASY, OTHER_ADDRESS
from tests.stratum.test_session_table import Rig
from tests.stratum.wire import StratumHarness, line, notifies


def test_a_block_that_was_on_its_way_when_the_session_was_resumed_elsewhere_counts():
    """The miner sent it, lost patience and came back; its new connection was served first."""
    harness = StratumHarness()
    first = Rig(harness)
    nonce = first.find(first.notify, EASY)
    first.session.state.jobs[first.notify[0]].issued.job.share_target = EASY
    Rig(harness, first.session_id)
    assert first.wire.disconnecting
    first.protocol.dataReceived(
        line("mining.submit", ADDRESS, first.notify[0], "00000000", first.notify[7], nonce)
    )
    assert len(harness.work.solved_outcomes) == 1


def test_a_connection_that_lost_its_session_leaves_none_behind():
    harness = StratumHarness()
    first = Rig(harness)
    Rig(harness, first.session_id)
    assert len(harness.server._context.sessions) == 0


def paid(rig: Rig) -> set[bytes]:
    """Whom the jobs that a connection may answer pay."""
    return {sent.issued.job.key_hash for sent in rig.session.state.jobs.values()}


@pytest.mark.parametrize("submits", [False, True])
def test_who_resumes_a_session_under_another_address_gets_no_job_of_the_former_one(submits):
    harness = StratumHarness()
    first = Rig(harness)
    if submits:
        first.submit(first.notify, first.find(first.notify, EASY))
    former = paid(first)
    first.leave()
    second = Rig(harness, first.session_id, OTHER_ADDRESS)
    assert second.session_id == first.session_id
    assert {second.session.state.newest.issued.job.key_hash}.isdisjoint(former)
    second.leave()
    third = Rig(harness, first.session_id)  # and back again
    assert {third.session.state.newest.issued.job.key_hash} == former
    assert len({sent.issued.job_id for sent in third.session.state.jobs.values()}) == 3


def test_who_resumes_a_session_with_another_wish_for_shares_gets_work_with_it():
    harness = StratumHarness()
    first = Rig(harness)
    first.leave()
    second = Rig(harness, first.session_id, ADDRESS + "/4096")
    assert second.notify[2] != first.notify[2]


def test_what_was_said_before_a_live_session_was_taken_over_is_newer_than_what_it_remembers():
    harness = StratumHarness()
    first = Rig(harness, before=[("mining.configure", ["version-rolling"], {"version-rolling.mask": "1fffe000"})])
    options = {"version-rolling.mask": "00006000", "minimum-difficulty.value": 2.0**-10}
    codes = ["version-rolling", "minimum-difficulty", "subscribe-extranonce"]
    second = Rig(harness, first.session_id, before=[("mining.configure", codes, options)])
    assert second.extranonce1 == first.extranonce1
    assert second.session.version_mask == second.session.state.requested_mask == 0x6000
    assert second.told_difficulty == [2.0**-10]
    assert second.session.state.extranonce_changes
    assert first.session.state.requested_mask == 0x1FFFE000


def test_no_job_of_the_former_address_is_repeated_while_there_is_none_for_the_new_one():
    harness = StratumHarness()
    first = Rig(harness)
    first.leave()
    harness.work.template, template = None, harness.work.template  # no new job can be made
    protocol, wire = harness.connect()
    protocol.dataReceived(line("mining.subscribe", "rig/1", first.session_id))
    protocol.dataReceived(line("mining.authorize", OTHER_ADDRESS, "x"))
    harness.reactor.advance(60)
    harness.server.serve(protocol.session, protocol.session.tick, harness.now())
    assert notifies(wire.messages()) == []
    harness.work.template = template
    harness.server.work_changed(template.previous_block, clean=True)
    assert len(notifies(wire.messages())) == 1


def test_no_solution_is_accepted_twice_by_going_from_session_to_session():
    """Two connections of two addresses that change places and back: the work is not new again."""
    harness = StratumHarness()
    other = Rig(harness, username=OTHER_ADDRESS, before=[("mining.extranonce.subscribe",)])
    rig = Rig(harness, before=[("mining.extranonce.subscribe",)])
    nonce = rig.find(rig.notify, EASY)
    assert rig.submit(rig.notify, nonce)[0]["result"] is True
    rig.call("mining.subscribe", "x", other.session_id)
    rig.call("mining.subscribe", "x", rig.session_id)
    assert rig.submit(rig.notify, nonce)[0]["result"] is False
    assert len(harness.stats.of("record_accepted")) == 1
