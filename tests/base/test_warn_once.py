"""Warnings that last are logged once, those that others cause are rate-limited."""

from __future__ import annotations

from p2pool.base.warn_once import MOST, PERIOD, WarnOnce, WarnRarely


def test_a_warning_is_new_once_and_again_when_it_comes_back():
    warnings = WarnOnce()
    assert warnings.new(["the clock is 100 s behind", "upgrade"]) == ["the clock is 100 s behind", "upgrade"]
    assert warnings.new(["the clock is 101 s behind", "upgrade"]) == []
    assert warnings.new(["upgrade", "another"]) == ["another"]
    assert warnings.new(["the clock is 7 s behind"]) == ["the clock is 7 s behind"]
    assert warnings.new([]) == []


def test_warnings_that_others_cause_are_limited_however_they_alternate():
    now = 0.0
    warnings = WarnRarely(lambda: now)
    assert [warnings.is_due(text) for text in ("size 1", "field a", "size 2", "field a")] == [
        True,
        True,
        False,
        False,
    ]
    assert sum(warnings.is_due("x" * n) for n in range(1000)) == MOST - 2
    now = PERIOD
    assert warnings.is_due("size 3")
