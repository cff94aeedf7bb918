"""The status line of systemd."""

from __future__ import annotations

from twisted.internet.task import Clock

from p2pool.app.service_status import PERIOD, SNAPSHOT_AGE, ServiceStatus
from p2pool.pool_stats import PoolStats
from p2pool.web.health import NO_DASHD, NO_PEERS, Missing
from tests.environment import make_environment


def test_it_is_told_when_it_changes():
    clock, sent = Clock(), []
    stats, missing, heights = PoolStats(0.0), [NO_DASHD, NO_PEERS], [None]
    status = ServiceStatus(
        make_environment(clock), stats, height=lambda: heights[0], missing=lambda: missing, notify=sent.append
    )
    status.start()
    expected = (
        "No work for miners: There is no fresh block template: Dash Core does not answer or is not synchronised"
    )
    assert sent == [f"STATUS={expected}"]
    clock.advance(PERIOD)
    assert len(sent) == 1
    missing.clear()
    clock.advance(PERIOD)
    assert sent[1:] == ["STATUS=0 miners, 0 H/s"]
    stats.record_connected(clock.seconds())
    heights[0] = 2_123_456
    clock.pump([PERIOD] * int(SNAPSHOT_AGE / PERIOD + 2))
    assert sent[-1] == "STATUS=1 miners, 0 H/s, block 2123456"
    status.stop()
    assert clock.getDelayedCalls() == []


def test_a_line_is_one_line():
    missing = [Missing("x", "One thing. Another thing.")]
    status = ServiceStatus(make_environment(), PoolStats(0.0), height=lambda: None, missing=lambda: missing)
    assert status.line() == "No work for miners: One thing"
