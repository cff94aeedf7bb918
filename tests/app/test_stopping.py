"""Parts that are stopped one by one: what one of them does wrong does not keep the others."""

from __future__ import annotations

import threading

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from p2pool.app.stopping import END_TIME, LEAST_TIME, LOG_TIME, STOP_TIME, ForcedEnd, StopTimes, stop_part
from tests.logged import logged


def test_a_part_that_needs_no_time():
    assert ensureDeferred(stop_part(Clock(), lambda: None)).result is None


def test_a_part_that_hangs_is_left_behind():
    clock, hanging = Clock(), Deferred()

    def stop_the_mail() -> Deferred[None]:
        return hanging

    with logged() as log:
        done = ensureDeferred(stop_part(clock, stop_the_mail))
        clock.advance(STOP_TIME - 0.1)
        assert not done.called
        clock.advance(0.2)
    assert done.called
    assert "stop_the_mail takes longer than 3 s: not waiting for it" in str(log.lines)


def test_a_part_that_fails_is_logged():
    with logged() as log:
        done = ensureDeferred(stop_part(Clock(), lambda: 1 // 0))
    assert done.called
    assert "ZeroDivisionError" in str(log.tracebacks)


def test_after_a_signal_one_part_cannot_take_the_time_of_the_next():
    clock = Clock()
    times = StopTimes(clock, bounded=True)
    with logged():
        first = ensureDeferred(times.part(Deferred, by=2.0))
        clock.advance(1.9)
        assert not first.called
        clock.advance(0.2)
        assert first.called
        second = ensureDeferred(times.part(Deferred, by=2.0))
        assert not second.called
        clock.advance(LEAST_TIME + 0.01)
        assert second.called


def test_while_another_process_waits_each_part_has_its_own_time():
    clock = Clock()
    times = StopTimes(clock, bounded=False)
    clock.advance(100)
    with logged():
        done = ensureDeferred(times.part(Deferred, 12.0, by=2.0))
        clock.advance(11.9)
        assert not done.called
        clock.advance(0.2)
    assert done.called


def test_parts_that_stop_together_are_begun_in_order_and_waited_for_once():
    clock, begun = Clock(), []

    def hang(name: str) -> Deferred[None]:
        begun.append(name)
        return Deferred()

    def fail() -> None:
        begun.append("fail")
        raise ValueError("a bug")

    with logged() as log:
        done = ensureDeferred(
            StopTimes(clock, bounded=True).together(lambda: hang("a"), fail, lambda: hang("b"), by=9.0)
        )
        assert begun == ["a", "fail", "b"]
        clock.advance(STOP_TIME + 0.1)
    assert done.called
    assert len(log.tracebacks) == 1


def test_a_process_that_does_not_stop_is_ended(monkeypatch):
    ended, done = [], threading.Event()

    def end(status: int) -> None:
        ended.append(status)
        done.set()

    forced = ForcedEnd(0.01, end)
    with logged() as log:
        forced.begin()
        forced.begin()
        assert done.wait(30)
    assert ended == [1]
    assert len(log.lines) == 1
    assert "not stopped within 0.01 s: ending now" in log.lines[0]


def test_a_log_that_hangs_does_not_prevent_the_end(monkeypatch):
    held, done = threading.Event(), threading.Event()
    monkeypatch.setattr(ForcedEnd, "_log", lambda _: held.wait(30))
    ForcedEnd(0.01, lambda _: done.set()).begin()
    assert done.wait(30)
    held.set()


def test_the_end_is_within_ten_seconds():
    assert END_TIME + LOG_TIME < 10
