"""The threads that ask the broker: what they hand over, and what becomes of errors. No sockets are opened."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from redis.exceptions import ConnectionError, OutOfMemoryError, ResponseError
from twisted.internet.defer import Deferred

from p2pool.broker.connection import MAX_REQUESTS, SHORTEST_READ, Broker, BrokerError
from p2pool.broker.operations import Entry, GroupReader
from p2pool.broker.settings import BrokerAddress
from tests.broker.thread_calls import ThreadCalls
from tests.environment import make_environment
from tests.logged import logged

ENTRY = Entry("stream", "1-0", b"data")


@pytest.fixture
def reactor() -> ThreadCalls:
    return ThreadCalls()


@pytest.fixture
def broker(reactor: ThreadCalls) -> Iterator[Broker]:
    broker = Broker(make_environment(reactor), BrokerAddress(hosts=(("127.0.0.1", 1),)))
    yield broker
    broker.stop()


def result_of(reactor: ThreadCalls, deferred: Deferred) -> object:
    """Return what a Deferred fires with; a failure's exception."""
    results: list[object] = []
    deferred.addCallbacks(results.append, lambda failure: results.append(failure.value))
    reactor.run_until(lambda: results)
    return results[0]


def fails(error: Exception):
    def act(client: object) -> None:
        raise error

    return act


def test_requests_are_answered_in_their_order(reactor, broker):
    broker.start()
    results: list[int] = []
    for number in range(10):
        broker.ask(lambda client, n=number: n).addCallback(results.append)
    reactor.run_until(lambda: len(results) == 10)
    assert results == list(range(10))


def test_the_first_failure_is_logged_and_so_is_the_return(reactor, broker):
    changes: list[str | None] = []
    broker.changed.subscribe(changes.append)
    broker.start()
    with logged() as log:
        error = result_of(reactor, broker.ask(fails(ConnectionError("refused"))))
        assert isinstance(error, BrokerError)
        assert str(error) == "redis://127.0.0.1:1/0: refused"
        result_of(reactor, broker.ask(fails(ConnectionError("refused"))))
        assert result_of(reactor, broker.ask(lambda client: 5)) == 5
    assert log.lines == [
        "the broker cannot be used: redis://127.0.0.1:1/0: refused; retrying",
        "connected to the broker redis://127.0.0.1:1/0",
    ]
    assert changes == [None]


@pytest.mark.parametrize("error", [ValueError("x"), IndexError(), TypeError("y"), RecursionError("deep")])
def test_an_answer_that_makes_no_sense_ends_no_thread(reactor, broker, error):
    broker.start()
    assert isinstance(result_of(reactor, broker.ask(fails(error))), BrokerError)
    assert "does not answer as Redis does" in str(broker.problem)
    assert result_of(reactor, broker.ask(lambda client: 5)) == 5


def test_reads_go_on_after_answers_that_make_no_sense(reactor, broker):
    answers = iter([ValueError("nonsense"), ConnectionError("gone"), [ENTRY]])
    taken: list[Entry] = []

    def read(client: object) -> list[Entry]:
        answer = next(answers, [])
        if isinstance(answer, Exception):
            raise answer
        return answer

    broker.follow(read, taken.extend)
    reactor.run_until(lambda: taken)
    assert taken == [ENTRY]


def test_reads_that_bring_nothing_do_not_spin(reactor, broker):
    reads: list[float] = []
    done = threading.Event()

    def read(client: object) -> list[Entry]:
        reads.append(1)
        if len(reads) == 5:
            done.set()
        return []

    started = time.monotonic()
    broker.follow(read, lambda entries: None)
    assert done.wait(20)
    assert time.monotonic() - started >= 4 * SHORTEST_READ


def test_the_next_read_waits_until_all_is_taken(reactor, broker):
    reads: list[int] = []
    taking: list[Deferred[None]] = []

    def read(client: object) -> list[Entry]:
        reads.append(1)
        return [ENTRY]

    def take(entries: list[Entry]) -> Deferred[None]:
        taking.append(Deferred())
        return taking[-1]

    broker.follow(read, take)
    reactor.run_until(lambda: taking)
    assert len(reads) == 1
    taking[0].callback(None)
    reactor.run_until(lambda: len(taking) == 2)
    assert len(reads) == 2


def test_what_cannot_be_taken_is_logged_as_a_bug_and_reading_goes_on(reactor, broker):
    taken: list[Entry] = []

    def take(entries: list[Entry]) -> None:
        taken.extend(entries)
        raise RuntimeError("a bug")

    with logged() as log:
        broker.follow(lambda client: [ENTRY], take)
        reactor.run_until(lambda: len(taken) > 1)
    assert any("internal error" in text for text in log.lines)


def test_requests_beyond_the_bound_fail_at_once(reactor, broker):
    for _ in range(MAX_REQUESTS):
        broker.ask(lambda client: None)
    errors: list[str] = []
    broker.ask(lambda client: None).addErrback(lambda failure: errors.append(str(failure.value)))
    assert errors == [f"{MAX_REQUESTS} requests to redis://127.0.0.1:1/0 are waiting"]


def test_stop_does_not_wait_for_what_hangs(reactor, broker):
    release = threading.Event()
    broker.start()
    broker.ask(lambda client: release.wait(20))
    broker.follow(lambda client: [ENTRY] if release.wait(20) else [], lambda entries: None)
    broker.stop()  # returns at once
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("broker"))
    release.set()


def test_a_full_broker_is_one_line_however_often_it_is_read(reactor, broker):
    broker.start()
    with logged() as log:
        for _ in range(3):
            result_of(reactor, broker.ask(fails(OutOfMemoryError("maxmemory"))))
            result_of(reactor, broker.ask(lambda client: 5))
    assert len(log.lines) == 1


class RefusingClient:
    """A server that lets nobody read a group that exists."""

    def xreadgroup(self, *_: object, **__: object) -> None:
        raise ResponseError("NOPERM this user has no permissions to run the 'xreadgroup' command")

    def xgroup_create(self, *_: object, **__: object) -> None:
        raise ResponseError("BUSYGROUP Consumer Group name already exists")


def test_a_group_that_may_not_be_read_is_a_problem_and_no_missing_group():
    with pytest.raises(ResponseError, match="NOPERM"):
        GroupReader("stream", "node")(RefusingClient())  # type: ignore[arg-type]


class WaitingClient:
    """A client whose reads wait until it is disconnected."""

    def __init__(self) -> None:
        self.connection_pool = self
        self.reads, self.disconnected = threading.Event(), threading.Event()

    def disconnect(self) -> None:
        self.disconnected.set()

    def read(self) -> list[Entry]:
        self.reads.set()
        assert self.disconnected.wait(20)
        raise ConnectionError("closed")


def test_stop_ends_reads_at_once_and_that_is_no_problem_of_the_broker(reactor, monkeypatch):
    client = WaitingClient()
    monkeypatch.setattr("p2pool.broker.connection.connect", lambda *_, **__: client)
    broker = Broker(make_environment(reactor), BrokerAddress(hosts=(("127.0.0.1", 1),)))
    before = set(threading.enumerate())
    broker.follow(WaitingClient.read, lambda entries: None)
    (thread,) = set(threading.enumerate()) - before
    assert client.reads.wait(20)
    with logged() as log:
        broker.stop()
        thread.join(20)
        done: list[int] = []
        reactor.callFromThread(lambda: done.append(1))
        reactor.run_until(lambda: done)
    assert not thread.is_alive()
    assert log.lines == []
