"""What the process uses, which ports are open, what is set; and where other nodes were seen."""

from __future__ import annotations

import pytest

from p2pool.base.process import ProcessFigures
from p2pool.pool_stats import X11Figures
from p2pool.web.api import peers
from tests.web.busy import NOW, busy_pool
from tests.web.pages import Pool


def test_the_process_as_it_was_measured():
    pool = Pool()
    for delay in (0.004, 0.3, 0.0005):
        pool.stats.record_reactor_delay(delay, pool.now)
    pool.stats.record_gc_pause(0.02)
    pool.stats.record_process(ProcessFigures(123_000_000, 4.5, 31, 1024, 7))
    pool.refresh()
    told = pool.ask("/api/v1/process").json
    assert told["memory"] == 123_000_000
    assert (told["cpu_seconds"], told["open_files"], told["max_files"], told["threads"]) == (4.5, 31, 1024, 7)
    delay = told["reactor_delay"]
    assert (delay["count"], delay["last"], delay["worst"]) == (3, 0.0005, 0.3)
    assert delay["average"] == pytest.approx(0.3045 / 3)
    assert (delay["median"], delay["p99"]) == (0.005, 0.5)
    assert told["garbage_collection"]["median"] == 0.02


def test_a_process_that_was_not_looked_at():
    pool = Pool()
    pool.refresh()
    told = pool.ask("/api/v1/process").json
    assert told["memory"] is None
    assert told["reactor_delay"]["average"] is None


def test_the_implementation_of_x11():
    pool = Pool()
    pool.stats.record_x11(X11Figures("built-in", "avx2"))
    pool.refresh()
    node = pool.ask("/api/v1/node").json
    assert node["x11"] == {"provider": "built-in", "instructions": "avx2"}
    assert node["warnings"] == []
    pool.stats.record_x11(X11Figures("x11_hash", "", "the built-in X11 computes a wrong hash"))
    pool.refresh()
    node = pool.ask("/api/v1/node").json
    assert node["x11"] == {"provider": "x11_hash", "instructions": ""}
    assert node["warnings"] == ["X11: the built-in X11 computes a wrong hash"]


def test_any_number_of_files():
    pool = Pool()
    pool.stats.record_process(ProcessFigures(1, 1.0, None, -1, 1))
    pool.refresh()
    assert pool.ask("/api/v1/process").json["max_files"] is None


def test_ports_and_certificates():
    plain, tls = busy_pool().ask("/api/v1/ports").json
    none = {"fingerprint": None, "other_fingerprint": None, "expires": None}
    assert plain == {"purpose": "miners", "port": 7903, **none}
    certificate = {"fingerprint": "AA:BB", "other_fingerprint": "CC:DD", "expires": 1_900_000_000}
    assert tls == {"purpose": "miners, through TLS", "port": 7904, **certificate}


def test_chains_that_are_mined_beside():
    (told,) = busy_pool().ask("/api/v1/merged").json
    assert told == {"daemon": "http://c:1/", "chain_id": 5, "accepted": 2, "refused": 1, "problem": None}


def test_settings_are_reported_as_they_were_given():
    told = busy_pool().ask("/api/v1/config").json
    assert told == {"settings": {"fee": 0.5, "p2pool-nodes": ["10.1.2.3"], "api-keys": True}}
    assert Pool().ask("/api/v1/config").json == {"settings": {}}


def test_where_other_nodes_were_seen():
    pool = busy_pool()
    told = pool.ask("/api/v1/known_nodes").json
    assert told["total"] == 2
    first, second = told["nodes"]
    assert (first["address"], first["connected"]) == ("10.1.2.3:8999", True)
    assert second == {
        "address": "[2001:db8::7]:8999",
        "first_seen": NOW,
        "last_seen": NOW + 60,
        "connected": False,
        "found_by": "remembered",
        "found_by_name": None,
        "tried": False,
        "group": "2001:db8::/32",
        "sent_by": ["10.1.2.3"],
    }
    assert pool.ask("/api/v1/known_nodes?offset=1&limit=1").json["nodes"] == [second]
    assert pool.ask("/api/v1/known_nodes?offset=2").json["nodes"] == []


def test_they_are_sorted_once_for_each_snapshot(monkeypatch):
    pool, made = busy_pool(), []
    real = peers._in_order
    monkeypatch.setattr(peers, "_in_order", lambda snapshot: (made.append(1), real(snapshot))[1])
    counted = peers._in_order
    for _ in range(5):
        pool.ask("/api/v1/known_nodes")
    assert peers._in_order is counted
    assert len(made) == 1
