"""The reactor's side of history: it never waits for the database, and never keeps more than its bounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from p2pool.base.known_databases import KnownDatabases
from p2pool.history import schema, service
from p2pool.history.database import CorruptDatabase, HistoryDatabase, parse_database_location
from p2pool.history.reading import Span, read_events, read_pool
from p2pool.history.records import DAY, HistoryProblem
from p2pool.history.service import FLUSH_PERIOD, MAX_QUERIES, READERS, ROWS_OF_SAMPLE, History
from p2pool.pool_stats import EventKind, EventRecord
from tests.environment import make_environment
from tests.history.scenarios import START, rows, sample, worker
from tests.logged import logged


class Threads:
    """Threads that do what they are given when they are told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self.failing: Exception | None = None
        self.is_held = False

    def run(self, function: Callable[[], Any]) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()
        self.waiting.append((function, result))
        if not self.is_held:
            self.turn()
        return result

    def turn(self) -> None:
        """Do all that waits."""
        while self.waiting:
            function, result = self.waiting.pop(0)
            try:
                if self.failing is not None:
                    raise self.failing
                value = function()
            except Exception:
                result.errback(Failure())
            else:
                result.callback(value)


class Setup:
    def __init__(self, path: Path) -> None:
        self.clock, self.threads, self.path = Clock(), Threads(), path
        self.ahead = 0.0
        """Seconds by which the clock on the wall is ahead of the steady one."""
        self.clock.advance(START)
        self.history = self.make()

    def make(self) -> History:
        target = parse_database_location("--stats-db", str(self.path))
        known = KnownDatabases(self.path.parent)
        environment = make_environment(self.clock, clock=self.now, run_in_daemon_thread=self.threads.run)
        return History(environment, target, node_name="node", retention=30 * DAY, known=known)

    def now(self) -> float:
        return self.clock.seconds() + self.ahead

    def samples(self, count: int, workers: int = 1) -> None:
        for _ in range(count):
            names = [worker(f"Xa.{number}", accepted=1) for number in range(workers)]
            self.history.record(sample(self.now(), *names))
            self.clock.advance(10)

    def ask(self, question: Callable[[HistoryDatabase], Any]) -> list[Any]:
        """[answer or Failure], [] while there is none."""
        answers: list[Any] = []
        ensureDeferred(self.history.ask(question)).addBoth(answers.append)
        return answers

    def points(self) -> int:
        now = self.clock.seconds()

        def question(database: HistoryDatabase) -> int:
            points = read_pool(
                database, Span(database.node, now - 3000, now, now), figures=["workers"], points=1000
            )
            return sum(each is not None for each in points.figures["workers"])

        (answer,) = self.ask(question)
        return answer


@pytest.fixture
def setup(tmp_path) -> Setup:
    return Setup(tmp_path / "history.sqlite")


def test_the_first_minute_is_there_at_once_and_then_each_minute(setup):
    setup.history.start()
    for count in range(1, 7):
        setup.samples(1)
        assert setup.points() == count
    setup.samples(3)
    assert setup.points() == 6
    assert setup.history.state.waiting == 3
    setup.samples(3)
    assert setup.points() == 12
    assert setup.history.state.waiting == 0
    assert setup.history.state.written == setup.clock.seconds()


def test_what_earlier_runs_left_is_reported_once(setup):
    told: list[Any] = []
    setup.history.restored.subscribe(told.append)
    setup.history.start()
    setup.samples(12)
    ensureDeferred(setup.history.stop())
    setup.history = setup.make()
    setup.history.restored.subscribe(told.append)
    setup.history.start()
    setup.samples(2)
    first, second = told
    assert [len(each.samples[10]) for each in told] == [0, 12]
    assert (list(first.rounds), list(second.rounds)) == ([], [])


def test_stopping_writes_what_waits(setup):
    setup.history.start()
    setup.samples(8)
    setup.history.record_event(EventRecord(START, EventKind.NODE_DOWN, "", "the node stops"))
    ensureDeferred(setup.history.stop())
    database = HistoryDatabase(parse_database_location("--stats-db", str(setup.path)), "node", "x")
    page = read_events(database, Span(database.node, 0, START + 99, START + 99), kind=None, offset=0, limit=10)
    assert [row["text"] for row in page.rows] == ["the node stops"]
    database.close()


