"""When miners are sent away without fresh work, on clocks that behave and clocks that do not."""

from __future__ import annotations

from p2pool.stratum.work_patience import WORK_PATIENCE, WorkPatience, WorkState

NOW = 1_700_000_000.0


def test_miners_stay_while_there_is_work():
    patience = WorkPatience()
    assert {patience.check(None, NOW + second) for second in range(1000)} == {WorkState.FRESH}


def test_without_work_they_are_sent_away_after_the_patience_and_come_back_at_once():
    patience = WorkPatience()
    patience.check(None, NOW)
    assert patience.check("stuck", NOW + 1) is WorkState.OVERDUE
    assert patience.check("stuck", NOW + WORK_PATIENCE) is WorkState.OVERDUE
    assert patience.check("stuck", NOW + WORK_PATIENCE + 1) is WorkState.SUSPENDED
    assert patience.check("stuck for longer", NOW + 10 * WORK_PATIENCE) is WorkState.SUSPENDED
    assert patience.check(None, NOW + 10 * WORK_PATIENCE + 1) is WorkState.FRESH
    assert patience.check("stuck", NOW + 10 * WORK_PATIENCE + 2) is WorkState.OVERDUE


def test_a_node_that_never_had_work_waits_from_its_first_check():
    patience = WorkPatience()
    assert patience.check("not polled yet", NOW) is WorkState.OVERDUE
    assert patience.check("not polled yet", NOW + WORK_PATIENCE) is WorkState.OVERDUE
    assert patience.check("not polled yet", NOW + WORK_PATIENCE + 1) is WorkState.SUSPENDED


def test_trouble_that_passes_in_time_starts_the_patience_anew():
    patience = WorkPatience()
    for start in range(0, 1000, 100):
        assert patience.check(None, NOW + start) is WorkState.FRESH
        assert patience.check("stuck", NOW + start + 99) is WorkState.OVERDUE


def test_a_clock_that_was_set_back_ends_the_patience_but_not_the_suspension():
    patience = WorkPatience()
    patience.check(None, NOW)
    assert patience.check("stuck", NOW - WORK_PATIENCE - 1) is WorkState.SUSPENDED
    assert patience.check("stuck", NOW) is WorkState.SUSPENDED


def test_a_process_that_finds_old_work_when_it_starts_sends_miners_away_at_once():
    patience = WorkPatience()
    assert patience.check("nothing came yet", NOW) is WorkState.OVERDUE
    assert patience.check("silent", NOW + 1, missing=WORK_PATIENCE) is WorkState.OVERDUE
    assert patience.check("silent", NOW + 2, missing=WORK_PATIENCE + 1) is WorkState.SUSPENDED
    assert patience.check(None, NOW + 3) is WorkState.FRESH
