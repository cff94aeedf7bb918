"""A gateway's solutions on a disk that takes its time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed

from p2pool.gateway.solution_disk import SolutionDisk
from p2pool.gateway.solution_spool import SolutionSpool
from tests.environment import make_environment

SHARE, BLOCK = bytes(32), bytes([1]) * 32


class SlowDisk:
    """A disk that does what it is asked when the test says so."""

    def __init__(self, directory: Path) -> None:
        self.asked: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        environment = make_environment(run_in_thread=self._ask)
        self.disk = SolutionDisk(environment, SolutionSpool(directory))

    def _ask(self, action: Callable[[], Any]) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        self.asked.append((action, answer))
        return answer

    def work(self, result: Callable[[], Deferred[Any]] = lambda: succeed(None)) -> None:
        """Do all that was asked."""
        asked, self.asked = self.asked, []
        for action, answer in asked:
            action()
            result().chainDeferred(answer)

    def wait(self) -> list[object]:
        """Return what is filled when all is written."""
        done: list[object] = []
        ensureDeferred(self.disk.written()).addCallback(done.append)
        return done


def test_written_waits_for_shares_and_blocks(tmp_path):
    slow = SlowDisk(tmp_path)
    slow.disk.keep(SHARE, b"a", is_block=False)
    slow.disk.keep(BLOCK, b"b", is_block=True)
    done = slow.wait()
    assert done == []
    slow.work()
    assert done == [None]
    assert len(list(tmp_path.glob("*.solution"))) == 2


def test_nothing_to_write_is_not_waited_for(tmp_path):
    assert SlowDisk(tmp_path).wait() == [None]


def test_a_disk_that_takes_nothing_is_not_waited_for(tmp_path):
    slow = SlowDisk(tmp_path)
    slow.disk.keep(SHARE, b"a", is_block=False)
    done = slow.wait()
    slow.work(lambda: fail(OSError(28, "No space left on device")))
    assert done == [None]
    assert slow.disk.problem is not None
