"""The first news of a block counts, and is timed until there is work on it."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from p2pool.dashd.block_notifications import MAX_NOTIFICATIONS, BlockNotifications, NotificationSource


class Board:
    """A notifications with a clock, and what it recorded."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.recorded: list[tuple[str, float]] = []
        self.notifications = BlockNotifications(
            self.clock.seconds, lambda source, seconds: self.recorded.append((source, seconds))
        )
        self.received, self.job_sent = self.notifications.received, self.notifications.job_sent


@pytest.fixture
def made() -> Board:
    return Board()


def test_the_first_source_is_timed_until_the_first_job(made):
    made.clock.advance(100)
    made.received(NotificationSource.P2P, 1)
    made.clock.advance(0.5)
    made.received(NotificationSource.ZMQ, 1)
    made.clock.advance(0.25)
    made.job_sent(1)
    made.clock.advance(5)
    made.job_sent(1)
    made.received(NotificationSource.POLL, 1)
    made.job_sent(1)
    assert made.recorded == [("p2p", 0.75)]


def test_news_that_came_a_moment_ago(made):
    made.clock.advance(100)
    made.received(NotificationSource.LONG_POLL, 1, when=99.5)
    made.received(NotificationSource.P2P, 1, when=50)  # said later: not the first
    made.job_sent(1)
    assert made.recorded == [("long_poll", 0.5)]


def test_the_block_at_the_start_is_no_news(made):
    made.job_sent(1)
    made.received(NotificationSource.HEARTBEAT, 1)
    made.job_sent(1)
    assert made.recorded == []


def test_what_comes_back_in_a_reorganisation_is_not_timed_again(made):
    for block in (1, 2):
        made.received(NotificationSource.ZMQ, block)
        made.job_sent(block)
    made.clock.advance(60)
    made.job_sent(1)
    made.job_sent(2)
    assert made.recorded == [("zmq", 0.0), ("zmq", 0.0)]


def test_a_block_that_was_never_worked_on_records_nothing(made):
    made.received(NotificationSource.P2P, 1)
    made.received(NotificationSource.P2P, 2)
    made.job_sent(2)
    assert made.recorded == [("p2p", 0.0)]


def test_memory_is_bounded(made):
    for block in range(5 * MAX_NOTIFICATIONS):
        made.received(NotificationSource.POOL, block)
        made.job_sent(block)
    assert len(made.notifications._first) == len(made.notifications._timed) == MAX_NOTIFICATIONS
    assert len(made.recorded) == 5 * MAX_NOTIFICATIONS
    made.job_sent(0)  # forgotten: not recorded again
    assert len(made.recorded) == 5 * MAX_NOTIFICATIONS


def test_every_source_has_a_name_of_its_own():
    assert len({source.value for source in NotificationSource}) == len(NotificationSource)
    assert all(str(source) == source.value for source in NotificationSource)
