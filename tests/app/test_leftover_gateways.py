"""Directories of gateways that the node no longer starts: what is in them is sent, and nobody is disturbed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from p2pool.app.data_directory import DataDirectory
from p2pool.app.leftover_gateways import DISMISSAL_TIME, collect_leftovers, dismiss, warn_of_leftovers
from p2pool.app.take_over import NO_FORM, SOCKET_NAME, refusal_of
from p2pool.base.handover_socket import HandoverSocket, listen
from tests.environment import make_environment
from tests.logged import logged

HASH = "ab" * 32


def leave(directory: Path, number: int, name: str = f"{HASH}.solution", data: bytes = b"solved") -> Path:
    """Put a file of a gateway where an earlier run left it."""
    path = directory / "gateways" / str(number) / "simnet" / "solutions" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


class Machine:
    """A node's directory, and time that the test moves."""

    def __init__(self, directory: Path, count: int = 2) -> None:
        self.directory = directory
        self.clock = Clock()
        self.environment = make_environment(self.clock)
        self.count = count
        self.done: list[object] = []

    def collect(self) -> None:
        """Start to collect."""
        ensureDeferred(
            collect_leftovers(self.environment, self.directory, network="simnet", count=self.count)
        ).addCallback(self.done.append)

    def solutions(self, number: int) -> dict[str, bytes]:
        """The solutions of a gateway."""
        found = (self.directory / "gateways" / str(number) / "simnet" / "solutions").glob("*")
        return {path.name: path.read_bytes() for path in found}


def test_the_first_gateway_gets_what_others_left(tmp_path):
    leave(tmp_path, 3)
    leave(tmp_path, 12, name=f"{'cd' * 32}.solution", data=b"another")
    machine = Machine(tmp_path)
    with logged() as log:
        machine.collect()
    assert machine.done == [None]
    assert machine.solutions(1) == {f"{HASH}.solution": b"solved", f"{'cd' * 32}.solution": b"another"}
    assert machine.solutions(3) == machine.solutions(12) == {}
    assert log.lines == [
        "gateway 1 sends 1 solutions that gateway 3 left",
        "gateway 1 sends 1 solutions that gateway 12 left",
    ]


def test_gateways_that_are_started_and_other_files_are_left_alone(tmp_path):
    leave(tmp_path, 2)
    leave(tmp_path, 3, name=f"{HASH}.solution.new")
    leave(tmp_path, 3, name=f"{HASH}.solution.damaged")
    (tmp_path / "gateways" / "old").mkdir()
    (tmp_path / "gateways" / "4").write_text("not a directory")
    (tmp_path / "gateways" / "5" / "dash").mkdir(parents=True)
    machine = Machine(tmp_path)
    with logged() as log:
        machine.collect()
    assert machine.done == [None]
    assert log.lines == []
    assert len(machine.solutions(2)) == 1
    assert len(machine.solutions(3)) == 2
    assert machine.solutions(1) == {}


def test_without_gateways_of_an_earlier_run_nothing_is_made(tmp_path):
    machine = Machine(tmp_path)
    machine.collect()
    assert machine.done == [None]
    assert list(tmp_path.iterdir()) == []


def test_a_node_without_gateways_says_what_they_left(tmp_path):
    with logged() as log:
        warn_of_leftovers(tmp_path, "simnet")
    assert log.lines == []
    leave(tmp_path, 1)
    leave(tmp_path, 2, name=f"{'cd' * 32}.solution")
    with logged() as log:
        warn_of_leftovers(tmp_path, "simnet")
    assert log.lines == [
        f"2 solutions of gateways that are no longer started are in {tmp_path / 'gateways'}: start the node with "
        "--gateways 1 once to send them"
    ]


def test_a_directory_in_use_is_waited_for(tmp_path):
    used = leave(tmp_path, 3).parents[1]
    machine = Machine(tmp_path)
    lock = DataDirectory(used)
    machine.collect()
    machine.clock.advance(1)
    assert machine.done == []
    assert machine.solutions(1) == {}
    lock.release()
    machine.clock.advance(1)
    assert machine.done == [None]
    assert len(machine.solutions(1)) == 1


def test_a_directory_that_stays_in_use_holds_nothing_up(tmp_path):
    used = leave(tmp_path, 3).parents[1]
    leave(tmp_path, 4, name=f"{'cd' * 32}.solution")
    machine = Machine(tmp_path)
    lock = DataDirectory(used)
    with logged() as log:
        machine.collect()
        machine.clock.pump([0.1] * int(DISMISSAL_TIME * 10 + 2))
    assert machine.done == [None]
    assert f"in use by process {os.getpid()}" in log.lines[0]
    assert "cannot send what gateway 3 left" in log.lines[0]
    assert list(machine.solutions(1)) == [f"{'cd' * 32}.solution"]
    lock.release()


class OldGateway(threading.Thread):
    """A gateway that uses a directory, answers with these messages, and disconnects. None is no answer."""

    def __init__(self, directory: Path, *answers: object) -> None:
        super().__init__(daemon=True)
        self.listening = listen(directory / SOCKET_NAME)
        self.answers = answers
        self.heard: list[object] = []

    def run(self) -> None:
        connection, _ = self.listening.accept()
        self.listening.close()
        end = HandoverSocket(connection)
        end.set_deadline(10)
        try:
            for answer in self.answers:
                if answer == b"state":
                    end.send_bytes(answer)
                    continue
                self.heard.append(end.receive())
                if answer is not None:
                    end.send(answer)
        except OSError:
            pass
        finally:
            end.close()


def test_a_gateway_is_asked_to_end(tmp_path):
    old = OldGateway(tmp_path, {"sockets": 0, "whole": False}, b"state", {"go": True}, None)
    old.start()
    assert dismiss(tmp_path) is True
    old.join(10)
    hello, *rest = old.heard
    assert isinstance(hello, dict)
    assert hello["form"] == NO_FORM
    assert refusal_of(hello) is None
    assert rest == [{"ready": True}, {"serving": True}]


@pytest.mark.parametrize(
    "answers",
    [({"refused": "it is stopping"},), ("nonsense",), (None,), ({"sockets": -1}, b"state"), ({"sockets": 0},)],
)
def test_a_gateway_that_does_not_end_is_left_alone(tmp_path, answers):
    old = OldGateway(tmp_path, *answers)
    old.start()
    assert dismiss(tmp_path) is False
    old.join(10)


def test_a_directory_that_nobody_uses_has_nobody_to_ask(tmp_path):
    assert dismiss(tmp_path) is False
