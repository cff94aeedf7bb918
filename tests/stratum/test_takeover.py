"""Sessions that change hands while their connections live, or that come back under another address."""

from __future__ import annotations

from tests.stratum.miner import ADDRESS, EASY
from tests.stratum.test_sessions import Rig
from tests.stratum.wire import House, line


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