def test_what_happens_is_written_soon(setup):
    setup.history.start()
    setup.samples(8)
    for number in range(3):
        setup.history.record_event(EventRecord(START + number, EventKind.BAN, "h", "text"))

    def count() -> int:
        span = Span(1, 0, START + 999, START + 999)
        (answer,) = setup.ask(lambda database: read_events(database, span, kind=None, offset=0, limit=10).total)
        return answer

    assert count() == 0
    setup.clock.advance(service.EVENT_DELAY)
    assert count() == 3
    ensureDeferred(setup.history.stop())
    assert setup.clock.getDelayedCalls() == []


def test_a_database_that_is_away_costs_one_line_and_nothing_is_lost(setup):
    setup.history.start()
    setup.samples(1)
    setup.threads.failing = HistoryProblem("the server is gone")
    with logged() as log:
        setup.samples(60)
    assert [line for line in log.lines if "history" in line] == [
        line for line in log.lines if "the server is gone" in line
    ]
    assert len(log.lines) == 1
    assert setup.history.problem == "the server is gone"
    setup.threads.failing = None
    with logged() as log:
        setup.samples(1)  # with the next sample, not the next minute: a disk that has room again
    assert [line for line in log.lines if "history is written again" in line]
    assert setup.history.problem is None
    assert setup.points() >= 60


def test_a_database_that_hangs_holds_nobody_up_and_is_not_asked_twice(setup):
    setup.history.start()
    setup.threads.is_held = True
    with logged() as log:
        setup.samples(60)
    assert len(setup.threads.waiting) == 1
    assert [line for line in log.lines if "has not answered for" in line] == log.lines
    assert len(log.lines) == 1
    assert "has not answered for 590 seconds" in setup.history.problem
    setup.threads.is_held = False
    setup.threads.turn()
    assert setup.history.problem is None
    setup.samples(6)
    assert setup.points() >= 60


def test_what_waits_is_bounded(setup, monkeypatch):
    monkeypatch.setattr(service, "MAX_WAITING_ROWS", 250)
    setup.history.start()
    setup.threads.failing = HistoryProblem("the server is gone")
    setup.samples(30, workers=10)
    assert setup.history.state.waiting == 250 // (ROWS_OF_SAMPLE + 10)
    setup.samples(30, workers=0)  # these weigh, too
    assert setup.history.state.waiting == 250 // ROWS_OF_SAMPLE
    for number in range(service.MAX_WAITING_EVENTS + 5):
        setup.history.record_event(EventRecord(number, EventKind.BAN, "h", "text"))
    setup.clock.advance(FLUSH_PERIOD)
    assert len(setup.history._events) == service.MAX_WAITING_EVENTS
    assert setup.history._events[-1].time == service.MAX_WAITING_EVENTS + 4


def test_an_internal_error_loses_nothing_either(setup):
    setup.history.start()
    setup.threads.failing = ZeroDivisionError("ours")
    with logged() as log:
        setup.samples(8)
    assert log.tracebacks
    assert setup.history.problem == "ZeroDivisionError: ours"
    setup.threads.failing = None
    setup.samples(6)
    assert setup.points() >= 12


def test_questions_are_bounded_and_wait_their_turn(setup):
    setup.history.start()
    setup.samples(1)
    setup.threads.is_held = True
    answers = [setup.ask(lambda database: 1) for _ in range(MAX_QUERIES + 2)]
    assert len(setup.threads.waiting) == READERS
    refused = [each[0] for each in answers if each]
    assert len(refused) == 2
    assert all(each.check(HistoryProblem) for each in refused)
    setup.threads.is_held = False
    setup.threads.turn()
    assert sum(each == [1] for each in answers) == MAX_QUERIES
    assert setup.ask(lambda database: 2) == [2]


