"""Work goes out when its transactions are with the broker, which may be slow, and hardly later if it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fakeredis
import pytest
from twisted.internet.defer import Deferred

from p2pool.broker.connection import BrokerError
from p2pool.gateway.work_feed import TRANSACTIONS_FIRST
from tests.gateway.fake_broker import FakeBroker
from tests.gateway.test_gateway import NodeSide
from tests.gateway.transactions import template_with, transaction
from tests.home import at_work


class SlowBroker(FakeBroker):
    """Answers one request at a time, when it is told to."""

    def __init__(self, server: fakeredis.FakeServer) -> None:
        super().__init__(server)
        self.pending: list[tuple[Callable[[Any], Any], Deferred[Any]]] = []

    def ask(self, action: Any, *, urgent: bool = False) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        self.pending.append((action, answer))
        return answer

    def answer(self) -> None:
        action, answer = self.pending.pop(0)
        answer.callback(action(self.client))

    def fail(self) -> None:
        self.pending.pop(0)[1].errback(BrokerError("gone"))


class Feed:
    """A node whose broker is slow."""

    def __init__(self) -> None:
        server = fakeredis.FakeServer()
        self.node = NodeSide(server, at_work())
        self.broker = SlowBroker(server)
        self.node.feed._broker = self.node.feed.transactions._broker = self.broker

    def work(self, *transactions: int, **changes: Any) -> None:
        self.node.home.node.set_template(template_with(*map(transaction, transactions), **changes))

    @property
    def sent(self) -> int:
        return int(self.broker.client.xlen(self.node.names.work))


@pytest.fixture
def feed() -> Feed:
    return Feed()


def test_work_follows_its_transactions(feed: Feed) -> None:
    feed.work(1, 2)
    feed.broker.answer()  # the transactions
    assert (feed.sent, len(feed.broker.pending)) == (0, 1)
    feed.broker.answer()  # their list
    feed.broker.answer()
    assert feed.sent == 1
    feed.node.clock.advance(TRANSACTIONS_FIRST)
    assert feed.broker.pending == []  # and it is sent once


def test_work_without_transactions_waits_for_nothing(feed: Feed) -> None:
    feed.work(previous_block=0xBEEF)
    feed.broker.answer()
    assert feed.sent == 1


def test_work_with_transactions_that_are_stored_waits_for_nothing(feed: Feed) -> None:
    feed.work(1)
    while feed.broker.pending:
        feed.broker.answer()
    feed.node.home.node.renew_work()
    feed.broker.answer()
    assert feed.sent == 2


def test_a_slow_broker_holds_work_up_for_a_moment_only(feed: Feed) -> None:
    feed.work(1)
    feed.node.clock.advance(TRANSACTIONS_FIRST * 0.6)
    feed.work(1, 2)  # newer work does not begin to wait anew
    feed.node.clock.advance(TRANSACTIONS_FIRST * 0.5)
    assert len(feed.broker.pending) == 2
    feed.broker.pending.pop(0)  # the transactions are still under way
    feed.broker.answer()
    assert feed.sent == 1


def test_a_broker_that_fails_holds_work_up_for_a_moment_only(feed: Feed) -> None:
    feed.work(1)
    feed.broker.fail()
    assert feed.broker.pending == []
    feed.node.clock.advance(TRANSACTIONS_FIRST)
    feed.broker.answer()
    assert feed.sent == 1


def test_newer_work_replaces_what_waits(feed: Feed) -> None:
    feed.work(1)
    feed.work(previous_block=0xBEEF)  # nothing to wait for
    feed.broker.pending.pop(0)
    feed.broker.answer()
    feed.node.clock.advance(TRANSACTIONS_FIRST)
    assert (feed.sent, feed.broker.pending) == (1, [])


def test_nothing_is_sent_after_the_end(feed: Feed) -> None:
    feed.work(1)
    feed.node.feed.stop()
    feed.node.clock.advance(TRANSACTIONS_FIRST)
    assert len(feed.broker.pending) == 1
