"""What the process does to the reactor, and says at its start."""

from __future__ import annotations

import pytest
from twisted.internet.base import ReactorBase
from twisted.internet.selectreactor import SelectReactor

from p2pool.app.process import make_time_steady, report_built_in
from tests.logged import logged


def test_timers_go_on_where_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch):
    reactor, fired = SelectReactor(), []
    make_time_steady(reactor)
    reactor.callLater(0, fired.append, "fired")
    monkeypatch.setattr(ReactorBase, "seconds", staticmethod(lambda: 0.0))
    reactor.runUntilCurrent()
    assert fired == ["fired"]


def test_a_wrong_hash_is_one_critical_line():
    with logged() as log:
        report_built_in("X11", "")
        report_built_in("X11", "the built-in X11 computes a wrong hash")
    assert log.lines == ["X11: the built-in X11 computes a wrong hash"]
    assert log[-1]["log_level"].name == "critical"
