"""Findings as text, and the exit status that follows from them."""

from __future__ import annotations

from p2pool.operators.findings import exit_status, fault, ok, render, warning


def test_text_in_their_order_with_advice_below_and_a_summary():
    text = render(
        [ok("X11", "fine"), fault("--web-port", "word " * 30, "choose another"), warning("clock", "late")]
    )
    assert text.splitlines()[0] == "ok       X11: fine"
    assert "fault    --web-port: word" in text
    assert "\n         word" in text
    assert "\n         -> choose another\n" in text
    assert text.endswith("\n3 checks: 1 ok, 1 warning, 1 fault\n")
    assert max(map(len, text.splitlines())) <= 100


def test_only_a_fault_fails():
    assert exit_status([ok("a", "b"), warning("a", "b")]) == 0
    assert exit_status([warning("a", "b"), fault("a", "b")]) == 1
    assert exit_status([]) == 0
