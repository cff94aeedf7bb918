"""Delays of the reactor, and pauses of the garbage collector."""

from __future__ import annotations

import gc

import pytest
from twisted.internet.task import Clock

from p2pool.base.reactor_lag import PERIOD, GarbageWatch, ReactorWatch


def test_a_reactor_that_comes_late():
    reactor, delays, held_up = Clock(), [], [0.0]
    watch = ReactorWatch(reactor, delays.append, lambda: reactor.seconds() + held_up[0])
    watch.start()
    reactor.pump([PERIOD] * 3)
    assert delays == pytest.approx([0, 0, 0], abs=1e-9)
    held_up[0] += 0.25  # something else had the reactor
    reactor.pump([PERIOD] * 2)
    assert delays[3:] == pytest.approx([0.25, 0], abs=1e-9)
    held_up[0] -= 5.0
    reactor.advance(PERIOD)
    assert delays[5:] == [0]
    watch.stop()
    watch.stop()
    reactor.advance(10)
    assert len(delays) == 6
    assert not reactor.getDelayedCalls()


def test_pauses_of_the_garbage_collector():
    ticks, pauses = iter(range(100)), []
    watch = GarbageWatch(pauses.append, lambda: next(ticks))
    gc.collect()
    assert pauses == []
    watch.start()
    try:
        gc.collect()
    finally:
        watch.stop()
    count = len(pauses)
    assert count >= 1
    assert set(pauses) == {1}
    gc.collect()
    watch.stop()
    assert len(pauses) == count


def test_a_collection_that_began_before_the_watch_is_passed_over():
    pauses: list[float] = []
    GarbageWatch(pauses.append, lambda: 5.0)._ran("stop", {})
    assert pauses == []
