"""Gateways that the node starts: what they are given, that they are started again, and how they are stopped."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from p2pool.app.config import Config, load_config
from p2pool.app.gateway import GatewayApp
from p2pool.app.gateway_children import (
    CHECK,
    FIRST_WAIT,
    KILL_TIME,
    LONGEST_WAIT,
    MAX_MISSED,
    MAX_MISSED_AT_START,
    SETTLED_AFTER,
    STOP_TIME,
    GatewayChildren,
    child_arguments,
)
from p2pool.base.errors import OperatorError
from p2pool.base.supervised import BEAT, beat, stop_at_end_of_input
from tests.environment import make_environment
from tests.logged import logged

DATA = Path("/somewhere/data")


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
        self.children = GatewayChildren(self.clock, count, self._start)

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
        machine.children.start()
    assert machine.children.running() == {1: 1000, 2: 1001, 3: 1002}
    assert log.lines[0] == "started gateway 1 as process 1000"


def test_one_that_ends_is_started_again_and_the_log_says_which_and_why():
    machine = Machine()
    machine.children.start()
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
    machine.children.start()
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
        machine.children.start()
    assert log.lines == ["gateway 1 cannot be started: Cannot allocate memory; starting it again in 1 s"]
    machine.problem = None
    machine.clock.advance(1)
    assert machine.children.running() == {1: 1000}


def test_what_it_prints_is_in_the_log_with_its_number():
    machine = Machine()
    machine.children.start()
    with logged() as log:
        machine.said[2]("p2pool-dash: cannot listen")
    assert log.lines == ["gateway 2: p2pool-dash: cannot listen"]


def test_all_are_stopped_in_order():
    machine = Machine()
    machine.children.start()
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
    machine.children.start()
    done: list[object] = []
    machine.children.stop().addCallback(done.append)
    machine.started[0].end(0)
    with logged() as log:
        machine.clock.advance(STOP_TIME)
    assert machine.started[1].signals == ["SIGTERM", "SIGKILL"]
    assert log.lines == ["gateway 2 (process 1001) did not stop within 10 s: killing it"]
    machine.started[1].end(-9)
    assert done == [None]


def test_the_node_stops_even_if_a_killed_one_does_not_end():
    machine = Machine(1)
    machine.children.start()
    done: list[object] = []
    machine.children.stop().addCallback(done.append)
    machine.clock.advance(STOP_TIME)
    machine.clock.advance(KILL_TIME)
    assert done == [None]


def test_one_that_waits_for_its_start_is_not_started_after_the_stop():
    machine = Machine(1)
    machine.children.start()
    machine.started[0].end(1)
    assert machine.children.stop().called
    machine.clock.advance(LONGEST_WAIT)
    assert len(machine.started) == 1


def test_one_that_is_stuck_is_killed_and_started_again():
    machine = Machine()
    machine.children.start()
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
    machine.children.start()
    for _ in range(MAX_MISSED_AT_START):
        machine.clock.advance(CHECK)
    assert machine.started[0].signals == []
    machine.clock.advance(CHECK)
    assert machine.started[0].signals == ["SIGKILL"]


def test_a_node_that_was_stopped_for_long_does_not_take_its_gateways_for_stuck():
    machine = Machine(1)
    machine.children.start()
    machine.said[1](BEAT)
    machine.clock.advance(100 * CHECK)
    assert machine.started[0].signals == []


def test_signs_of_life_are_not_logged(capsys):
    machine = Machine(1)
    machine.children.start()
    beat()
    with logged() as log:
        machine.said[1](capsys.readouterr().out.strip())
    assert log.lines == []


# --- settings ----------------------------------------------------------------------------------------------------


def node(*flags: str) -> Config:
    return load_config(
        ["--net", "simnet", "--broker", "redis://h", "--web-port", "127.0.0.1:7900", "--gateways", "2", *flags],
        DATA,
        {},
    )


def child(config: Config, number: int = 1, port: int = 7903, tls_port: int | None = None) -> Config:
    word, *arguments = child_arguments(config, number, port=port, tls_port=tls_port)
    assert word == "gateway"
    return load_config(arguments, DATA, {})


def test_a_child_has_the_node_s_settings_of_miners_and_places_of_its_own():
    config = node("--share-rate", "5", "--ban-allow", "10.0.0.0/8", "-w", "127.0.0.1:0", "--datadir", "/d")
    one, two = (child(config, number) for number in (1, 2))
    for each in (one, two):
        assert (each.share_rate, each.ban_allow) == (config.share_rate, config.ban_allow)
        assert (each.network, each.broker) == (config.network, config.broker)
        assert (each.worker_endpoint, each.gateways) == (("127.0.0.1", 7903), 0)
        assert (each.share_port, each.supervised, each.no_console) == (True, True, True)
        assert each.gateway_name is not None
        GatewayApp(each, make_environment())
    assert one.datadir == Path("/d/simnet/gateways/1/simnet")
    assert one.log_path == Path("/d/simnet/gateways/1/log")
    assert len({config.datadir, one.datadir, two.datadir}) == 3
    assert len({config.log_path, one.log_path, two.log_path}) == 3
    assert one.gateway_name != two.gateway_name


def test_words_after_the_flags_stay_at_the_end():
    config = node("-w", "[::1]:7903", "--", "user", "password")
    assert child(config).worker_endpoint == ("::1", 7903)
    assert child(config).rpc_arguments == ("user", "password")
    assert "password" not in repr(config)


def test_children_use_one_certificate(tmp_path):
    config = node("--stratum-ssl-port", "0", "--ssl-self-signed")
    one = child(config, tls_port=7904)
    assert one.stratum_ssl_port == ("", 7904)
    assert one.ssl_cert == config.datadir / "stratum-cert.pem"
    own = node("--stratum-ssl-port", "[::1]:0", "--ssl-cert", "/c.pem", "--ssl-key", "/k.pem")
    assert child(own, tls_port=7904).ssl_cert == Path("/c.pem")
    assert child(own, tls_port=7904).stratum_ssl_port == ("::1", 7904)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--gateways", "2", "--web-port", "1"), "--gateways needs --broker"),
        (("--gateways", "2", "--broker", "redis://h"), "give --web-port"),
        (("--gateways", "65", "--broker", "redis://h", "--web-port", "1"), "between 0 and 64"),
        (("--gateway-name", ""), "printable"),
        (("--gateway-name", "a\tb"), "printable"),
    ],
)
def test_settings_that_make_no_sense(flags, text):
    with pytest.raises(OperatorError, match=text):
        load_config(["--net", "simnet", *flags], DATA, {})


def test_a_gateway_starts_no_gateways():
    with pytest.raises(OperatorError, match="leave it out"):
        GatewayApp(node(), make_environment())


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
