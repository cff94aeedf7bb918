"""The table of gateways: bounds, silence, and clocks that are set."""

from __future__ import annotations

from dataclasses import replace

from p2pool.pool_stats import PoolStats
from p2pool.pool_stats import gateways as module
from p2pool.pool_stats.gateways import GATEWAY_SILENCE, MAX_GATEWAYS
from tests.pool_stats.sums import Report, Worker, gateway_sums, record_report

NOW = 1_700_000_000.0


def test_only_so_many_gateways_are_remembered_and_none_leaves_connections_behind():
    stats = PoolStats(NOW)
    for number in range(MAX_GATEWAYS + 3):
        record_report(stats, gateway_sums("yA.rig", gateway=f"g{number}"), NOW + number / 1000)
    snapshot = stats.snapshot(NOW + 2)
    assert len(snapshot.gateways) == MAX_GATEWAYS
    assert "g0" not in {gateway.name for gateway in snapshot.gateways}
    assert snapshot.connections == snapshot.workers[0].connections == 3 * MAX_GATEWAYS
    assert snapshot.accepted == 5 * (MAX_GATEWAYS + 3)


def test_workers_of_a_gateway_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_WORKERS", 2)
    stats = PoolStats(NOW)
    workers = tuple(Worker(f"yA.{number}", connections=1, accepted=1) for number in range(4))
    record_report(stats, Report(workers, connections=4), NOW)
    snapshot = stats.snapshot(NOW + 1)
    assert (snapshot.connections, snapshot.accepted) == (4, 4)
    assert sum(worker.connections for worker in snapshot.workers) == 2


def test_names_from_a_gateway_can_be_shown():
    stats = PoolStats(NOW)
    report = gateway_sums("yA.\n<b>", gateway="g\x00" + "x" * 500, address="a\r", version="\u2028")
    record_report(stats, report, NOW)
    record_report(stats, replace(report, workers=(Worker("yA.\n<b>"),)), NOW)
    snapshot = stats.snapshot(NOW + 1)
    (gateway,), (worker,) = snapshot.gateways, snapshot.workers
    assert gateway.name == "g?" + "x" * 126
    assert (gateway.address, gateway.version, worker.name, worker.connections) == ("a?", "?", "yA.?<b>", 0)


def test_a_clock_that_is_set_back_does_not_keep_a_gateway():
    stats = PoolStats(NOW)
    record_report(stats, gateway_sums("yA"), NOW)
    (gateway,) = stats.snapshot(NOW - GATEWAY_SILENCE - 1).gateways
    assert not gateway.present
    record_report(stats, gateway_sums("yA"), NOW - GATEWAY_SILENCE)
    assert stats.snapshot(NOW - GATEWAY_SILENCE + 1).connections == 3


def test_a_gateway_whose_clock_was_set_back_between_two_runs_is_there_after_a_minute():
    stats = PoolStats(NOW)
    record_report(stats, gateway_sums("yA", started=NOW), NOW)
    again = Report((Worker("yA", connections=7),), run=2, started=NOW - 3600, connections=7, whole=True)
    record_report(stats, again, NOW + 1)
    assert stats.snapshot(NOW + 2).connections == 3
    assert stats.snapshot(NOW + GATEWAY_SILENCE + 1).connections == 0
    record_report(stats, again, NOW + GATEWAY_SILENCE + 2)
    snapshot = stats.snapshot(NOW + GATEWAY_SILENCE + 3)
    assert snapshot.connections == snapshot.workers[0].connections == 7


def test_a_worker_that_leaves_is_not_remembered_for_that():
    stats = PoolStats(NOW)
    record_report(stats, Report((Worker("yA", connections=0),)), NOW)
    assert stats.snapshot(NOW + 1).workers == ()


def test_a_gateway_of_many_workers_is_taken_away_in_steps():
    stats = PoolStats(NOW)
    workers = tuple(Worker(f"yA.{number}", connections=1) for number in range(1000))
    record_report(stats, Report(workers, connections=1000), NOW)
    assert stats.snapshot(NOW + 1).connections == 1000
    steps = stats.taking(NOW + GATEWAY_SILENCE + 1)
    assert sum(1 for _ in steps) > 20
    assert stats.snapshot(NOW + GATEWAY_SILENCE + 1.5).connections == 0


def test_reports_without_anything_make_no_workers_and_no_counts():
    stats = PoolStats(NOW)
    record_report(stats, Report(), NOW)
    snapshot = stats.snapshot(NOW + 1)
    assert (snapshot.accepted, snapshot.workers, len(snapshot.gateways)) == (0, (), 1)
