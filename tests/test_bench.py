"""The benchmarks run and print what programs read. Their figures are nobody's business here."""

from __future__ import annotations

import json

import pytest

from tests.bench import __main__ as bench
from tests.bench import measure, peers, sharechain


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Short chains and short rounds."""
    monkeypatch.setattr(measure, "ROUNDS", 1)
    for module in (sharechain, peers):
        monkeypatch.setattr(module, "LENGTH", 150)
    monkeypatch.setattr(sharechain, "STEPS", 40)
    monkeypatch.setattr(peers, "broadcast_times", lambda: [0.001] * 5)
    monkeypatch.setattr(peers, "PEERS", 3)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("mining", {"submit_x11", "job_50_x11", "job_500_x11"}),
        ("sharechain", {"parse_x11", "check_50_x11", "best_share_x11", "load_x11", "share_bytes"}),
        ("peers", {"download_per_s", "broadcast_50_p99_ms", "peer_bytes"}),
    ],
)
def test_the_last_line_is_json_of_its_figures(name, keys, capsys):
    assert bench.main([name]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert keys | {"x11_us"} <= set(figures)
    assert all(isinstance(value, int | float) and value > 0 for value in figures.values())


def test_a_name_that_is_no_benchmark(capsys):
    assert bench.main(["nonsense"]) == 2
    assert "sharechain" in capsys.readouterr().err
