"""Two gateways with one name are noticed; one that is restarted is not."""

from __future__ import annotations

import pytest

from p2pool.gateway.name_watch import MAX_NAMES, MAX_RUNS, NameWatch
from p2pool.gateway.sums_messages import SumsMessage


def report(run: int, name: str = "north", address: str = "h:1") -> SumsMessage:
    return SumsMessage(
        gateway=name,
        address=address,
        version="1",
        run=run,
        number=1,
        started=0.0,
        seconds=1.0,
        connections=0,
        connected=0,
        turned_away={},
        offences={},
        workers=[],
        whole=True,
    )


@pytest.fixture
def watch() -> NameWatch:
    return NameWatch()


def test_two_gateways_that_report_in_turns_are_a_problem_that_is_reported_once(watch):
    assert watch.problem(report(1, address="a:7903")) is None
    assert watch.problem(report(2, address="b:7903")) is None
    text = watch.problem(report(1, address="a:7903"))
    assert text is not None
    assert text.startswith("two gateways have the name north, at a:7903 and b:7903: give each a --gateway-name")
    assert not any(watch.problem(report(run)) for run in (2, 1, 2, 1))


def test_a_gateway_that_is_restarted_again_and_again_is_none(watch):
    for run in range(10 * MAX_RUNS):
        assert watch.problem(report(run)) is None
        assert watch.problem(report(run)) is None


def test_gateways_with_names_of_their_own_are_none(watch):
    for _ in range(3):
        assert watch.problem(report(1, "north")) is None
        assert watch.problem(report(2, "south")) is None


def test_what_a_report_says_is_made_printable(watch):
    reports = [report(run, "no\x1b[2Jrth", "a\n") for run in (1, 2, 1)]
    text = [watch.problem(each) for each in reports][-1]
    assert text is not None
    assert text.isprintable()


def test_names_and_runs_that_are_remembered_are_bounded(watch):
    for number in range(3 * MAX_NAMES):
        for run in range(3 * MAX_RUNS):
            watch.problem(report(run, f"name {number}"))
    assert len(watch._last) == len(watch._former) == MAX_NAMES
    assert max(len(runs) for runs in watch._former.values()) == MAX_RUNS
