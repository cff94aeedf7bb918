"""A program in its process: started, replaced by another process, and started again when that fails."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred, succeed
from twisted.internet.task import Clock

from p2pool.app import program_runner
from p2pool.app.config import SIMNET_ADDRESS, load_config
from p2pool.app.handover import HandedOver, HandoverRecord
from p2pool.app.program_runner import RECOVERY_TIME, WORK_TIME, ProgramRunner
from p2pool.app.take_over import FormerEnded
from p2pool.base.errors import OperatorError, ParseError
from p2pool.base.service_manager import MainProcess
from p2pool.stratum.handover_export import export_miners
from tests.environment import make_environment
from tests.logged import logged
from tests.stratum.miner import NOW, Miner


@pytest.fixture(autouse=True)
def _garbage_is_collected_again():
    yield
    gc.enable()


class FakeProgram:
    """A program whose life is written down in `life`."""

    def __init__(self, life: list) -> None:
        self.life = life
        self.has_work = True
        self.error: Exception | None = None
        self.unprepared: Exception | None = None

    async def prepare(self) -> None:
        self.life.append("prepare")
        if self.unprepared is not None:
            raise self.unprepared

    async def start(self, handed: HandedOver | None = None) -> None:
        self.life.append("start" if handed is None else "start with miners")
        if self.error is not None:
            raise self.error

    def adopt(self) -> int:
        self.life.append("adopt")
        return 1

    async def hand_over(self, *, whole: bool) -> HandedOver:
        self.life.append("hand over")
        return one_miner()

    async def stop(self) -> None:
        self.life.append("stop")


def one_miner() -> HandedOver:
    miner = Miner()
    miner.login()
    record = export_miners(miner.context, [(miner.session, "10.0.0.1", b"", b"")], NOW)
    return HandedOver(HandoverRecord(NOW, (), (), record), (object(),))


def no_miner() -> HandedOver:
    record = export_miners(Miner().context, [], NOW)
    return HandedOver(HandoverRecord(NOW, (), (), record), ())


class Former:
    """The process that is replaced; `gone` if it ends before it hands over."""

    def __init__(self, *, gone: bool = False) -> None:
        self.confirmed = self.asked = False
        self.gone = gone

    def take(self) -> HandedOver:
        self.asked = True
        if self.gone:
            raise FormerEnded
        return one_miner()

    def confirm(self) -> None:
        self.confirmed = True


class FakeChildren:
    """The gateways of a node, which end when the test says so."""

    def __init__(self) -> None:
        self.left_to: int | None = None
        self.ended: Deferred[None] = Deferred()
        self.stopped = False

    def leave(self, process: int) -> Deferred[None]:
        self.left_to = process
        return self.ended

    def stop(self) -> Deferred[None]:
        self.stopped = True
        return succeed(None)


class Rig:
    """A runner, with everything around it written down."""

    def __init__(
        self,
        directory: Path,
        monkeypatch,
        *flags: str,
        former: Former | None = None,
        children: FakeChildren | None = None,
    ) -> None:
        self.life: list = []
        self.told: list[str] = []
        """What the service manager was told."""
        self.failures: list = []
        self.programs: list[FakeProgram] = []
        self.clock = Clock()
        monkeypatch.setattr(program_runner.HandoverClient, "find", lambda *_: former)
        monkeypatch.setattr(program_runner.HandoverServer, "start", lambda _: self.life.append("listen"))
        self.runner = ProgramRunner(
            load_config(["--net", "simnet", "-a", SIMNET_ADDRESS, "--datadir", str(directory), *flags], directory),
            make_environment(self.clock, clock=lambda: NOW + 2, run_in_daemon_thread=maybeDeferred),
            make=self._make,
            fail=lambda failure: self.failures.append(failure.value),
            end=lambda: self.life.append("end"),
            children=children,  # type: ignore[arg-type]
            main=MainProcess(make_environment(self.clock), notify=self.told.append, period=lambda: 15.0),
        )
        self.runner.construct()
        self.program = self.programs[0]

    def _make(self) -> FakeProgram:
        self.programs.append(FakeProgram(self.life))
        return self.programs[-1]

    def hand_over(self) -> HandedOver | None:
        answers: list = []
        self.runner.hand_over(True, answers.append)
        return answers[0]


def test_a_program_starts_and_stops(tmp_path, monkeypatch):
    rig = Rig(tmp_path, monkeypatch)
    rig.runner.start()
    assert rig.life == ["start", "listen"]
    ensureDeferred(rig.runner.stop())
    assert rig.life == ["start", "listen", "stop"]
    assert rig.failures == []
    rig.runner.release()


def test_with_nobody_to_take_over_from_it_starts_as_usual(tmp_path, monkeypatch):
    with logged() as log:
        rig = Rig(tmp_path, monkeypatch, "--take-over")
        rig.runner.start()
    assert rig.life == ["start", "listen"]
    assert log.lines == ["--take-over: no process to take over from; starting as usual"]
    rig.runner.release()


def test_miners_are_served_once_there_is_work(tmp_path, monkeypatch):
    former = Former()
    rig = Rig(tmp_path, monkeypatch, "--take-over", former=former)
    rig.program.has_work = False
    rig.runner.start()
    rig.clock.advance(1)
    assert rig.life == ["prepare", "start with miners"]
    assert not former.confirmed
    rig.program.has_work = True
    with logged() as log:
        rig.clock.advance(1)
    assert rig.life == ["prepare", "start with miners", "adopt", "listen"]
    assert former.confirmed
    assert log.lines == ["took over 1 miners, who waited 2.00 s"]
    rig.runner.release()


def test_if_the_former_process_ends_instead_it_starts_as_usual(tmp_path, monkeypatch):
    with logged() as log:
        rig = Rig(tmp_path, monkeypatch, "--take-over", former=Former(gone=True))
        rig.runner.start()
    assert rig.life == ["prepare", "start", "listen"]
    assert log.lines[-1] == "--take-over: no process to take over from; starting as usual"
    rig.runner.release()


def test_if_another_process_has_the_directory_by_then_it_gives_up(tmp_path, monkeypatch):
    """As when two processes take over at once: the first one has everything, and the second one nothing."""
    first = Rig(tmp_path, monkeypatch)
    second = Rig(tmp_path, monkeypatch, "--take-over", former=Former(gone=True))
    second.runner.start()
    assert second.life == ["prepare"]
    (error,) = second.failures
    assert "is in use by process" in str(error)
    first.runner.release()


def test_without_work_in_sight_the_former_process_is_not_asked(tmp_path, monkeypatch):
    former = Former()
    rig = Rig(tmp_path, monkeypatch, "--take-over", former=former)
    rig.program.unprepared = OperatorError("no Dash Core answers")
    rig.runner.start()
    assert [str(error) for error in rig.failures] == [
        "--take-over: no Dash Core answers. The running process continues"
    ]
    assert not former.asked
    assert rig.life == ["prepare"]


def test_nobody_looks_for_garbage_while_miners_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(program_runner.gc, "enable", lambda: looks.append(True))
    monkeypatch.setattr(program_runner.gc, "disable", lambda: looks.append(False))
    looks: list[bool] = []
    old = Rig(tmp_path / "old", monkeypatch)
    old.runner.start()
    looks.clear()
    handed = old.hand_over()
    assert handed is not None
    assert looks == [False]
    old.runner.recover(handed)
    assert looks == [False, True]
    looks.clear()
    new = Rig(tmp_path / "new", monkeypatch, "--take-over", former=Former())
    new.runner.start()
    assert new.life[-1] == "listen"
    assert looks == [False, True]
    old.runner.release()
    new.runner.release()


def test_a_second_signal_starts_no_second_process(tmp_path, monkeypatch):
    rig = Rig(tmp_path, monkeypatch)
    rig.runner.start()
    release, started = threading.Event(), []

    def run(command: list[str]) -> None:
        started.append(command)
        release.wait(30)

    monkeypatch.setattr(program_runner, "_run_and_reap", run)
    with logged() as log:
        rig.runner.replace("SIGUSR2")
        rig.runner.replace("SIGUSR2")
        release.set()
    assert len(started) == 1
    assert log.lines[-1] == "SIGUSR2 received: ignored, since a process that takes over is starting"
    rig.runner.release()


def test_without_work_the_former_process_keeps_the_miners(tmp_path, monkeypatch):
    former = Former()
    rig = Rig(tmp_path, monkeypatch, "--take-over", former=former)
    rig.program.has_work = False
    rig.runner.start()
    rig.clock.pump([0.1] * round(10 * WORK_TIME + 10))
    assert [type(error) for error in rig.failures] == [OperatorError]
    assert not former.confirmed
    assert "adopt" not in rig.life
    rig.runner.release()


@pytest.mark.parametrize("error", [ParseError("no state"), OperatorError("the port is in use")])
def test_a_start_that_fails_leaves_the_miners_to_the_former_process(tmp_path, monkeypatch, error):
    former = Former()
    rig = Rig(tmp_path, monkeypatch, "--take-over", former=former)
    rig.program.error = error
    rig.runner.start()
    assert [type(error) for error in rig.failures] == [OperatorError]
    assert not former.confirmed
    rig.runner.release()


def test_a_program_is_handed_over_once_and_the_directory_is_free(tmp_path, monkeypatch):
    rig = Rig(tmp_path, monkeypatch)
    assert rig.hand_over() is None, "it has not started yet"
    rig.runner.start()
    assert rig.hand_over() is not None
    assert rig.hand_over() is None
    other = Rig(tmp_path, monkeypatch)
    other.runner.release()
    rig.runner.leave(4711)
    assert rig.life == ["start", "listen", "hand over", "end"]
    rig.runner.release()


def test_it_serves_again_when_nobody_took_over(tmp_path, monkeypatch):
    rig = Rig(tmp_path, monkeypatch)
    rig.runner.start()
    handed = rig.hand_over()
    assert handed is not None
    rig.runner.recover(handed)
    rig.clock.advance(RECOVERY_TIME)
    assert rig.failures == []
    assert rig.life == ["start", "listen", "hand over", "start with miners", "adopt"]
    assert rig.hand_over() is not None, "the next one may take over"
    rig.runner.release()


def test_it_waits_for_the_directory_that_a_dying_process_still_holds(tmp_path, monkeypatch):
    rig = Rig(tmp_path, monkeypatch)
    rig.runner.start()
    handed = rig.hand_over()
    assert handed is not None
    dying = Rig(tmp_path, monkeypatch)
    rig.runner.recover(handed)
    rig.clock.advance(0.1)
    assert "adopt" not in rig.life
    dying.runner.release()
    rig.clock.pump([0.1] * 10)
    assert rig.life[-1] == "adopt"
    rig.runner.release()


def test_a_signal_before_the_start_is_ignored(tmp_path, monkeypatch):
    rig = Rig(tmp_path, monkeypatch)
    with logged() as log:
        rig.runner.replace("SIGUSR2")
    assert log.lines == ["SIGUSR2 received: ignored, since the program has not started"]
    rig.runner.release()


# --- the service manager ----------------------------------------------------------------------------------------


def test_a_start_and_a_stop_are_told(tmp_path, monkeypatch):
    rig = Rig(tmp_path, monkeypatch)
    rig.runner.start()
    ensureDeferred(rig.runner.stop())
    assert [told.partition("\n")[0] for told in rig.told] == ["READY=1", "WATCHDOG=1", "STOPPING=1"]
    rig.runner.release()


def test_a_process_that_takes_over_tells_nothing_before_it_has(tmp_path, monkeypatch):
    rig = Rig(tmp_path, monkeypatch, "--take-over", former=Former())
    rig.program.has_work = False
    rig.runner.start()
    rig.clock.advance(1)
    assert rig.told == []
    rig.program.has_work = True
    rig.clock.advance(1)
    assert rig.told == ["WATCHDOG=1"]
    rig.runner.release()


def test_one_that_fails_to_take_over_tells_nothing(tmp_path, monkeypatch):
    rig = Rig(tmp_path, monkeypatch, "--take-over", former=Former())
    rig.program.error = OperatorError("the port is in use")
    rig.runner.start()
    ensureDeferred(rig.runner.stop())
    assert rig.told == []
    rig.runner.release()


def test_a_process_that_is_replaced_names_the_other_one_last(tmp_path, monkeypatch):
    rig = Rig(tmp_path, monkeypatch)
    rig.runner.start()
    rig.hand_over()
    rig.clock.advance(15)
    rig.runner.leave(77)
    rig.clock.advance(60)
    ensureDeferred(rig.runner.stop())
    assert rig.told[-2:] == ["WATCHDOG=1", "MAINPID=77\nREADY=1\nWATCHDOG=1"]
    rig.runner.release()


def test_a_take_over_that_fails_ends_the_reload(tmp_path, monkeypatch):
    rig, environments = Rig(tmp_path, monkeypatch), []
    rig.runner.start()

    def run(command, *, check, env):
        environments.append(env)
        raise OSError("no memory")

    monkeypatch.setattr(program_runner.subprocess, "run", run)
    monkeypatch.setenv("WATCHDOG_PID", "1")
    monkeypatch.setattr(program_runner, "successor_environment", lambda: {"for": "the successor"})
    with logged():
        rig.runner.replace("SIGUSR2")
        successor = rig.runner._successor
        assert successor is not None
        successor.join(30)
    assert [told.partition("\n")[0] for told in rig.told[2:]] == ["RELOADING=1", "READY=1"]
    assert environments == [{"for": "the successor"}]
    rig.runner.release()


# --- with gateways -----------------------------------------------------------------------------------------------


def test_a_process_that_was_replaced_stays_until_its_gateways_have_ended(tmp_path, monkeypatch):
    children = FakeChildren()
    rig = Rig(tmp_path, monkeypatch, children=children)
    rig.runner.start()
    rig.hand_over()
    rig.runner.leave(77)
    assert children.left_to == 77
    assert "end" not in rig.life
    children.ended.callback(None)
    assert rig.life[-1] == "end"
    assert not children.stopped


def test_a_process_that_was_replaced_and_is_stopped_stops_its_gateways(tmp_path, monkeypatch):
    children = FakeChildren()
    rig = Rig(tmp_path, monkeypatch, children=children)
    rig.runner.start()
    rig.hand_over()
    rig.runner.leave(77)
    ensureDeferred(rig.runner.stop())
    assert children.stopped
    assert "stop" not in rig.life


def test_a_node_without_work_does_not_replace_one_with_gateways(tmp_path, monkeypatch):
    former = Former()
    monkeypatch.setattr(Former, "take", lambda _: no_miner())
    rig = Rig(tmp_path, monkeypatch, "--take-over", former=former, children=FakeChildren())
    rig.program.has_work = False
    rig.runner.start()
    for _ in range(int(WORK_TIME / 0.02) + 2):
        rig.clock.advance(0.02)
    assert not former.confirmed
    assert isinstance(rig.failures[0], OperatorError)
    rig.runner.release()


def test_a_gateway_of_a_node_shows_that_it_serves_and_is_replaced_by_the_node_only(tmp_path, monkeypatch, capsys):
    rig = Rig(tmp_path, monkeypatch, "--supervised", "--take-over")
    with logged() as log:
        rig.runner.start()
        assert capsys.readouterr().out == "serving\n"
        rig.runner.replace("SIGUSR2")
    assert log.lines == ["SIGUSR2 received: ignored; send it to the program that started this one"]
    rig.runner.release()
