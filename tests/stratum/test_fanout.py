"""New work to everyone: how often, to whom first, and whom nobody waits for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.task import Clock

from p2pool.stratum.fanout import PAUSE, SLICE, FanOut
from p2pool.stratum.jobs import JobRegistry
from tests.logged import logged
from tests.stratum.miner import ADDRESS, NOW, FakeWork
from tests.stratum.wire import House, Transport, notifies


def make(count: int = 3) -> tuple[House, list[Transport]]:
    """A house that has been quiet for a while, and its miners."""
    house = House()
    wires = [house.miner(f"{ADDRESS}.{n}")[1] for n in range(count)]
    house.reactor.advance(10)
    for wire in wires:
        wire.clear()
    return house, wires


def new_work(house: House, clean: bool = True, more_to_come: bool = False, **changes) -> None:
    house.work.template = replace(house.work.template, **changes)
    house.server.work_changed(house.work.template.previous_block, clean, more_to_come)


def jobs_of(wires: list[Transport]) -> list[list[list]]:
    """The jobs that each got since the last call."""
    return [notifies(wire.messages()) for wire in wires]


def counts(wires: list[Transport]) -> list[int]:
    return [len(got) for got in jobs_of(wires)]


def run(house: House) -> None:
    """Until nothing is left to be done."""
    for _ in range(100):
        if not house.reactor.getDelayedCalls():
            return
        house.reactor.advance(PAUSE / 5)
    raise AssertionError("there is no end to it")


# --- when the first job left -----------------------------------------------------------------------------------


def test_a_rounds_first_job_is_told_of_once_it_left():
    house, wires = make()
    told: list[tuple[int, list[int]]] = []
    house.server.first_job_sent.subscribe(lambda block: told.append((block, counts(wires))))
    new_work(house, previous_block=0xBEEF)
    run(house)
    ((block, sent),) = told
    assert block == 0xBEEF
    assert sum(sent) == 1
    new_work(house, subsidy=7)
    run(house)
    assert [block for block, _ in told] == [0xBEEF, 0xBEEF]


def test_a_connection_without_work_is_no_first_job():
    house = House()
    told: list[int] = []
    house.server.first_job_sent.subscribe(told.append)
    house.connect()
    new_work(house, previous_block=0xBEEF)
    run(house)
    assert told == []
    house.miner(ADDRESS)
    new_work(house, previous_block=0xCAFE)
    run(house)
    assert told == [0xCAFE]


# --- how often -------------------------------------------------------------------------------------------------


def test_tips_within_a_moment_cause_one_round_more():
    house, wires = make()
    new_work(house, subsidy=1)
    first = jobs_of(wires)
    assert [len(got) for got in first] == [1, 1, 1]
    for subsidy in (2, 3, 4):
        house.reactor.advance(PAUSE / 5)
        new_work(house, subsidy=subsidy)
        assert counts(wires) == [0, 0, 0]
    house.reactor.advance(PAUSE / 5)
    assert counts(wires) == [0, 0, 0]
    house.reactor.advance(PAUSE / 4)
    second = jobs_of(wires)
    assert [len(got) for got in second] == [1, 1, 1]
    assert len({got[0][0] for got in first + second}) == 2  # two jobs in all, the same ones for everyone
    assert all(got[0][8] is True for got in second)
    assert not house.reactor.getDelayedCalls()
    house.reactor.advance(PAUSE)
    new_work(house, subsidy=5)
    assert counts(wires) == [1, 1, 1]


def test_nobody_gets_a_job_twice_where_rounds_overtake_each_other():
    house, wires = make(2 * SLICE + 10)
    got: list[list] = [[] for _ in wires]
    for subsidy in range(1, 8):
        new_work(house, subsidy=subsidy)
        house.reactor.advance(0)
        house.reactor.advance(PAUSE / 3)
    run(house)
    for seen, new in zip(got, jobs_of(wires), strict=True):
        seen.extend(new)
    last = {seen[-1][0] for seen in got}
    assert len(last) == 1
    for seen in got:
        ids = [job[0] for job in seen]
        assert len(set(ids)) == len(ids)


def test_a_parent_block_is_told_at_once_also_after_a_round_just_now():
    house, wires = make()
    new_work(house, subsidy=1)
    new_work(house, subsidy=2)  # waits
    jobs_of(wires)
    new_work(house, previous_block=0xBEEF)
    assert counts(wires) == [1, 1, 1]
    new_work(house, previous_block=0xBEE0)
    assert counts(wires) == [1, 1, 1]
    assert not house.reactor.getDelayedCalls()  # the round that waited is not wanted any more


def test_work_that_is_about_to_be_replaced_waits_a_moment():
    house, wires = make()
    new_work(house, more_to_come=True, subsidy=1)
    assert counts(wires) == [0, 0, 0]
    house.reactor.advance(PAUSE * 0.6)
    new_work(house, more_to_come=True, subsidy=2)  # no second moment
    assert counts(wires) == [0, 0, 0]
    house.reactor.advance(PAUSE * 0.41)
    assert counts(wires) == [1, 1, 1]
    assert not house.reactor.getDelayedCalls()


def test_the_newer_parent_block_that_was_waited_for_takes_its_place():
    house, wires = make()
    new_work(house, more_to_come=True, subsidy=1)
    house.reactor.advance(PAUSE / 10)
    new_work(house, previous_block=0xBEEF)
    got = jobs_of(wires)
    assert [len(jobs_) for jobs_ in got] == [1, 1, 1]
    assert all(jobs_[0][8] is True for jobs_ in got)
    assert not house.reactor.getDelayedCalls()
    house.reactor.advance(PAUSE)
    assert counts(wires) == [0, 0, 0]


def test_a_parent_block_whose_work_is_about_to_be_replaced_waits_too():
    house, wires = make()
    new_work(house, more_to_come=True, previous_block=0xBEEF)
    assert counts(wires) == [0, 0, 0]
    house.reactor.advance(PAUSE)
    assert counts(wires) == [1, 1, 1]


# --- clean -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 2 * SLICE + 10])
def test_the_newest_tip_is_clean_for_everyone(count):
    """Also where it has to wait for a refresh that takes several turns of the reactor."""
    house, wires = make(count)
    new_work(house, clean=False, subsidy=1)
    new_work(house, clean=True, subsidy=2)
    run(house)
    assert {got[-1][8] for got in jobs_of(wires)} == {True}
    new_work(house, clean=True, subsidy=3)
    new_work(house, clean=False, subsidy=4)
    run(house)
    new_work(house, clean=False, subsidy=5)
    run(house)
    assert {got[-1][8] for got in jobs_of(wires)} == {False}


# --- to whom first ---------------------------------------------------------------------------------------------


class Seat:
    """A session, as far as a round knows one."""

    def __init__(self, number: int, earning: bool, order: list[int]) -> None:
        self.number, self.earning, self.order = number, earning, order
        self.working = True

    def send_work(self, now: float) -> None:
        self.order.append(self.number)


def make_seats(count: int, serve) -> tuple[Clock, list[int], FanOut]:
    reactor, order = Clock(), []
    seats = [Seat(number, number % 3 == 2, order) for number in range(count)]
    return reactor, order, FanOut(reactor, JobRegistry(FakeWork()), seats, serve, lambda: NOW + reactor.seconds())


def test_those_that_earn_are_first_whatever_slice_they_are_in():
    reactor, order, fan_out = make_seats(3 * SLICE, lambda session, step, *arguments: step(*arguments))
    fan_out.work_changed(1, True, False)
    assert order == list(range(2, 3 * SLICE, 3))
    reactor.advance(0)
    assert order[SLICE:] == [number for number in range(3 * SLICE) if number % 3 != 2]


# --- nobody waits for a slow one -------------------------------------------------------------------------------


def test_who_does_not_read_is_cut_off_and_the_others_are_served_at_once():
    house, wires = make(5)
    limit = house.server.limits.max_unsent
    wires[0].dataBuffer = b"x" * (limit + 1)
    wires[3].dataBuffer = b"x" * limit  # as much as may be
    with logged() as log:
        new_work(house, previous_block=0xBEEF)
    assert counts(wires[1:]) == [1, 1, 1, 1]
    assert [wire.disconnecting for wire in wires] == [True, False, False, False, False]
    assert len(house.server) == 4
    assert len(log.lines) == 1
    assert "does not read" in log.lines[0]
    wires[0].clear()
    new_work(house, previous_block=0xBEE0)
    assert counts(wires) == [0, 1, 1, 1, 1]


# --- how long it takes -----------------------------------------------------------------------------------------


def timed(count: int) -> tuple[Clock, FanOut, list[float]]:
    """A fan-out, and what it says of how long its rounds took."""
    reactor, _, fan_out = make_seats(count, lambda session, step, *arguments: step(*arguments))
    took: list[float] = []
    fan_out.all_served.subscribe(took.append)
    return reactor, fan_out, took


def test_a_round_takes_until_its_last_connection_is_served():
    reactor, fan_out, took = timed(3 * SLICE - 1)
    reactor.advance(10)
    fan_out.work_changed(1, True, False)
    assert took == []
    reactor.advance(0.75)
    assert took == [0.75]


def test_the_pause_before_a_round_counts():
    reactor, fan_out, took = timed(3)
    fan_out.work_changed(1, True, False)
    assert took == [0]
    reactor.advance(PAUSE / 4)
    fan_out.work_changed(1, True, False)
    reactor.advance(PAUSE / 4)
    fan_out.work_changed(1, True, False)
    reactor.advance(PAUSE / 2)
    assert took == [0, pytest.approx(PAUSE * 3 / 4)]


def test_a_round_that_is_overtaken_counts_from_the_work_that_some_have_not_heard_of():
    reactor, fan_out, took = timed(2 * SLICE)
    fan_out.work_changed(1, True, False)
    reactor.rightNow += 0.25  # the reactor is busy elsewhere
    fan_out.work_changed(2, True, False)  # another parent block: at once, from the beginning
    assert took == []
    reactor.advance(0.5)
    assert took == [0.75]
    fan_out.work_changed(3, True, False)
    reactor.advance(0.25)
    assert took == [0.75, 0.25]  # what was before it is over


def test_a_round_over_nobody_takes_no_time_that_counts():
    reactor, fan_out, took = timed(0)
    fan_out.work_changed(1, True, False)
    reactor.advance(1)
    assert took == []


def test_the_server_records_its_rounds():
    house, _ = make(3)
    before = len(house.stats.of("record_fan_out"))
    new_work(house, previous_block=0xBEEF)
    assert house.stats.of("record_fan_out")[before:] == [(0.0,)]


# --- the end ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", ["a tip", "more to come", "slices", "both"])
def test_after_stop_nothing_happens_any_more(waits):
    served: list = []
    reactor, _, fan_out = make_seats(3 * SLICE, lambda session, step, *arguments: served.append(session))
    if waits == "more to come":
        fan_out.work_changed(1, True, True)
    else:
        fan_out.work_changed(1, True, False)
        if waits == "a tip":
            reactor.advance(0)
            reactor.advance(0)
            reactor.advance(0)
        if waits != "slices":
            fan_out.work_changed(1, True, False)
    pending = {"a tip": 1, "more to come": 1, "slices": 1, "both": 2}[waits]
    assert len(reactor.getDelayedCalls()) == pending
    before = len(served)
    fan_out.stop()
    fan_out.stop()
    assert not reactor.getDelayedCalls()
    reactor.advance(10)
    assert len(served) == before
