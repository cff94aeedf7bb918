"""What a gateway's log says of the node: once when it falls silent, once when its work is there."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from p2pool.gateway.node_watch import START_PATIENCE, NodeWatch
from tests.environment import make_environment
from tests.logged import Log, logged


class Watched:
    """A gateway's watch, and what it logs."""

    def __init__(self, log: Log) -> None:
        self.clock = Clock()
        self.problem: str | None = "the node has not sent any work yet"
        self.log = log
        self.watch = NodeWatch(make_environment(self.clock), problem=lambda: self.problem, network="simnet")
        self.watch.start()

    def wait(self, seconds: float) -> list[str]:
        """Return what is logged within so many seconds."""
        self.log.clear()
        self.clock.pump([1.0] * int(seconds))
        return self.log.lines


@pytest.fixture
def watched():
    with logged() as log:
        yield Watched(log)


def test_work_that_comes_soon_is_one_line(watched):
    assert watched.wait(START_PATIENCE / 2) == []
    watched.problem = None
    assert watched.wait(100) == ["work has come from the node: serving miners"]


def test_a_gateway_without_a_node_says_what_it_waits_for_and_what_to_do(watched):
    (line,) = watched.wait(100)
    assert line == (
        "waiting for work: the node has not sent any work yet; start the node with the same --broker and "
        "--net simnet"
    )
    watched.problem = None
    assert watched.wait(100) == ["work has come from the node: serving miners"]


def test_silence_is_logged_once_and_so_is_its_end(watched):
    watched.problem = None
    watched.wait(1)
    watched.problem = "the node has sent nothing for 31 s"
    (line,) = watched.wait(1)
    assert line == (
        "no fresh work: the node has sent nothing for 31 s; miners go on with the work that they have, and what "
        "they find is kept on disk"
    )
    watched.problem = "the node has sent nothing for 32 s"
    assert watched.wait(60) == []
    watched.problem = None
    assert watched.wait(1) == ["work comes from the node again, after 61 s"]
    assert watched.wait(60) == []


def test_a_gateway_that_stops_watches_no_longer(watched):
    watched.watch.stop()
    assert watched.wait(100) == []
