"""Gateways that the node starts: what they are given, that they are started again, and how they are stopped."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from twisted.internet.task import Clock

from p2pool.app.gateway_children import (
    CHECK,
    FIRST_WAIT,
    KILL_TIME,
    LEAVE_TIME,
    LONGEST_WAIT,
    MAX_MISSED,
    MAX_MISSED_AT_START,
    PATIENCE,
    SETTLED_AFTER,
    STOP_TIME,
    GatewayChildren,
)
from p2pool.base.supervised import BEAT, SERVING, beat, show_serving, stop_at_end_of_input
from tests.logged import logged

SUCCESSOR = 77
"""A process that takes over from the node."""


class FakeChild:
    """A process that ends when the test says so."""

    def __init__(self, number: int, process_id: int, ended: Callable[[int], None]) -> None:
        self.number = number
        self.process_id = process_id
        self.end = ended
        self.signals: list[str] = []

    def terminate(self) -> None:
        self.signals.append("SIGTERM")

    def kill(self) -> None:
        self.signals.append("SIGKILL")


class Machine:
    """Starts children that the test ends."""

    def __init__(self, count: int = 2) -> None:
        self.clock = Clock()
        self.started: list[FakeChild] = []
        self.said: dict[int, Callable[[str], None]] = {}
        self.problem: OSError | None = None
        self.successor_runs = True
        self.children = GatewayChildren(self.clock, count, is_running=lambda process: self.successor_runs)

    def start(self, *, one_by_one: bool = False) -> None:
        self.children.start(self._start, one_by_one=one_by_one)

    def _start(self, number: int, *, said: Callable[[str], None], ended: Callable[[int], None]) -> FakeChild:
        if self.problem is not None:
            raise self.problem
        child = FakeChild(number, 1000 + len(self.started), ended)
        self.started.append(child)
        self.said[number] = said
        return child


def test_as_many_are_started_as_were_asked_for():
    machine = Machine(3)
    with logged() as log:
        machine.start()
    assert machine.children.running() == {1: 1000, 2: 1001, 3: 1002}
    assert log.lines[0] == "started gateway 1 as process 1000"


def test_one_that_ends_is_started_again_and_the_log_says_which_and_why():
    machine = Machine()
    machine.start()
    with logged() as log:
        machine.started[1].end(-9)
        machine.started[0].end(3)
    assert log.lines == [
        "gateway 2 (process 1001) has ended: killed by SIGKILL; starting it again in 1 s",
        "gateway 1 (process 1000) has ended: exit status 3; starting it again in 1 s",
    ]
    assert machine.children.running() == {}
    machine.clock.advance(FIRST_WAIT)
    assert [child.number for child in machine.started] == [1, 2, 2, 1]


def test_waits_grow_and_begin_again_after_it_has_run_for_a_while():
    machine = Machine(1)
    machine.start()
    waits = []
    for _ in range(8):
        before, count = machine.clock.seconds(), len(machine.started)
        machine.started[-1].end(1)
        while len(machine.started) == count:
            machine.clock.advance(0.5)
        waits.append(machine.clock.seconds() - before)
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST_WAIT, LONGEST_WAIT]
    machine.clock.advance(SETTLED_AFTER)
    machine.started[-1].end(1)
    machine.clock.advance(FIRST_WAIT)
    assert len(machine.started) == 10


def test_one_that_cannot_be_started_is_tried_again():
    machine = Machine(1)
    machine.problem = OSError(12, "Cannot allocate memory")
    with logged() as log:
        machine.start()
    assert log.lines == ["gateway 1 cannot be started: Cannot allocate memory; starting it again in 1 s"]
    machine.problem = None
    machine.clock.advance(1)
    assert machine.children.running() == {1: 1000}


def test_what_it_prints_is_in_the_log_with_its_number():
    machine = Machine()
    machine.start()
    with logged() as log:
        machine.said[2]("p2pool-dash: cannot listen")
    assert log.lines == ["gateway 2: p2pool-dash: cannot listen"]


def test_all_are_stopped_in_order():
    machine = Machine()
    machine.start()
    done: list[object] = []
    machine.children.stop().addCallback(done.append)
    assert [child.signals for child in machine.started] == [["SIGTERM"], ["SIGTERM"]]
    machine.started[0].end(0)
    assert done == []
    machine.started[1].end(0)
    assert done == [None]
    assert machine.clock.getDelayedCalls() == []  # none is started again


def test_one_that_does_not_stop_is_killed():
    machine = Machine()
    machine.start()
    done: list[object] = []
    machine.children.stop().addCallback(done.append)
    machine.started[0].end(0)
    with logged() as log:
        machine.clock.advance(STOP_TIME)
    assert machine.started[1].signals == ["SIGTERM", "SIGKILL"]
    assert log.lines == ["gateway 2 (process 1001) did not stop within 4 s: killing it"]
    machine.started[1].end(-9)
    assert done == [None]


def test_the_node_stops_even_if_a_killed_one_does_not_end():
    machine = Machine(1)
    machine.start()
    done: list[object] = []
    machine.children.stop().addCallback(done.append)
    machine.clock.advance(STOP_TIME)
    machine.clock.advance(KILL_TIME)
    assert done == [None]


def test_one_that_waits_for_its_start_is_not_started_after_the_stop():
    machine = Machine(1)
    machine.start()
    machine.started[0].end(1)
    assert machine.children.stop().called
    machine.clock.advance(LONGEST_WAIT)
    assert len(machine.started) == 1


def test_one_that_is_stuck_is_killed_and_started_again():
    machine = Machine()
    machine.start()
    for number in (1, 2):
        machine.said[number](BEAT)
    with logged() as log:
        for _ in range(MAX_MISSED + 1):
            machine.said[1](BEAT)
            machine.clock.advance(CHECK)
    assert [child.signals for child in machine.started] == [[], ["SIGKILL"]]
    assert log.lines == ["gateway 2 (process 1001) is stuck: no sign of life for 30 s; killing it"]
    machine.started[1].end(-9)
    machine.clock.advance(FIRST_WAIT)
    assert machine.started[2].number == 2


def test_a_slow_start_is_waited_for():
    machine = Machine(1)
    machine.start()
    for _ in range(MAX_MISSED_AT_START):
        machine.clock.advance(CHECK)
    assert machine.started[0].signals == []
    machine.clock.advance(CHECK)
    assert machine.started[0].signals == ["SIGKILL"]


def test_a_node_that_was_stopped_for_long_does_not_take_its_gateways_for_stuck():
    machine = Machine(1)
    machine.start()
    machine.said[1](BEAT)
    machine.clock.advance(100 * CHECK)
    assert machine.started[0].signals == []


def test_signs_of_life_are_not_logged(capsys):
    machine = Machine(1)
    machine.start()
    beat()
    with logged() as log:
        machine.said[1](capsys.readouterr().out.strip())
    assert log.lines == []


# --- another process takes over ----------------------------------------------------------------------------------


def test_one_by_one_each_waits_until_the_former_serves(capsys):
    machine = Machine(3)
    machine.start(one_by_one=True)
    assert [child.number for child in machine.started] == [1]
    machine.said[1](BEAT)
    assert len(machine.started) == 1
    show_serving()
    line = capsys.readouterr().out.strip()
    assert line == SERVING
    with logged() as log:
        machine.clock.advance(1.5)
        machine.said[1](line)
    assert log.lines == ["gateway 1 serves miners, 1.5 s after its start", "started gateway 2 as process 1001"]
    machine.started[1].end(1)  # it fails: the others do not wait for it
    assert [child.number for child in machine.started] == [1, 2, 3]
    machine.clock.advance(FIRST_WAIT)
    assert [child.number for child in machine.started] == [1, 2, 3, 2]


def test_one_by_one_the_next_does_not_wait_forever():
    machine = Machine(2)
    machine.start(one_by_one=True)
    machine.clock.advance(PATIENCE)
    assert len(machine.started) == 2
    assert machine.started[0].signals == []


def test_those_that_hand_over_are_not_started_again():
    machine = Machine(2)
    machine.start()
    machine.children.keep()
    machine.children.leave(SUCCESSOR)
    done: list[object] = []
    machine.children.leave(SUCCESSOR).addCallback(done.append)
    with logged() as log:
        machine.started[1].end(0)
        machine.clock.advance(LONGEST_WAIT)
        assert done == []
        machine.started[0].end(0)
    assert done == [None]
    assert len(machine.started) == 2
    assert log.lines[0] == "gateway 2 (process 1001) has ended: another process has its miners"


def test_when_the_other_process_fails_they_are_watched_again():
    machine = Machine(3)
    machine.start()
    machine.started[2].end(1)
    machine.children.keep()
    machine.started[1].end(-9)
    machine.clock.advance(LONGEST_WAIT)
    assert len(machine.started) == 3
    machine.start(one_by_one=True)
    machine.said[2](SERVING)
    assert [child.number for child in machine.started[3:]] == [2, 3]
    machine.started[0].end(1)
    machine.clock.advance(FIRST_WAIT)
    assert machine.started[-1].number == 1


def test_those_that_nobody_takes_over_from_are_stopped():
    machine = Machine(2)
    machine.start()
    done: list[object] = []
    machine.children.leave(SUCCESSOR).addCallback(done.append)
    for _ in range(int(LEAVE_TIME / CHECK) - 1):
        machine.said[1](BEAT)
        machine.said[2](BEAT)
        machine.clock.advance(CHECK)
    assert machine.started[1].signals == []
    machine.started[0].end(0)
    machine.clock.advance(CHECK)
    assert machine.started[1].signals == ["SIGTERM"]
    machine.started[1].end(0)
    assert done == [None]
    assert machine.clock.getDelayedCalls() == []


def test_they_are_stopped_when_the_process_that_took_over_has_ended():
    machine = Machine(1)
    machine.start()
    machine.children.leave(SUCCESSOR)
    machine.successor_runs = False
    with logged() as log:
        machine.clock.advance(CHECK)
    assert log.lines[0] == "stopping gateways that are left (1): process 77 has ended"
    assert machine.started[0].signals == ["SIGTERM"]
    with logged() as log:
        machine.started[0].end(0)
    assert log.lines == ["gateway 1 (process 1000) has ended: exit status 0"]


def test_a_signal_stops_them_while_they_wait_for_the_other_process():
    machine = Machine(1)
    machine.start()
    done: list[object] = []
    machine.children.leave(SUCCESSOR).addCallback(done.append)
    machine.children.stop().addCallback(done.append)
    assert machine.started[0].signals == ["SIGTERM"]
    machine.started[0].end(0)
    assert done == [None, None]


def test_without_gateways_that_run_nothing_is_waited_for():
    machine = Machine(1)
    assert machine.children.leave(SUCCESSOR).called
    assert machine.children.stop().called


# --- the end of the node -----------------------------------------------------------------------------------------


def test_a_program_stops_when_its_input_ends_and_is_killed_if_it_does_not():
    reading, writing = os.pipe()
    stopped, killed = threading.Event(), threading.Event()
    with logged() as log:
        thread = stop_at_end_of_input(stopped.set, descriptor=reading, patience=0.0, kill=killed.set)
        os.write(writing, b"x")
        assert not stopped.is_set()
        os.close(writing)
        thread.join(10)
    os.close(reading)
    assert stopped.is_set()
    assert killed.is_set()
    assert "standard input has ended" in log.lines[0]
