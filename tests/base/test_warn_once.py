"""Warnings that last are logged once."""

from __future__ import annotations

from p2pool.base.warn_once import MAX_TEXTS, WarnOnce, WarnSeldom


def test_a_warning_is_new_once_and_again_when_it_comes_back():
    warnings = WarnOnce()
    assert warnings.new(["the clock is 100 s behind", "upgrade"]) == ["the clock is 100 s behind", "upgrade"]
    assert warnings.new(["the clock is 101 s behind", "upgrade"]) == []
    assert warnings.new(["upgrade", "another"]) == ["another"]
    assert warnings.new(["the clock is 7 s behind"]) == ["the clock is 7 s behind"]
    assert warnings.new([]) == []


def test_what_repeats_itself_is_reported_once_in_a_time_whatever_comes_between():
    warnings = WarnSeldom(60.0)
    assert warnings.new(["format 1"], 0.0) == ["format 1"]
    assert warnings.new([], 1.0) == []
    assert warnings.new(["format 2", "other"], 59.0) == ["other"]
    assert warnings.new(["format 3", "format 4"], 60.0) == ["format 3"]
    assert warnings.new(["format 1"], 100.0) == []


def test_the_texts_that_are_remembered_are_bounded():
    warnings = WarnSeldom(60.0)
    for number in range(2 * MAX_TEXTS):
        assert warnings.new(["x" * number], 0.0)
    assert len(warnings._logged) == MAX_TEXTS
