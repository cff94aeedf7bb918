"""New work to everyone: how often, to whom first, and whom nobody waits for."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace

import pytest
from twisted.internet.task import Clock

from p2pool.base.garbage import MAX_PAUSE
from p2pool.stratum import job_registry
from p2pool.stratum.job_broadcast import PAUSE, SLICE, JobBroadcast
from p2pool.stratum.job_registry import JobRegistry
from tests.environment import make_environment
from tests.logged import logged
from tests.stratum.miner import ADDRESS, NOW, FakeWork
from tests.stratum.wire import StratumHarness, Transport, notifies
from tests.support import needs_interpreted


def make(count: int = 3) -> tuple[StratumHarness, list[Transport]]:
    """A harness that has been quiet for a while, and its miners."""
    harness = StratumHarness()
    wires = [harness.miner(f"{ADDRESS}.{n}")[1] for n in range(count)]
    harness.reactor.advance(10)
    for wire in wires:
        wire.clear()
    return harness, wires


def new_work(harness: StratumHarness, clean: bool = True, more_to_come: bool = False, **changes) -> None:
    harness.work.template = replace(harness.work.template, **changes)
    harness.server.work_changed(harness.work.template.previous_block, clean=clean, more_to_come=more_to_come)


def jobs_of(wires: list[Transport]) -> list[list[list]]:
    """The jobs that each got since the last call."""
    return [notifies(wire.messages()) for wire in wires]


def counts(wires: list[Transport]) -> list[int]:
    return [len(got) for got in jobs_of(wires)]


def run(harness: StratumHarness) -> None:
    """Until nothing is left to be done."""
    for _ in range(100):
        if not harness.reactor.getDelayedCalls():
            return
        harness.reactor.advance(PAUSE / 5)
    raise AssertionError("there is no end to it")


def test_the_registry_knows_when_all_have_the_newest_jobs():
    harness, _ = make(2)
    registry = harness.server.session_context.registry
    new_work(harness)
    new_work(harness, clean=False)
    run(harness)
    assert registry._is_sent
    harness.server.work_changed(7, clean=True, more_to_come=True)
    assert not registry._is_sent
    run(harness)
    assert registry._is_sent


# --- when the first job left -----------------------------------------------------------------------------------


def test_the_first_job_of_a_broadcast_is_reported_once_it_left():
    harness, wires = make()
    told: list[tuple[int, list[int]]] = []
    harness.server.first_job_sent.subscribe(lambda block: told.append((block, counts(wires))))
    new_work(harness, previous_block=0xBEEF)
    run(harness)
    ((block, sent),) = told
    assert block == 0xBEEF
    assert sum(sent) == 1
    new_work(harness, subsidy=7)
    run(harness)
    assert [block for block, _ in told] == [0xBEEF, 0xBEEF]


def test_a_connection_without_work_is_no_first_job():
    harness = StratumHarness()
    told: list[int] = []
    harness.server.first_job_sent.subscribe(told.append)
    harness.connect()
    new_work(harness, previous_block=0xBEEF)
    run(harness)
    assert told == []
    harness.miner(ADDRESS)
    new_work(harness, previous_block=0xCAFE)
    run(harness)
    assert told == [0xCAFE]


# --- how often -------------------------------------------------------------------------------------------------


def test_tips_within_a_moment_cause_one_round_more():
    harness, wires = make()
    new_work(harness, subsidy=1)
    first = jobs_of(wires)
    assert [len(got) for got in first] == [1, 1, 1]
    for subsidy in (2, 3, 4):
        harness.reactor.advance(PAUSE / 5)
        new_work(harness, subsidy=subsidy)
        assert counts(wires) == [0, 0, 0]
    harness.reactor.advance(PAUSE / 5)
    assert counts(wires) == [0, 0, 0]
    harness.reactor.advance(PAUSE / 4)
    second = jobs_of(wires)
    assert [len(got) for got in second] == [1, 1, 1]
    assert len({got[0][0] for got in first + second}) == 2  # two jobs in all, the same ones for everyone
    assert all(got[0][8] is True for got in second)
    assert not harness.reactor.getDelayedCalls()
    harness.reactor.advance(PAUSE)
    new_work(harness, subsidy=5)
    assert counts(wires) == [1, 1, 1]


def test_nobody_gets_a_job_twice_where_rounds_overtake_each_other():
    harness, wires = make(2 * SLICE + 10)
    got: list[list] = [[] for _ in wires]
    for subsidy in range(1, 8):
        new_work(harness, subsidy=subsidy)
        harness.reactor.advance(0)
        harness.reactor.advance(PAUSE / 3)
    run(harness)
    for seen, new in zip(got, jobs_of(wires), strict=True):
        seen.extend(new)
    last = {seen[-1][0] for seen in got}
    assert len(last) == 1
    for seen in got:
        ids = [job[0] for job in seen]
        assert len(set(ids)) == len(ids)


def test_a_previous_block_is_broadcast_at_once_also_after_a_broadcast_just_now():
    harness, wires = make()
    new_work(harness, subsidy=1)
    new_work(harness, subsidy=2)  # waits
    jobs_of(wires)
    new_work(harness, previous_block=0xBEEF)
    assert counts(wires) == [1, 1, 1]
    new_work(harness, previous_block=0xBEE0)
    assert counts(wires) == [1, 1, 1]
    assert not harness.reactor.getDelayedCalls()  # the round that waited is not wanted any more


def test_work_that_is_about_to_be_replaced_waits_a_moment():
    harness, wires = make()
    new_work(harness, more_to_come=True, subsidy=1)
    assert counts(wires) == [0, 0, 0]
    harness.reactor.advance(PAUSE * 0.6)
    new_work(harness, more_to_come=True, subsidy=2)  # no second moment
    assert counts(wires) == [0, 0, 0]
    harness.reactor.advance(PAUSE * 0.41)
    assert counts(wires) == [1, 1, 1]
    assert not harness.reactor.getDelayedCalls()


def test_the_newer_previous_block_that_was_waited_for_takes_its_place():
    harness, wires = make()
    new_work(harness, more_to_come=True, subsidy=1)
    harness.reactor.advance(PAUSE / 10)
    new_work(harness, previous_block=0xBEEF)
    got = jobs_of(wires)
    assert [len(jobs_) for jobs_ in got] == [1, 1, 1]
    assert all(jobs_[0][8] is True for jobs_ in got)
    assert not harness.reactor.getDelayedCalls()
    harness.reactor.advance(PAUSE)
    assert counts(wires) == [0, 0, 0]


def test_a_previous_block_whose_work_is_about_to_be_replaced_waits_too():
    harness, wires = make()
    new_work(harness, more_to_come=True, previous_block=0xBEEF)
    assert counts(wires) == [0, 0, 0]
    harness.reactor.advance(PAUSE)
    assert counts(wires) == [1, 1, 1]


# --- clean -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 2 * SLICE + 10])
def test_the_newest_tip_is_clean_for_everyone(count):
    """Also where it has to wait for a refresh that takes several turns of the reactor."""
    harness, wires = make(count)
    new_work(harness, clean=False, subsidy=1)
    new_work(harness, clean=True, subsidy=2)
    run(harness)
    assert {got[-1][8] for got in jobs_of(wires)} == {True}
    new_work(harness, clean=True, subsidy=3)
    new_work(harness, clean=False, subsidy=4)
    run(harness)
    new_work(harness, clean=False, subsidy=5)
    run(harness)
    assert {got[-1][8] for got in jobs_of(wires)} == {False}


# --- to whom first ---------------------------------------------------------------------------------------------


class Seat:
    """A session, as far as a round knows one."""

    def __init__(self, number: int, earning: bool, order: list[int]) -> None:
        self.number, self.earning, self.order = number, earning, order
        self.working = True

    def send_work(self, now: float) -> None:
        self.order.append(self.number)


def make_seats(count: int, serve) -> tuple[Clock, list[int], JobBroadcast]:
    reactor, order = Clock(), []
    seats = [Seat(number, number % 3 == 2, order) for number in range(count)]
    environment = make_environment(reactor, clock=lambda: NOW + reactor.seconds())
    broadcast = JobBroadcast(environment, registry=JobRegistry(FakeWork()), sessions=seats, serve=serve)
    return reactor, order, broadcast


def test_those_that_earn_are_first_whatever_slice_they_are_in():
    reactor, order, broadcast = make_seats(3 * SLICE, lambda session, step, *arguments: step(*arguments))
    broadcast.work_changed(1, clean=True, more_to_come=False)
    assert order == list(range(2, 3 * SLICE, 3))
    reactor.advance(0)
    assert order[SLICE:] == [number for number in range(3 * SLICE) if number % 3 != 2]


# --- nobody waits for a slow one -------------------------------------------------------------------------------


def test_who_does_not_read_is_cut_off_and_the_others_are_served_at_once():
    harness, wires = make(5)
    limit = harness.server.limits.max_unsent
    wires[0].dataBuffer = b"x" * (limit + 1)
    wires[3].dataBuffer = b"x" * limit  # as much as may be
    with logged() as log:
        new_work(harness, previous_block=0xBEEF)
    assert counts(wires[1:]) == [1, 1, 1, 1]
    assert [wire.disconnecting for wire in wires] == [True, False, False, False, False]
    assert len(harness.server) == 4
    assert len(log.lines) == 1
    assert "does not read" in log.lines[0]
    wires[0].clear()
    new_work(harness, previous_block=0xBEE0)
    assert counts(wires) == [0, 1, 1, 1, 1]


@needs_interpreted("p2pool.stratum.job_registry")
def test_four_unread_jobs_are_allowed_however_long_they_are(monkeypatch):
    """With thousands of payees, two notify lines are longer than what may be left unread otherwise."""
    harness, wires = make(3)
    assert harness.server.max_unsent == harness.server.limits.max_unsent
    line = 140_000
    monkeypatch.setattr(job_registry, "line_size", lambda context: line)
    wires[0].dataBuffer = b"x" * (4 * line + 1)
    wires[1].dataBuffer = b"x" * (4 * line)
    new_work(harness, previous_block=0xBEEF)
    assert harness.server.max_unsent == 4 * line
    assert [wire.disconnecting for wire in wires] == [True, False, False]


# --- how long it takes -----------------------------------------------------------------------------------------


def timed(count: int) -> tuple[Clock, JobBroadcast, list[float]]:
    """A fan-out, and what it says of how long its rounds took."""
    reactor, _, broadcast = make_seats(count, lambda session, step, *arguments: step(*arguments))
    took: list[float] = []
    broadcast.all_served.subscribe(took.append)
    return reactor, broadcast, took


def test_a_round_takes_until_its_last_connection_is_served():
    reactor, broadcast, took = timed(3 * SLICE - 1)
    reactor.advance(10)
    broadcast.work_changed(1, clean=True, more_to_come=False)
    assert took == []
    reactor.advance(0.75)
    assert took == [0.75]


def test_the_pause_before_a_round_counts():
    reactor, broadcast, took = timed(3)
    broadcast.work_changed(1, clean=True, more_to_come=False)
    assert took == [0]
    reactor.advance(PAUSE / 4)
    broadcast.work_changed(1, clean=True, more_to_come=False)
    reactor.advance(PAUSE / 4)
    broadcast.work_changed(1, clean=True, more_to_come=False)
    reactor.advance(PAUSE / 2)
    assert took == [0, pytest.approx(PAUSE * 3 / 4)]


def test_a_round_that_is_overtaken_counts_from_the_work_that_some_have_not_heard_of():
    reactor, broadcast, took = timed(2 * SLICE)
    broadcast.work_changed(1, clean=True, more_to_come=False)
    reactor.rightNow += 0.25  # the reactor is busy elsewhere
    broadcast.work_changed(2, clean=True, more_to_come=False)  # another parent block: at once, from the beginning
    assert took == []
    reactor.advance(0.5)
    assert took == [0.75]
    broadcast.work_changed(3, clean=True, more_to_come=False)
    reactor.advance(0.25)
    assert took == [0.75, 0.25]  # what was before it is over


def test_a_round_over_nobody_takes_no_time_that_counts():
    reactor, broadcast, took = timed(0)
    broadcast.work_changed(1, clean=True, more_to_come=False)
    reactor.advance(1)
    assert took == []


def test_the_server_records_its_rounds():
    harness, _ = make(3)
    before = len(harness.stats.of("record_job_broadcast"))
    new_work(harness, previous_block=0xBEEF)
    assert harness.stats.of("record_job_broadcast")[before:] == [(0.0,)]


# --- the end ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", ["a tip", "more to come", "slices", "both"])
def test_after_stop_nothing_happens_any_more(waits):
    served: list = []
    reactor, _, broadcast = make_seats(3 * SLICE, lambda session, step, *arguments: served.append(session))
    if waits == "more to come":
        broadcast.work_changed(1, clean=True, more_to_come=True)
    else:
        broadcast.work_changed(1, clean=True, more_to_come=False)
        if waits == "a tip":
            reactor.advance(0)
            reactor.advance(0)
            reactor.advance(0)
        if waits != "slices":
            broadcast.work_changed(1, clean=True, more_to_come=False)
    pending = {"a tip": 1, "more to come": 1, "slices": 1, "both": 2}[waits]
    assert len(reactor.getDelayedCalls()) == pending
    before = len(served)
    broadcast.stop()
    broadcast.stop()
    assert not reactor.getDelayedCalls()
    reactor.advance(10)
    assert len(served) == before


# --- the garbage collector -------------------------------------------------------------------------------------


def collector_states(harness: StratumHarness, on_serve: Callable[[int], None] = lambda count: None) -> list[bool]:
    """Whether the collector is enabled, for each connection that the next broadcast serves."""
    states: list[bool] = []
    broadcast = harness.server._broadcast
    serve = broadcast._serve

    def watched(*arguments) -> None:
        states.append(gc.isenabled())
        on_serve(len(states))
        serve(*arguments)

    broadcast._serve = watched
    return states


def test_the_garbage_collector_pauses_during_a_broadcast_and_no_longer():
    harness, _ = make(SLICE + 5)
    states = collector_states(harness)
    new_work(harness, previous_block=1)
    assert not gc.isenabled()  # the second slice is still to come
    run(harness)
    assert states == [False] * (SLICE + 5)
    assert gc.isenabled()


def test_stopping_a_broadcast_ends_the_pause():
    harness, _ = make(SLICE + 5)
    new_work(harness, previous_block=1)
    harness.server.stop()
    assert gc.isenabled()


def test_a_broadcast_that_takes_too_long_goes_on_with_garbage_collection():
    harness, _ = make(3 * SLICE)
    states = collector_states(harness)
    new_work(harness, previous_block=1)
    harness.reactor.rightNow += MAX_PAUSE + 1
    run(harness)
    assert states == [False] * 2 * SLICE + [True] * SLICE
    assert gc.isenabled()


def test_a_collector_that_is_off_for_other_reasons_stays_off():
    harness, _ = make(3)
    gc.disable()
    try:
        new_work(harness, previous_block=1)
        run(harness)
        assert not gc.isenabled()
    finally:
        gc.enable()
