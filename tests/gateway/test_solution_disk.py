"""Solutions on a gateway's disk: what an earlier run left is sent, whatever else is there; a stop waits for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakeredis
import msgspec
import pytest
from twisted.internet.defer import Deferred, TimeoutError, ensureDeferred
from twisted.internet.task import Clock

from p2pool.base.files import write_file
from p2pool.broker.request_queue import Urgency
from p2pool.gateway.messages import SCHEMA, BlockPart, SolutionMessage, pack_message
from p2pool.gateway.names import Names
from p2pool.gateway.solution_sender import SolutionSender
from p2pool.gateway.solution_spool import MAX_SOLUTION, SolutionSpool
from tests.environment import make_environment
from tests.gateway.fake_broker import FakeBroker
from tests.logged import logged

NAMES = Names("simnet")


def solution(number: int) -> SolutionMessage:
    return SolutionMessage(
        network="simnet",
        gateway="g",
        worker="w",
        found=1.0,
        hash=bytes([number]) * 32,
        share=b"share",
        block=None,
        aux=[],
    )


def name_of(number: int) -> str:
    return f"{bytes([number]).hex() * 32}.solution"


class Gateway:
    """The part of a gateway that sends solutions."""

    def __init__(self, directory: Path, **changes: Any) -> None:
        self.broker = FakeBroker(fakeredis.FakeServer())
        self.clock = Clock()
        self.environment = make_environment(self.clock, **changes)
        self.sender = SolutionSender(
            self.environment, self.broker, names=NAMES, spool=SolutionSpool(directory / "solutions")
        )

    def start(self) -> None:
        ensureDeferred(self.sender.start())

    def sent(self) -> list[bytes]:
        return [fields[b"data"] for _, fields in self.broker.client.xrange(NAMES.solutions)]


@pytest.fixture
def left(tmp_path) -> Path:
    """A directory with two solutions of an earlier run."""
    directory = tmp_path / "solutions"
    for number in (1, 2):
        write_file(directory / name_of(number), pack_message(solution(number)))
    return directory


def test_a_file_that_cannot_be_read_holds_up_no_other_solution(tmp_path, left):
    (left / name_of(0)).mkdir()
    with logged() as log:
        gateway = Gateway(tmp_path)
        gateway.start()
    assert sorted(gateway.sent()) == [pack_message(solution(number)) for number in (1, 2)]
    assert (left / name_of(0)).is_dir()
    (line,) = [line for line in log.lines if "cannot read" in line]
    assert line == f"cannot read {left / name_of(0)}: Is a directory; it is left where it is"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (name_of(3), b""),
        (name_of(3), b"\x80"),
        (name_of(3), pack_message(solution(4))),
        (name_of(3), bytes(MAX_SOLUTION + 1)),
        ("01.solution", pack_message(solution(1))),
        ("no hash.solution", pack_message(solution(1))),
    ],
    ids=["empty", "not a solution", "another solution", "too large", "short name", "strange name"],
)
def test_a_corrupt_file_is_quarantined_not_deleted(tmp_path, left, name, content):
    (left / name).write_bytes(content)
    with logged() as log:
        gateway = Gateway(tmp_path)
        gateway.start()
    assert sorted(gateway.sent()) == [pack_message(solution(number)) for number in (1, 2)]
    assert not (left / name).exists()
    assert (left / f"{name}.damaged").read_bytes() == content
    assert [line for line in log.lines if "quarantined" in line and name in line]


def test_a_solution_of_another_version_is_left_for_that_version(tmp_path, left):
    content = msgspec.msgpack.encode({**msgspec.msgpack.decode(pack_message(solution(3))), "schema": SCHEMA + 1})
    (left / name_of(3)).write_bytes(content)
    with logged() as log:
        gateway = Gateway(tmp_path)
        gateway.start()
    assert sorted(gateway.sent()) == [pack_message(solution(number)) for number in (1, 2)]
    assert (left / name_of(3)).read_bytes() == content
    (line,) = [line for line in log.lines if name_of(3) in line]
    assert f"of format {SCHEMA + 1}, not {SCHEMA}" in line
    assert "install the version that wrote it" in line


def test_what_was_solved_now_goes_before_what_an_earlier_run_left(tmp_path, left):
    gateway = Gateway(tmp_path)
    asked: list[Any] = []
    ask = gateway.broker.ask
    gateway.broker.ask = lambda action, urgent=None: asked.append(urgent) or ask(action)  # type: ignore[assignment]
    gateway.start()
    gateway.sender.send(solution(5))
    block = BlockPart(header=bytes(80), coinbase=b"", height=1, subsidy=1, transactions=b"")
    gateway.sender.send(msgspec.structs.replace(solution(6), block=block))
    assert asked == [Urgency.USUAL, Urgency.USUAL, Urgency.SHARE, Urgency.BLOCK]


def test_a_stop_waits_until_solutions_are_on_disk(tmp_path):
    disk: list[tuple[Deferred[None], Any]] = []

    def run_in_thread(action: Any) -> Deferred[Any]:
        done: Deferred[None] = Deferred()
        disk.append((done, action))
        return done.addCallback(lambda _: action())

    gateway = Gateway(tmp_path, run_in_thread=run_in_thread)
    for number in (1, 2, 3):
        gateway.sender.send(solution(number))
    stopped = ensureDeferred(gateway.sender.stop())
    for expected in (1, 2, 3):
        assert not stopped.called
        assert len(disk) == expected
        disk[-1][0].callback(None)
    assert stopped.called
    assert len(list((tmp_path / "solutions").iterdir())) == 3


def test_a_stop_can_be_given_up_if_the_disk_hangs(tmp_path):
    hanging: list[Deferred[Any]] = []

    def hang(action: Any) -> Deferred[Any]:
        hanging.append(Deferred())
        return hanging[-1]

    gateway = Gateway(tmp_path, run_in_thread=hang)
    gateway.sender.send(solution(1))
    stopped = ensureDeferred(gateway.sender.stop()).addTimeout(3, gateway.clock)
    ended: list[Any] = []
    stopped.addErrback(ended.append)
    gateway.clock.advance(3)
    assert ended[0].check(TimeoutError)
    hanging[0].callback(None)


def test_a_stop_does_not_wait_for_a_full_disk(tmp_path):
    async def refuse(action: Any) -> Any:
        raise OSError(28, "No space left on device")

    gateway = Gateway(tmp_path, run_in_thread=refuse)
    gateway.sender.send(solution(1))
    assert ensureDeferred(gateway.sender.stop()).called
