"""The benchmarks run and print what programs read. Their figures are nobody's business here."""

from __future__ import annotations

import json
import math
import shutil

import pytest

from tests.bench import __main__ as bench
from tests.bench import (
    compare,
    dashd,
    floods,
    floods_peers,
    floods_stratum,
    floods_web,
    gateway,
    growth,
    history,
    measure,
    peers,
    sharechain,
    start,
    stratum,
    stratum_processes,
    take_over_pause,
    turns,
    vardiff,
    web,
    web_stats,
)
from tests.e2e.take_over_load import Load

SMALL_STRATUM = {
    "CONNECTIONS": (1, 10),
    "SECONDS": 0.3,
    "WARM_UP": 0.1,
    "FANOUT": (20, 50),
    "BLOCKS": 2,
    "LOGINS": 50,
    "IN_PROGRESS": 20,
    "AT_ONCE": 30,
    "TLS_CONNECTIONS": (1, 10),
    "TLS_FANOUT": (20,),
    "TLS_LOGINS": 20,
    "TLS_AT_ONCE": 20,
    "ADDRESSES": 10,
    "PAYEES": 2,
    "SHARES": 4,
    "BLOCK_ATTEMPTS": 2**10,
}
SMALL_STATISTICS = {"WORKERS": 200, "ADDRESSES": 7, "RECORDS": 50}
SMALL_TURNS = {"SECONDS": 50, "WORKERS": 200, "ADDRESSES": 20, "RATE": 20, "BLOCK_PERIOD": 30}
SMALL_HISTORY = {"WORKERS": 8, "ADDRESSES": 2, "DAYS": 2, "ROUNDS": 1}
SMALL_DASHD = {
    "TRANSACTIONS": 2000,
    "ROUNDS": 1,
    "BLOCKS": 3,
    "BLOCK_TRANSACTIONS": 5,
    "FOUND": 5,
    "PAYEES": 2,
    "SHARES": 4,
}
SMALL_GATEWAY = {
    "GATEWAYS": (0, 2),
    "CONNECTIONS": 4,
    "SECONDS": 0.3,
    "WARM_UP": 0.1,
    "TIP_CONNECTIONS": 20,
    "TIP_GATEWAYS": 2,
    "BLOCKS": 2,
    "ADDRESSES": 5,
    "PAYEES": 2,
    "SHARES": 4,
    "BLOCK_ATTEMPTS": 2**10,
}
SMALL_WEB = {
    "WATCHERS": 20,
    "BLOCKS": 2,
    "WATCH_SECONDS": 0.5,
    "HTTP_SECONDS": 1.0,
    "MINERS": 5,
    "SECONDS": 1.0,
    "WARM_UP": 0.1,
    "ADDRESSES": 5,
    "PAYEES": 2,
    "SHARES": 4,
    "BLOCK_ATTEMPTS": 2**10,
}
SMALL_GROWTH = {
    "PAYEES": (5, 10),
    "CONNECTIONS": (4, 8),
    "ADDRESSES": (2, 4),
    "SHARES": (40, 80),
    "WORKERS": (10, 20),
    "ROUNDS": 1,
    "NEW_SHARES": 5,
}
SMALL_FLOODS = {
    floods: {
        "ROUNDS": 1,
        "SETTLE": 0.0,
        "IDLE": 0.0,
        "PEERS_IDLE": 0.0,
        "LONG_IDLE": 0.0,
        "APART": False,
        "BLOCKS": 1,
        "TRANSACTIONS": 5,
        "PAYEES": 2,
        "SHARES": 4,
        "BLOCK_ATTEMPTS": 2**10,
    },
    floods_stratum: {
        "LOGINS": 3,
        "NAMES": 3,
        "BAD_LOGINS": 3,
        "CROWD": 3,
        "CHANGING": 3,
        "CHANGES": 3,
        "SUBMITTING": 3,
        "SUBMISSIONS": 3,
        "GARBAGE": 3,
        "SILENT": 6,
        "SLOW": 3,
        "HOLD": 0.1,
    },
    floods_web: {
        "EACH": 1,
        "PATHS": 8,
        "HALVES": 3,
        "SLOW": 3,
        "POSTS": 3,
        "WATCHERS": 3,
        "SLOW_WATCHERS": 3,
        "AT_ONCE": 3,
        "WATCHING": 0.2,
        "HOLD": 0.1,
    },
    floods_peers: {"PEERS": 5, "AGAIN": 1, "TRANSACTIONS": 3, "ADDRESSES": 3, "HASHES": 3, "PATIENCE": 0.3},
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Short chains and short rounds."""
    monkeypatch.setattr(measure, "ROUNDS", 1)
    for module in (sharechain, peers):
        monkeypatch.setattr(module, "LENGTH", 150)
    monkeypatch.setattr(sharechain, "STEPS", 40)
    monkeypatch.setattr(start, "ROUNDS", 1)
    for name, value in SMALL_TURNS.items():
        monkeypatch.setattr(turns, name, value)
    # What measures coverage makes turns longer: only the benchmark itself judges them.
    monkeypatch.setattr(turns, "MOST_MS", math.inf)
    monkeypatch.setattr(peers, "broadcast_times", lambda: [0.001] * 5)
    monkeypatch.setattr(peers, "PEERS", 3)
    monkeypatch.setattr(vardiff, "SEEDS", 1)
    monkeypatch.setattr(vardiff, "RATES", vardiff.RATES[::4])
    monkeypatch.setattr(stratum_processes, "LOOK", 0.05)
    for name, value in SMALL_STRATUM.items():
        monkeypatch.setattr(stratum, name, value)
    for name, value in SMALL_GATEWAY.items():
        monkeypatch.setattr(gateway, name, value)
    monkeypatch.setattr(take_over_pause, "LOAD", Load(plain=10, tls=0, times=1, pause=0.2, shares=20, crash=False))
    for name, value in SMALL_WEB.items():
        monkeypatch.setattr(web, name, value)
    for name, value in SMALL_STATISTICS.items():
        monkeypatch.setattr(web_stats, name, value)
    for name, value in SMALL_HISTORY.items():
        monkeypatch.setattr(history, name, value)
    for name, value in SMALL_DASHD.items():
        monkeypatch.setattr(dashd, name, value)
    for name, value in SMALL_GROWTH.items():
        monkeypatch.setattr(growth, name, value)
    for module, values in SMALL_FLOODS.items():
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(web, "which", lambda name: None)  # the generator of our own


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("x11", {"own_x11"}),
        ("mining", {"submit_x11", "job_50_x11", "job_500_x11"}),
        ("sharechain", {"parse_x11", "check_50_x11", "best_share_x11", "load_x11", "share_bytes"}),
        (
            "turns",
            {"turns_1_ms", "turns_longer", "turn_share_ms", "turn_block_ms", "gc_pause_ms"},
        ),
        ("floor", {"wait_x11", "recv_x11", "json_x11", "send_x11", "floor_x11", "job_send_x11"}),
        ("start", {"verified_work_s", "verified_turn_ms", "unverified_work_s", "unverified_all_cpu_s"}),
        ("peers", {"download_per_s", "broadcast_50_p99_ms", "peer_bytes"}),
        ("dashd", {"notice_p99_ms", "found_p99_ms", "template_2mb_ms"}),
        ("history", {"size_mb", "slowest_ms", "top_year_x11", "worker_month_x11", "write_minute_x11", "prune_s"}),
        ("floods", {f"{kind}_idle_mb" for kind in (*(kind.name for kind in floods.KINDS), "templates")}),
        ("vardiff", {"settle_median_s", "steady_changes_per_hour", "refused_by_changes"}),
        ("web", {"record_us", "snapshot_10000_ms", "local_stats_per_s", "ws_1000_ms", "stratum_slowdown"}),
        (
            "stratum",
            {
                *(
                    "submits_per_s_1",
                    "submits_per_cpu_s_1",
                    "submit_p99_ms",
                    "answer_p99_ms_10",
                    "connection_bytes",
                ),
                *("fanout_50_ms", "fanout_50_cpu_ms", "tls_fanout_20_ms"),
            },
        ),
    ],
)
def test_the_last_line_is_json_of_its_figures(name, keys, capsys):
    assert bench.main([name]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert keys | {"x11_us"} <= set(figures)
    assert all(isinstance(value, int | float) and value >= 0 for value in figures.values())
    assert figures["x11_us"] > 0
    assert figures.get("refused_by_changes", 0) == figures.get("at_once_lost", 0) == 0


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_the_figures_of_gateways_are_json_too(capsys):
    gateway.main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {
        *("single_submit_x11", "gateway_submit_x11_2", "node_per_submit_x11_2"),
        *(
            "takeover_pause_ms",
            "submits_per_cpu_s_2_all",
            "tip_20_ms",
            "broker_bytes_per_tip",
            "broker_bytes_per_share",
        ),
    } <= set(figures)
    assert figures["broker_bytes_per_tip"] > 500
    assert figures["broker_bytes_per_share"] > 200


def test_the_figures_of_statistics_are_json_as_well(capsys):
    web_stats.main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"record_us", "snapshot_10000_ms", "snapshot_step_ms", "metrics_ms"} <= set(figures)
    assert all(value >= 0 for value in figures.values())
    assert web_stats.record_us() > 0
    assert web_stats.snapshot_10000_ms() > 0


def test_growth_has_an_exponent_for_each_cost(capsys):
    growth.main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    exponents = {key for key in figures if key.endswith("_exponent")}
    assert {"context_payees_exponent", "round_connections_exponent", "load_shares_exponent"} <= exponents
    assert {"job_payees_10", "memory_connections_8", "rate_workers_20"} <= figures.keys()


@pytest.mark.parametrize("power", [0, 0.5, 1, 2])
def test_the_exponent_is_the_power_of_the_size(power):
    assert growth.exponent([(size, 7.0 * size**power) for size in (1, 10, 50)]) == pytest.approx(power)


def test_figures_of_two_versions_stand_side_by_side():
    before = [{"x11_us": 10.0, "gone": 1.0}, {"x11_us": 30.0}, {"x11_us": 20.0}]
    after = [{"x11_us": 5.0, "new": 2.0}, {}, {"x11_us": 6.0}]
    _, *lines = compare.rows("mining", before, after)
    assert [line.split() for line in lines] == [
        ["x11_us", "20.00", "5.50", "0.28"],
        ["new", "-", "2.00", "-"],
        ["gone", "1.00", "-", "-"],
    ]


def test_a_version_is_measured_by_its_own_benchmark_or_has_no_figures(tmp_path, monkeypatch):
    for package in ("tests", "tests/bench"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "tests/bench/__main__.py").write_text(
        "import sys\nprint('a row')\nprint('{\"figure\": 7}')\nsys.exit(sys.argv[1] != 'mining')\n"
    )
    assert compare.measure(tmp_path, "mining") == {"figure": 7}
    assert compare.measure(tmp_path, "x11") == {}


def test_the_node_of_another_tree_is_measured(tmp_path, monkeypatch):
    monkeypatch.setenv(stratum_processes.TREE, str(tmp_path))
    assert stratum_processes.node_program() == tmp_path / "run_p2pool.py"


def test_a_turn_that_is_too_long_fails_the_benchmark(capsys, monkeypatch):
    monkeypatch.setattr(turns, "MOST_MS", 0.0)
    with pytest.raises(RuntimeError, match="a turn of the reactor took"):
        turns.main()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["turn_share_ms"] > 0


def test_a_name_that_is_no_benchmark(capsys):
    assert bench.main(["nonsense"]) == 2
    assert "sharechain" in capsys.readouterr().err
