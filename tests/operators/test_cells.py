"""Names that strangers chose, on a terminal."""

from __future__ import annotations

import pytest

from p2pool.operators.cells import fit, safe, width_of

HOSTILE = {
    "Xa.rig 1": "Xa.rig 1",
    "a\x1b[2J\x1b]0;title\x07b\r\n\x9b31m\x00": "a?[2J?]0;title?b???31m?",
    "\u202eevil\u202c\u2066\u200b\ufeff": "?evil????",
    "שלום": "????",
    "٣٤": "??",
    "e\u0301\u20dd": "e??",
    "\u1112\u1161\u11ab": "\u1112??",
    "矿机": "矿机",
    "\ud800": "?",
    "": "",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_what_could_control_a_terminal_is_replaced(text):
    assert safe(text) == HOSTILE[text]


def test_very_long_text_is_cut():
    assert safe("x" * 1000) == "x" * 500


@pytest.mark.parametrize(
    ("text", "width", "how", "expected"),
    [
        ("ab", 4, {}, "ab  "),
        ("ab", 4, {"right": True}, "  ab"),
        ("abcdef", 4, {}, "abc…"),
        ("abcdef", 4, {"middle": True}, "ab…f"),
        ("矿矿矿", 4, {}, "矿… "),
        ("矿矿矿", 5, {"middle": True}, "矿…矿"),
        ("矿", 1, {}, "…"),
        ("abc", 0, {}, ""),
    ],
)
def test_text_takes_the_columns_that_it_is_given(text, width, how, expected):
    assert fit(text, width, **how) == expected
    assert width_of(expected) == width


@pytest.mark.parametrize("text", [*HOSTILE, "y" * 100_000, "矿" * 300])
@pytest.mark.parametrize("width", range(12))
def test_any_text_takes_the_columns_that_it_is_given(text, width):
    assert width_of(fit(text, width)) == width_of(fit(text, width, right=True, middle=True)) == width
