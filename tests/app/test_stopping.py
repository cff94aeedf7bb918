"""Parts that are stopped one by one: what one of them does wrong does not keep the others."""

from __future__ import annotations

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from p2pool.app.stopping import STOP_TIME, stop_part
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
