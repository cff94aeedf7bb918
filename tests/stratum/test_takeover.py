"""Sessions that change hands while their connections live, or that come back under another address."""

from __future__ import annotations

import pytest

from tests.stratum.miner import ADDRESS, EASY, OTHER_ADDRESS
from tests.stratum.test_sessions import Rig
from tests.stratum.wire import House, line, notifies


def test_a_block_that_was_on_its_way_when_the_session_was_resumed_elsewhere_counts():
    """The miner sent it, lost patience and came back; its new connection was served first."""
    house = House()
    first = Rig(house)
    nonce = first.find(first.notify, EASY)
    first.session.state.jobs[first.notify[0]].issued.job.share_target = EASY
    Rig(house, first.session_id)
    assert first.wire.disconnecting
    first.protocol.dataReceived(
        line("mining.submit", ADDRESS, first.notify[0], "00000000", first.notify[7], nonce)
    )
    assert len(house.work.solved_outcomes) == 1


def test_a_connection_that_lost_its_session_leaves_none_behind():
    house = House()
    first = Rig(house)
    Rig(house, first.session_id)
    assert len(house.server._house.sessions) == 0


def paid(rig: Rig) -> set[bytes]:
    """Whom the jobs that a connection may answer pay."""
    return {sent.issued.job.key_hash for sent in rig.session.state.jobs.values()}


@pytest.mark.parametrize("submits", [False, True])
def test_who_resumes_a_session_under_another_address_gets_no_job_of_the_former_one(submits):
    house = House()
    first = Rig(house)
    if submits:
        first.submit(first.notify, first.find(first.notify, EASY))
    former = paid(first)
    first.leave()
    second = Rig(house, first.session_id, OTHER_ADDRESS)
    assert second.session_id == first.session_id
    assert {second.session.state.newest.issued.job.key_hash}.isdisjoint(former)
    second.leave()
    third = Rig(house, first.session_id)  # and back again
    assert {third.session.state.newest.issued.job.key_hash} == former
    assert len({sent.issued.job_id for sent in third.session.state.jobs.values()}) == 3


def test_who_resumes_a_session_with_another_wish_for_shares_gets_work_with_it():
    house = House()
    first = Rig(house)
    first.leave()
    second = Rig(house, first.session_id, ADDRESS + "/4096")
    assert second.notify[2] != first.notify[2]


def test_what_was_said_before_a_live_session_was_taken_over_is_newer_than_what_it_remembers():
    house = House()
    first = Rig(house, before=[("mining.configure", ["version-rolling"], {"version-rolling.mask": "1fffe000"})])
    options = {"version-rolling.mask": "00006000", "minimum-difficulty.value": 2.0**-10}
    codes = ["version-rolling", "minimum-difficulty", "subscribe-extranonce"]
    second = Rig(house, first.session_id, before=[("mining.configure", codes, options)])
    assert second.extranonce1 == first.extranonce1
    assert second.session.version_mask == second.session.state.asked_mask == 0x6000
    assert second.told_difficulty == [2.0**-10]
    assert second.session.state.extranonce_changes
    assert first.session.state.asked_mask == 0x1FFFE000


def test_no_job_of_the_former_address_is_repeated_while_there_is_none_for_the_new_one():
    house = House()
    first = Rig(house)
    first.leave()
    house.work.template, template = None, house.work.template  # no new job can be made
    protocol, wire = house.connect()
    protocol.dataReceived(line("mining.subscribe", "rig/1", first.session_id))
    protocol.dataReceived(line("mining.authorize", OTHER_ADDRESS, "x"))
    house.reactor.advance(60)
    house.server.serve(protocol.session, protocol.session.tick, house.now())
    assert notifies(wire.messages()) == []
    house.work.template = template
    house.server.work_changed(template.previous_block, True)
    assert len(notifies(wire.messages())) == 1


def test_no_solution_is_accepted_twice_by_going_from_session_to_session():
    """Two connections of two addresses that change places and back: the work is not new again."""
    house = House()
    other = Rig(house, username=OTHER_ADDRESS, before=[("mining.extranonce.subscribe",)])
    rig = Rig(house, before=[("mining.extranonce.subscribe",)])
    nonce = rig.find(rig.notify, EASY)
    assert rig.submit(rig.notify, nonce)[0]["result"] is True
    rig.call("mining.subscribe", "x", other.session_id)
    rig.call("mining.subscribe", "x", rig.session_id)
    assert rig.submit(rig.notify, nonce)[0]["result"] is False
    assert len(house.stats.of("record_accepted")) == 1
