"""Warnings in the log: once while they stand."""

from __future__ import annotations

from p2pool.base.said import SaidOnce


def test_a_warning_is_news_once_and_again_when_it_comes_back():
    said = SaidOnce()
    assert said.news(["the clock is 100 s behind", "upgrade"]) == ["the clock is 100 s behind", "upgrade"]
    assert said.news(["the clock is 101 s behind", "upgrade"]) == []
    assert said.news(["upgrade", "another"]) == ["another"]
    assert said.news(["the clock is 7 s behind"]) == ["the clock is 7 s behind"]
    assert said.news([]) == []
