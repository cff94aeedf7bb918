"""The formulas and the charts of the experiments."""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ElementTree

import pytest

from tests.simulation.experiments import theory
from tests.simulation.experiments.chart import HEIGHT, WIDTH, Chart, Point, Series
from tests.simulation.experiments.command import EXPERIMENTS


def test_the_stale_rate_is_that_of_a_chain_whose_difficulty_follows():
    """Draw a chain: what is found within a delay after a share is lost."""
    chance, delay, rate = random.Random(1), 2.0, 0.2
    now = kept = found = 0.0
    blind_until = -1.0
    for _ in range(100_000):
        now += chance.expovariate(rate)
        found += 1
        if now > blind_until:
            kept, blind_until = kept + 1, now + delay
    assert 1 - kept / found == pytest.approx(theory.stale_rate(delay, now / kept), abs=0.005)


def test_selfish_mining_gains_from_the_thresholds_of_its_authors_on():
    assert theory.selfish_income(1 / 3, 0.0) == pytest.approx(1 / 3)
    assert theory.selfish_income(1 / 4, 0.5) == pytest.approx(1 / 4)
    assert theory.selfish_income(0.4, 0.0) > 0.4
    assert theory.selfish_income(0.1, 0.0) < 0.1


def test_the_variation_of_income_is_that_of_drawn_blocks():
    drawn = theory.drawn_income_variation(0.05, 100, blocks=20_000, chance=random.Random(1))
    assert drawn == pytest.approx(theory.income_variation(0.05, 100), rel=0.03)


def test_a_confidence_interval_contains_what_was_seen():
    low, high = theory.confidence(5, 100)
    assert 0.01 < low < 0.05 < high < 0.12
    assert theory.confidence(0, 10)[0] == 0.0
    assert theory.confidence(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("log", [False, True])
def test_points_of_a_chart_are_inside(log):
    points = [Point(5, 0.2, 0.1, 0.3), Point(2000, 40, 30, 50)]
    chart = Chart(title="A < B", x_label="x", y_label="y", series=[Series("some", points)], log_x=True, log_y=log)
    svg = chart.svg()
    ElementTree.fromstring(svg)
    (line,) = re.findall(r'<polyline [^>]*points="([^"]+)"', svg)
    for pair in line.split():
        x, y = map(float, pair.split(","))
        assert 0 < x < WIDTH
        assert 0 < y < HEIGHT


def test_theory_is_drawn_without_markers():
    chart = Chart(title="t", x_label="x", y_label="y", series=[Series("a", [Point(0, 1), Point(1, 2)], 1, True)])
    assert "<circle" not in chart.svg()
    assert 'class="s c1 d"' in chart.svg()


def test_each_experiment_has_fewer_or_shorter_runs_in_small_size():
    for experiment in EXPERIMENTS.values():
        small, full = experiment.cases(False), experiment.cases(True)
        assert 0 < len(small) <= len(full)
        assert sum(case["hours"] for case in small) < sum(case["hours"] for case in full)