def test_before_the_database_is_open_there_is_no_answer(setup):
    (answer,) = setup.ask(lambda database: 1)
    assert answer.check(HistoryProblem)
    assert "not open yet" in str(answer.value)


@pytest.mark.parametrize("how", ["emptied", "removed"])
def test_a_database_that_is_gone_is_reported(setup, how):
    with logged() as log:
        setup.history.start()
        setup.samples(6)
        Deferred.fromCoroutine(setup.history.stop())
    assert log.lines == []
    if how == "emptied":
        setup.path.write_bytes(b"")
    else:
        setup.path.unlink()
    setup.history = setup.make()
    with logged() as log:
        setup.history.start()
        setup.samples(6)
    (line,) = log.lines
    assert ("is empty (0 bytes)" if how == "emptied" else "is missing") in line
    assert setup.history.problem is None


def test_corruption_found_by_a_question_is_quarantined_by_the_next_writing(setup):
    setup.history.start()
    for _ in range(3):
        setup.samples(6, workers=99)
    # Pages written so far are damaged below SQLite's feet; what it remembers of them is gone with its connections.
    setup.history._database.close()
    data = bytearray(setup.path.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    setup.path.write_bytes(data)
    (answer,) = setup.ask(
        lambda database: read_pool(database, Span(1, 0, 2e9, 2e9), figures=["workers"], points=10)
    )
    assert answer.check(HistoryProblem)
    with logged() as log:
        setup.samples(12)
    assert [line for line in log.lines if "is corrupt: quarantined as" in line]
    assert list(setup.path.parent.glob("*.damaged-*"))
    assert setup.points() >= 6
    assert setup.history.problem is None


def test_corruption_of_a_file_that_was_quarantined_before_spares_the_new_one(setup):
    setup.history.start()
    setup.samples(6)

    setup.threads.is_held = True
    answers = [setup.ask(lambda database: 1) for _ in range(2)]
    waiting, setup.threads.waiting = setup.threads.waiting, []
    setup.threads.is_held = False
    for answer, (_, result) in zip(answers, waiting, strict=True):
        result.errback(Failure(CorruptDatabase("ours")))
        assert answer[0].check(HistoryProblem)
        setup.samples(6)  # the writing after the first one begins a new file
    assert len(list(setup.path.parent.glob("*.damaged-*"))) == 1


@pytest.mark.parametrize("failing", ["roll_up", "remove_old", "read_restored"])
def test_what_is_written_is_written_once_whatever_fails_beside_it(setup, monkeypatch, failing):
    def fail(*_: object) -> None:
        raise HistoryProblem("too slow")

    told: list[Any] = []
    setup.history.restored.subscribe(told.append)
    with monkeypatch.context() as patch, logged() as log:
        patch.setattr(service, failing, fail)
        setup.history.start()
        setup.samples(1)
        setup.history.record_event(EventRecord(START, EventKind.BAN, "h", "once"))
        setup.clock.advance(45 * 60)
        setup.samples(6)
        setup.clock.advance(FLUSH_PERIOD)
        assert setup.points() >= 6
        assert setup.history.state.waiting == 0
        assert setup.history.problem == "too slow"
    assert [line for line in log.lines if "history" in line] == [
        "cannot read or downsample history: too slow; mining continues; retrying every minute"
    ]
    setup.clock.advance(15 * 60)
    assert setup.history.problem is None
    assert len(told) == 1
    (events,) = setup.ask(lambda database: rows(database, schema.events))
    assert events == 1


def test_a_clock_that_leaps_takes_no_history_along(setup):
    def kept() -> int:
        (periods,) = setup.ask(lambda database: rows(database, schema.pool_samples, step=60))
        return periods

    setup.history.start()
    setup.samples(6 * 40)
    setup.ahead = 5 * 365 * DAY
    setup.samples(6 * 10)
    setup.ahead = 0.0
    setup.samples(6 * 45)
    assert kept() >= 40 + 9 + 43
    setup.clock.advance(2 * DAY)  # what is old does go
    setup.samples(6)
    assert kept() < 12
