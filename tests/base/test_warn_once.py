"""Warnings that last are logged once."""

from __future__ import annotations

from p2pool.base.warn_once import WarnOnce


def test_a_warning_is_new_once_and_again_when_it_comes_back():
    warnings = WarnOnce()
    assert warnings.new(["the clock is 100 s behind", "upgrade"]) == ["the clock is 100 s behind", "upgrade"]
    assert warnings.new(["the clock is 101 s behind", "upgrade"]) == []
    assert warnings.new(["upgrade", "another"]) == ["another"]
    assert warnings.new(["the clock is 7 s behind"]) == ["the clock is 7 s behind"]
    assert warnings.new([]) == []
