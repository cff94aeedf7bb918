"""What systemd is told."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from p2pool.base.service_manager import (
    MainProcess,
    notify_service_manager,
    successor_environment,
    watchdog_period,
)
from tests.environment import make_environment

WATCHED = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7", "HOME": "/"}


def test_without_systemd_nothing_is_sent():
    assert not notify_service_manager("READY=1", {})
    assert not notify_service_manager("READY=1", {"NOTIFY_SOCKET": "relative"})


def test_a_socket_that_is_gone_does_not_matter(tmp_path):
    assert not notify_service_manager("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "none")})
    assert not notify_service_manager("READY=1", {"NOTIFY_SOCKET": "@" + "x" * 200})


def test_the_watchdog_is_reset_twice_in_its_time_by_the_process_that_is_watched():
    assert watchdog_period(WATCHED, 7) == 15.0
    assert watchdog_period(WATCHED, 8) is None
    assert watchdog_period(successor_environment(WATCHED), 8) == 15.0
    assert watchdog_period({**WATCHED, "NOTIFY_SOCKET": ""}, 7) is None


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "1e9", "1000"])
def test_a_time_that_makes_no_sense_is_no_watchdog(text):
    assert watchdog_period({**WATCHED, "WATCHDOG_USEC": text}, 7) is None


class Rig:
    def __init__(self, period: float | None = 15.0) -> None:
        self.clock = Clock()
        self.clock.advance(2.5)
        self.sent: list[str] = []
        self.main = MainProcess(make_environment(self.clock), notify=self.sent.append, period=lambda: period)


def test_a_service_starts_and_stops():
    rig = Rig()
    rig.main.started()
    assert rig.sent == ["READY=1\nSTATUS=Starting", "WATCHDOG=1"]
    rig.clock.advance(14.9)
    assert len(rig.sent) == 2
    rig.clock.advance(0.2)
    assert rig.sent[2:] == ["WATCHDOG=1"]
    rig.main.stopping()
    assert rig.sent[3:] == ["STOPPING=1\nSTATUS=Stopping"]
    rig.clock.advance(15)
    assert rig.sent[4:] == ["WATCHDOG=1"], "it may take a while"


def test_without_a_watchdog_there_is_no_timer():
    rig = Rig(None)
    rig.main.started()
    assert rig.clock.getDelayedCalls() == []


def test_another_process_becomes_the_service():
    former, new = Rig(), Rig()
    former.main.started()
    former.sent.clear()
    former.main.reloading()
    former.main.replaced_by(99)
    assert former.sent == ["RELOADING=1\nMONOTONIC_USEC=2500000", "MAINPID=99\nREADY=1\nWATCHDOG=1"]
    former.main.stopping()
    former.clock.advance(60)
    assert len(former.sent) == 2, "nobody listens to it any more"
    new.main.stopping()
    assert new.sent == [], "nobody listens to it yet"
    new.main.took_over()
    assert new.sent == ["WATCHDOG=1"]


def test_a_reload_that_fails_ends():
    rig = Rig(None)
    rig.main.started()
    rig.main.reloading()
    rig.main.reloaded()
    assert rig.sent[-1] == "READY=1"
