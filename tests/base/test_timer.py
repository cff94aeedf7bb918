"""Timers go on whatever happens."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from p2pool.base.timer import Timer
from tests.logged import logged


def test_a_failure_is_logged_and_the_next_call_comes():
    clock, calls = Clock(), []

    def function() -> None:
        calls.append(clock.seconds())
        if len(calls) == 2:
            raise ZeroDivisionError

    with logged() as log:
        timer = Timer(clock, 1.0, function, name="save the peers")
        clock.pump([1.0] * 4)
    assert calls == [0, 1, 2, 3, 4]
    assert len(log.tracebacks) == 1
    assert log.lines == ['periodic task "save the peers" failed; retrying in 1 s']
    timer.stop()
    timer.stop()
    clock.advance(5)
    assert len(calls) == 5
    assert clock.getDelayedCalls() == []


def test_not_at_once():
    clock, calls = Clock(), []
    Timer(clock, 10.0, lambda: calls.append(1), name="save the peers", now=False)
    clock.advance(9)
    assert calls == []
    clock.advance(1)
    assert calls == [1]


def test_it_waits_for_what_takes_longer():
    clock, waiting = Clock(), []

    async def function() -> None:
        waiting.append(Deferred())
        await waiting[-1]

    with logged() as log:
        Timer(clock, 1.0, function, name="save the peers")
        clock.pump([1.0] * 5)
        assert len(waiting) == 1
        waiting[0].errback(RuntimeError("no"))
        clock.advance(1)
    assert len(waiting) == 2
    assert len(log.tracebacks) == 1


def test_calls_keep_their_rhythm_and_leave_out_what_came_too_late():
    clock, calls = Clock(), []
    timer = Timer(clock, 1.0, lambda: calls.append(clock.seconds()), name="save the peers")
    clock.advance(0.5)
    clock.advance(3.0)
    assert calls == [0, 3.5]
    clock.advance(0.4)
    assert calls == [0, 3.5]
    clock.advance(0.1)
    assert calls == [0, 3.5, 4.0]
    timer.stop()


def test_a_function_may_stop_its_own_timer():
    clock, timers = Clock(), []

    def stop() -> None:
        timers[0].stop()

    timers.append(Timer(clock, 1.0, stop, name="save the peers", now=False))
    clock.pump([1.0] * 3)
    assert clock.getDelayedCalls() == []


def test_a_timer_stopped_while_its_awaitable_is_under_way_ends_with_it():
    clock, done = Clock(), Deferred()

    async def function() -> None:
        await done

    timer = Timer(clock, 1.0, function, name="save the peers")
    timer.stop()
    done.callback(None)
    assert clock.getDelayedCalls() == []
