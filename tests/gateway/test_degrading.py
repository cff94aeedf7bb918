"""A broker that is slow, full, read-only or new, as node and gateways meet it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from p2pool.broker.connection import BrokerError
from p2pool.gateway.messages import WorkMessage, parse_message
from p2pool.gateway.solution_sender import CHECK, SEND_AGAIN
from tests.gateway.test_gateway import Pool
from tests.support import make_template


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.setattr("p2pool.broker.operations.WAIT", 0.001)
    return Pool(tmp_path)


class SlowAnswers:
    """In place of a broker's `ask`: keeps what is asked until the test lets it happen."""

    def __init__(self, broker: Any) -> None:
        self._client = broker.client
        self.waiting: list[tuple[Any, Deferred[Any]]] = []
        broker.ask = self

    def __call__(self, action: Any, *, urgent: bool = False) -> Deferred[Any]:
        self.waiting.append((action, Deferred()))
        return self.waiting[-1][1]

    def answer(self) -> None:
        """Let all happen that waits now."""
        waiting, self.waiting = self.waiting, []
        for action, deferred in waiting:
            deferred.callback(action(self._client))

    def fail(self) -> None:
        """Fail all that waits now."""
        waiting, self.waiting = self.waiting, []
        for _, deferred in waiting:
            deferred.errback(BrokerError("slow"))


def published(pool: Pool) -> list[int]:
    """Return the heights of the works in the stream."""
    entries = pool.node.broker.client.xrange(pool.node.names.work)
    return [parse_message(WorkMessage, fields[b"data"]).template.height for _, fields in entries]


def test_a_slow_broker_gets_the_newest_work_and_not_all_that_there_was(pool):
    slow = SlowAnswers(pool.node.broker)
    for height in range(201, 210):
        pool.home.node.set_template(make_template(previous_block=height, height=height))
    assert len(slow.waiting) == 1
    slow.answer()
    slow.answer()
    assert published(pool) == [201, 209]
    assert slow.waiting == []


def test_work_goes_on_after_the_broker_failed(pool):
    slow = SlowAnswers(pool.node.broker)
    pool.home.node.set_template(make_template(previous_block=1, height=201))
    pool.home.node.set_template(make_template(previous_block=2, height=202))
    slow.fail()
    slow.answer()
    assert published(pool) == [202]


def test_work_is_sent_again_at_once_to_a_broker_that_is_back(pool):
    pool.home.node.renew_work()
    pool.node.broker.client.flushall()
    pool.node.feed.repeat()
    assert len(published(pool)) == 1


def test_work_that_was_passed_over_still_makes_former_jobs_worthless(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    client, stream = pool.node.broker.client, pool.node.names.work
    pool.home.node.set_template(make_template(previous_block=0xBEEF, height=201))
    pool.home.node.set_template(make_template(previous_block=0xBEEF, height=201, transactions=[b"\x05" * 32]))
    first, second = client.xrange(stream)[-2:]
    assert [parse_message(WorkMessage, fields[b"data"]).clean for _, fields in (first, second)] == [True, False]
    gateway.work.take(second[1][b"data"])  # the app passes over all but the newest
    assert gateway.changes[-1].clean is True


def test_solutions_that_a_full_broker_refused_are_tried_one_at_a_time_until_it_has_room(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    gateway.broker.problem = "full"
    outcomes = [gateway.mine() for _ in range(3)]
    slow = SlowAnswers(gateway.broker)
    for _ in range(20):
        gateway.clock.advance(CHECK)
    assert len(slow.waiting) == 1
    slow.answer()  # it has room again
    gateway.broker.problem = None
    gateway.clock.advance(SEND_AGAIN)
    slow.answer()
    pool.turn()
    assert all(outcome.hash in pool.home.tracker for outcome in outcomes)


def test_a_slow_broker_gets_each_solution_once(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    slow = SlowAnswers(gateway.broker)
    gateway.mine()
    for _ in range(20):
        gateway.clock.advance(SEND_AGAIN)
    assert len(slow.waiting) == 1
