"""The load of `take_over_load` in small: what a take-over must not cost holds for few miners as well."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.take_over_load import Load, measure

pytestmark = pytest.mark.e2e


def test_no_miner_is_disconnected_and_nothing_is_unanswered_or_lost(tmp_path):
    load = Load(plain=20, tls=5, times=2, pause=0.2, shares=200)
    figures = asyncio.run(measure(tmp_path, load))
    assert figures["disconnected"] == figures["unanswered"] == 0
    assert figures["answered"] > 100
    assert figures["refused"].keys() <= {21}, "work of a block that is over"
    assert figures["tls_resumed"] == 5 * 3, "two take-overs, and one that failed"
    assert figures["tls_new_sessions"] == 0
    assert figures["serves_after_crash"] is True
    assert figures["shares_lost"] == 0
    assert figures["shares_stored"] >= 200 + figures["shares_found"]
    assert len(figures["takeover_pauses_ms"]) == 2
