"""Text from outside, and numbers for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.text import excerpt, format_dash, format_duration, format_rate, printable, without_login

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT, st.integers(0, 100))
def test_printable_is_short_fit_to_send_and_stable(text, limit):
    shown = printable(text, limit)
    assert len(shown) == min(len(text), limit)
    assert shown.isprintable()
    shown.encode()
    assert printable(shown, limit) == shown


def test_printable_keeps_what_can_be_read():
    assert printable("Ärger mit ⛏ 5 %") == "Ärger mit ⛏ 5 %"
    assert printable("a\nb\x1b[2J\ud800\u202ec") == "a?b?[2J??c"
    assert len(printable("x" * 1000)) == 64


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("u:pw@h/d", "...@h/d"),
        ("u:p@w@h", "...@h"),
        ("u:p\nw@h", "...@h"),
        ("http://u:pw@h:1/", "http://...@h:1/"),
        ("http://token@h", "http://...@h"),
        ("me@h.example", "me@h.example"),
        ("http://h:1/x", "http://h:1/x"),
        ("[::1]:7903", "[::1]:7903"),
        ("", ""),
    ],
)
def test_a_login_is_not_shown(text, shown):
    assert without_login(text) == shown


@given(st.text(), st.text(), st.text())
def test_nothing_before_the_last_at_sign_of_a_login_is_shown(user, password, host):
    assert without_login(f"{user}:{password}@{host.replace('@', '')}").endswith("...@" + host.replace("@", ""))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | ANY_TEXT,
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


@given(JSON)
def test_excerpt_is_one_short_line(value):
    shown = excerpt(value)
    assert 0 < len(shown) <= 80
    assert shown.isprintable()


def test_excerpt_of_what_is_too_deep_for_repr():
    value: list = []
    for _ in range(5000):
        value = [value]
    assert excerpt(value) == "[[[...]]]"
    assert excerpt("zz") == "'zz'"
    assert excerpt({"a": 1}) == "{'a': 1}"


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0, "0 H/s"),
        (999.4, "999 H/s"),
        (999.6, "1.00 kH/s"),
        (1000, "1.00 kH/s"),
        (999_994, "999.99 kH/s"),
        (999_999, "1.00 MH/s"),
        (1_234_567, "1.23 MH/s"),
        (5e9, "5.00 GH/s"),
        (1.5e12, "1.50 TH/s"),
        (2e15, "2.00 PH/s"),
        (3.21e18, "3.21 EH/s"),
    ],
)
def test_rates(rate, text):
    assert format_rate(rate) == text


@given(st.integers(-(10**17), 10**17))
def test_amounts_are_exact(duffs):
    text = format_dash(duffs)
    whole, _, part = text.partition(".")
    assert len(part) == 8
    assert int(whole + part) == duffs
    assert text.startswith("-") == (duffs < 0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599.9, "1 h 0 min"),
        (3720, "1 h 2 min"),
        (86399, "23 h 59 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text
