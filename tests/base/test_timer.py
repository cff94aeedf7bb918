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
