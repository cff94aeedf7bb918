"""Figures are read as they are meant."""

from __future__ import annotations

import pytest

from tests.e2e.pages.shown import agrees, number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("28", 28),
        ("1,234", 1234),
        ("4.89 kH/s", 4890),
        ("4.89\u00a0kH/s", 4890),
        ("702 H/s", 702),
        ("~702 H/s", 702),
        ("0.00001068", 0.00001068),
        ("12.5%", 0.125),
        ("100%", 1),
        ("1 (0 outgoing)", 1),
        ("0.12345678 sDASH", 0.12345678),
        ("3 of 7", 3),
        ("12.5 M", 12.5e6),
        ("98.1 MB", 98.1e6),
    ],
)
def test_numbers(text, value):
    read = number(text)
    assert read is not None
    assert read[0] == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "–", "not known yet", "% 5"])
def test_no_numbers(text):
    assert number(text) is None
    assert not agrees(text, 0)


def test_rounding_agrees_and_no_more():
    assert agrees("4.89 kH/s", 4894)
    assert agrees("4.89 kH/s", 4886)
    assert not agrees("4.89 kH/s", 4905)
    assert not agrees("4.89 MH/s", 4890)
    assert agrees("28", 28)
    assert not agrees("28", 29)
    assert not agrees("28", 27)
    assert agrees("12.5%", 0.1254)
    assert not agrees("12.5%", 0.127)
