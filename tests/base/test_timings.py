"""Quantiles of a minute and lines about slow steps, on durations that are given."""

from __future__ import annotations

import random
import re
import statistics

import pytest

from p2pool.base.timings import BOUNDS, MAX_LINES, SLOW, Timings


def test_a_slow_step_has_a_line_and_a_quick_one_has_none():
    timings = Timings(("submit", "job"), 0.0)
    assert timings.record("submit", SLOW, "yA.rig") is None
    assert timings.record("submit", 0.0123, "yA.rig") == "submit of yA.rig took 12.300 ms"
    assert timings.record("job", 0.5) == "job took 500.000 ms"


def test_the_summary_counts_and_begins_anew():
    timings = Timings(("submit", "job"), 5.0)
    for _ in range(99):
        timings.record("submit", 0.002)
    timings.record("submit", 0.25)
    submit, job = timings.summary(65.0)
    quick = r"submit in 60 s: count 100, p50 2\.0\d\d ms, p99 2\.0\d\d ms, "
    assert re.fullmatch(quick + r"longest 250\.000 ms, 1 above 10\.000 ms", submit)
    assert job == "job in 60 s: count 0"
    assert timings.summary(95.0) == ["submit in 30 s: count 0", "job in 30 s: count 0"]


def figures(line: str) -> tuple[float, float, float]:
    """p50, p99 and the longest, in milliseconds."""
    found = re.search(r"p50 ([\d.]+) ms, p99 ([\d.]+) ms, longest ([\d.]+) ms", line)
    assert found is not None
    return float(found[1]), float(found[2]), float(found[3])


@pytest.mark.parametrize("scale", [1e-5, 1e-3, 0.1, 3.0])
def test_quantiles_are_right_to_a_twentieth(scale):
    rng = random.Random(7)
    values = [rng.expovariate(1 / scale) for _ in range(5000)]
    timings = Timings(("submit",), 0.0)
    for value in values:
        timings.record("submit", value)
    p50, p99, longest = figures(timings.summary(60.0)[0])
    cuts = statistics.quantiles(values, n=100)
    assert p50 == pytest.approx(cuts[49] * 1000, rel=0.06, abs=0.001)
    assert p99 == pytest.approx(cuts[98] * 1000, rel=0.06, abs=0.001)
    assert longest == pytest.approx(max(values) * 1000, abs=0.001)


def test_one_value_is_every_quantile():
    timings = Timings(("submit",), 0.0)
    timings.record("submit", 0.004321)
    assert figures(timings.summary(60.0)[0]) == (4.321, 4.321, 4.321)


def test_lines_are_bounded_and_the_rest_is_counted():
    timings = Timings(("submit",), 0.0)
    lines = [timings.record("submit", 0.02) for _ in range(MAX_LINES + 30)]
    assert sum(line is not None for line in lines) == MAX_LINES
    assert f"{MAX_LINES + 30} above" in timings.summary(60.0)[0]
    assert timings.record("submit", 0.02) is not None  # another minute


def test_clocks_that_step_back_and_durations_beyond_all_bounds():
    timings = Timings(("submit",), 100.0)
    timings.record("submit", -5.0)
    assert figures(timings.summary(50.0)[0]) == (0, 0, 0)
    timings.record("submit", 10_000.0)
    (line,) = timings.summary(60.0)
    assert figures(line)[2] == 10_000_000
    assert BOUNDS[-1] > 60
