"""The first news of a block counts, and is timed until there is work on it."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from p2pool.dashd.notices import MAX_NOTICES, NoticeBoard, Road


class Board:
    """A board with a clock, and what it recorded."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.recorded: list[tuple[str, float]] = []
        self.board = NoticeBoard(self.clock.seconds, lambda road, seconds: self.recorded.append((road, seconds)))
        self.heard, self.job_sent = self.board.heard, self.board.job_sent


@pytest.fixture
def made() -> Board:
    return Board()


def test_the_first_road_is_timed_until_the_first_job(made):
    made.clock.advance(100)
    made.heard(Road.P2P, 1)
    made.clock.advance(0.5)
    made.heard(Road.ZMQ, 1)
    made.clock.advance(0.25)
    made.job_sent(1)
    made.clock.advance(5)
    made.job_sent(1)
    made.heard(Road.POLL, 1)
    made.job_sent(1)
    assert made.recorded == [("p2p", 0.75)]


def test_news_that_came_a_moment_ago(made):
    made.clock.advance(100)
    made.heard(Road.LONG_POLL, 1, when=99.5)
    made.heard(Road.P2P, 1, when=50)  # said later: not the first
    made.job_sent(1)
    assert made.recorded == [("long_poll", 0.5)]


def test_the_block_at_the_start_is_no_news(made):
    made.job_sent(1)
    made.heard(Road.HEARTBEAT, 1)
    made.job_sent(1)
    assert made.recorded == []


def test_what_comes_back_in_a_reorganisation_is_not_timed_again(made):
    for block in (1, 2):
        made.heard(Road.ZMQ, block)
        made.job_sent(block)
    made.clock.advance(60)
    made.job_sent(1)
    made.job_sent(2)
    assert made.recorded == [("zmq", 0.0), ("zmq", 0.0)]


def test_a_block_that_was_never_worked_on_records_nothing(made):
    made.heard(Road.P2P, 1)
    made.heard(Road.P2P, 2)
    made.job_sent(2)
    assert made.recorded == [("p2p", 0.0)]


def test_memory_is_bounded(made):
    for block in range(5 * MAX_NOTICES):
        made.heard(Road.POOL, block)
        made.job_sent(block)
    assert len(made.board._first) == len(made.board._timed) == MAX_NOTICES
    assert len(made.recorded) == 5 * MAX_NOTICES
    made.job_sent(0)  # forgotten: not recorded again
    assert len(made.recorded) == 5 * MAX_NOTICES


def test_every_road_has_a_name_of_its_own():
    assert len({road.value for road in Road}) == len(Road)
    assert all(str(road) == road.value for road in Road)
