"""Settings that are read again while the program runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from p2pool.app.config import SIMNET_ADDRESS, Config, load_config
from p2pool.app.reload import Reloader, plan_reload
from p2pool.base.errors import OperatorError
from p2pool.base.service_manager import MainProcess
from tests.environment import make_environment
from tests.logged import logged

KEY, OTHER_KEY = "0123456789abcdef-key", "0123456789abcdef-other"
MAIL = ("--alert-email", "a@b.example", "--alert-smtp-server", "h.example")
HOOK = "--webhook=http://127.0.0.1:1/"


def config_of(*flags: str) -> Config:
    return load_config(["--net", "simnet", "-a", SIMNET_ADDRESS, *flags], Path("/d"), {})


def test_the_same_settings_change_nothing():
    flags = ("--api-key", KEY, "--web-password", "me:a long password", HOOK, "--ban-allow", "192.0.2.0/24")
    plan = plan_reload(config_of(*flags), config_of(*flags))
    assert (plan.taken, plan.left) == ((), ())


def test_settings_are_taken_or_need_a_restart():
    old = config_of("--api-key", KEY, "--alert-group", "60", *MAIL, HOOK)
    new = config_of(
        *MAIL,
        *("--api-key", OTHER_KEY, "--ban-allow", "192.0.2.0/24", "--debug", "--api-key-endpoints", "/metrics"),
        *("--alert-group", "120", "--alert-node", "north", "-w", "1234", "--fee", "2", HOOK + "other"),
        *("--alert-threshold", "dashd-lost=77"),
    )
    plan = plan_reload(old, new)
    assert set(plan.taken) == {
        *("api-key", "api-key-endpoints", "ban-allow", "debug", "alert-node"),
        *("alert-events, alert-group and alert-quiet", "alert-threshold"),
    }
    assert set(plan.left) == {"worker-port", "fee", "destinations of alerts and webhooks"}
    taken = plan.config
    assert (taken.debug, taken.ban_allow, taken.api_keys) == (True, new.ban_allow, new.api_keys)
    assert (taken.worker_endpoint, taken.fee) == (old.worker_endpoint, old.fee)
    assert (taken.alerts.rules, taken.alerts.node) == (new.alerts.rules, "north")
    assert taken.alerts.destinations == old.alerts.destinations
    assert taken.alerts.thresholds.dashd_lost == 77
    assert plan_reload(taken, new).taken == ()


def test_another_password_needs_a_restart_and_its_name_is_all_that_is_said():
    plan = plan_reload(config_of("--web-password", "a:long enough"), config_of("--web-password", "b:long enough"))
    assert plan.left == ("web-password",)


def test_gateways_of_the_node_were_given_the_list_at_their_start():
    flags = ("--gateways", "2", "--broker", "redis://h", "--web-port", "1")
    plan = plan_reload(config_of(*flags), config_of(*flags, "--ban-allow", "192.0.2.0/24"))
    assert (plan.taken, plan.left) == ((), ("ban-allow",))


class FakeProgram:
    def __init__(self) -> None:
        self.applied: list[Config] = []
        self.certificates: list[str] = []

    def apply(self, config: Config) -> None:
        self.applied.append(config)

    async def reload_certificates(self) -> list[str]:
        return self.certificates


class Rig:
    def __init__(self, *flags: str) -> None:
        self.program: FakeProgram | None = FakeProgram()
        self.first = self.program
        self.flags, self.levels, self.told = flags, [], []
        self.error: BaseException | None = None
        environment = make_environment()
        self.reloader = Reloader(
            environment,
            config_of(*flags),
            load=self._load,
            set_level=self.levels.append,
            program=lambda: self.program,
            main=MainProcess(environment, notify=self.told.append, period=lambda: None),
        )

    def _load(self) -> Config:
        if self.error is not None:
            raise self.error
        return config_of(*self.flags)

    def reload(self) -> list[str]:
        with logged() as log:
            self.reloader.reload("SIGHUP")
        assert not log.tracebacks
        return log.lines


def test_what_changed_is_used_and_said():
    rig = Rig()
    rig.flags = ("--debug", "--ban-allow", "192.0.2.0/24", "--fee", "2")
    rig.first.certificates = ["web"]
    lines = rig.reload()
    assert lines[0].startswith("SIGHUP: settings read; changed: ")
    assert set(lines[0].partition("changed: ")[2].split(", ")) == {"debug", "ban-allow", "the web certificate"}
    assert lines[1:] == ["SIGHUP: changed settings that need a restart or `systemctl reload`: fee"]
    assert rig.levels == ["debug"]
    (applied,) = rig.first.applied
    assert len(applied.ban_allow) == 1
    assert rig.reloader.config is applied
    assert [told.partition("\n")[0] for told in rig.told] == ["RELOADING=1", "READY=1"]
    rig.flags, rig.first.certificates = ("--fee", "0"), []
    rig.reload()
    assert rig.levels == ["debug", "info"]
    assert rig.reloader.config.ban_allow == ()


def test_nothing_new_is_said_too():
    assert Rig().reload() == ["SIGHUP: settings read; changed: nothing"]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OperatorError("--fee x: this is not a number"), "--fee x: this is not a number"),
        (SystemExit(2), "the command line, or a file of flags in it, is wrong"),
    ],
)
def test_broken_settings_change_nothing(error, why):
    rig = Rig()
    rig.error = error
    assert rig.reload() == [f"SIGHUP: the settings cannot be used, nothing is changed: {why}"]
    assert rig.first.applied == []
    assert rig.told[-1] == "READY=1"
    rig.error = None
    assert rig.reload() == ["SIGHUP: settings read; changed: nothing"]


def test_without_a_program_settings_are_not_read():
    rig = Rig()
    rig.program = None
    assert rig.reload() == ["SIGHUP: not reading the settings, since the program is starting or stopping"]
    assert rig.told == []


def test_one_reading_at_a_time():
    rig, waiting = Rig(), Deferred()
    rig.reloader._environment = make_environment(run_in_thread=lambda load: waiting)
    assert rig.reload() == []
    assert rig.reload() == ["SIGHUP: not reading the settings, since the settings are being read"]
    waiting.callback(config_of())
    assert len(rig.first.applied) == 1
