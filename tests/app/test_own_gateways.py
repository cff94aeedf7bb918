"""When a node starts its gateways: at once, or after those of another process, and not while it stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from p2pool.app.config import load_config
from p2pool.app.own_gateways import BROKER_NOTICE, BROKER_TIME, OwnGateways
from tests.environment import make_environment
from tests.logged import logged


class FakeChildren:
    """Processes that only say how they were asked to start."""

    def __init__(self) -> None:
        self.started: list[bool] = []
        self.calls: list[str] = []
        self.processes: dict[int, int] = {}

    def start(self, start: Any, *, one_by_one: bool) -> None:
        self.started.append(one_by_one)

    def running(self) -> dict[int, int]:
        return self.processes

    def keep(self) -> None:
        self.calls.append("keep")

    def stop(self) -> Deferred[None]:
        self.calls.append("stop")
        return succeed(None)


class Rig:
    """The gateways of a node whose broker the test switches on and off."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.children: Any = FakeChildren()
        self.has_broker = True
        flags = ("--broker", "redis://h", "--gateways", "2", "--web-port", "127.0.0.1:1")
        stratum: Any = None
        self.gateways = OwnGateways(
            make_environment(self.clock),
            load_config(["--net", "simnet", "--datadir", str(directory), *flags], directory, {}),
            stratum=stratum,
            children=self.children,
            has_broker=lambda: self.has_broker,
        )


def test_a_usual_start_waits_for_nothing(tmp_path):
    rig = Rig(tmp_path)
    rig.has_broker = False
    rig.gateways.start()
    assert rig.children.started == [False]


def test_a_node_that_takes_over_starts_them_when_it_is_responsible(tmp_path):
    rig = Rig(tmp_path)
    rig.gateways.wait_for_adoption()
    rig.gateways.start()
    assert rig.children.started == []
    rig.gateways.take_over()
    assert rig.children.started == [True]


def test_without_the_broker_the_former_gateways_keep_their_miners(tmp_path):
    rig = Rig(tmp_path)
    rig.has_broker = False
    rig.gateways.take_over()
    with logged() as log:
        rig.clock.pump([0.5] * int(2 * BROKER_NOTICE / 0.5))
    assert log.lines == ["the broker does not answer: the former gateways keep their miners until it does"]
    assert rig.children.started == []
    rig.has_broker = True
    rig.clock.advance(0.5)
    assert rig.children.started == [True]


def test_the_broker_is_not_waited_for_forever(tmp_path):
    rig = Rig(tmp_path)
    rig.has_broker = False
    rig.gateways.take_over()
    rig.clock.pump([0.5] * int(BROKER_TIME / 0.5 + 1))
    assert rig.children.started == [True]


def test_a_node_that_goes_on_after_a_failed_take_over_watches_its_gateways_at_once(tmp_path):
    rig = Rig(tmp_path)
    rig.has_broker = False
    rig.children.processes = {1: 1000}
    rig.gateways.take_over()
    assert rig.children.started == [True]


def test_nothing_is_started_once_the_node_stops(tmp_path):
    rig = Rig(tmp_path)
    rig.has_broker = False
    rig.gateways.take_over()
    rig.gateways.stop()
    rig.has_broker = True
    rig.clock.advance(1)
    assert rig.children.started == []
    assert rig.children.calls == ["stop"]


def test_gateways_that_are_kept_outlive_the_node(tmp_path):
    rig = Rig(tmp_path)
    rig.gateways.start()
    rig.gateways.keep()
    assert rig.gateways.stop().called
    assert rig.children.calls == ["keep"]
