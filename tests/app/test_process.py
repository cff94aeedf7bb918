"""What the process does to the reactor."""

from __future__ import annotations

import pytest
from twisted.internet.base import ReactorBase
from twisted.internet.selectreactor import SelectReactor

from p2pool.app.process import make_time_steady


def test_timers_go_on_where_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch):
    reactor, fired = SelectReactor(), []
    make_time_steady(reactor)
    reactor.callLater(0, fired.append, "fired")
    monkeypatch.setattr(ReactorBase, "seconds", staticmethod(lambda: 0.0))
    reactor.runUntilCurrent()
    assert fired == ["fired"]
