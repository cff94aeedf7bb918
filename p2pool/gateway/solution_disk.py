"""Writes a gateway's solutions to disk in the background, and deletes them; blocks do not wait behind shares."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.errors import reason_of
from p2pool.base.files import quarantine
from p2pool.gateway.solution_spool import LeftFile, SolutionSpool

_log = Logger(namespace="p2pool.gateway")

MAX_WAITING: Final = 10_000
"""Files that wait to be written or deleted while the disk is slow or full; beyond that the oldest stay as they
are."""


class _Lane:
    """What is to be done on the disk, one file after the other. `run` runs an action there, and returns whether it
    succeeded."""

    def __init__(self, spool: SolutionSpool, run: Callable[[Callable[[], Any]], Any]) -> None:
        self._spool = spool
        self._run = run
        self._wanted: OrderedDict[bytes, bytes | None] = OrderedDict()
        """What a file should hold; None if it should be gone. Bound: MAX_WAITING."""
        self._busy = False
        self._waiting: list[Deferred[None]] = []
        """Those who wait until nothing is under way."""

    def put(self, solution_hash: bytes, data: bytes | None) -> None:
        """Replace what a file should hold."""
        self._wanted[solution_hash] = data
        if len(self._wanted) > MAX_WAITING:
            self._wanted.popitem(last=False)
        self.go_on()

    def go_on(self) -> None:
        """Begin with what waits, unless that is under way."""
        if self._wanted and not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._do_all()).addErrback(
                lambda failure: _log.failure("internal error: cannot write solutions", failure)
            )

    async def finished(self) -> None:
        """Wait until all is done, or the disk has refused something."""
        self.go_on()
        if self._busy:
            self._waiting.append(Deferred())
            await self._waiting[-1]

    async def _do_all(self) -> None:
        """Do all that waits; after a failure leave the rest to the next attempt."""
        try:
            while self._wanted:
                solution_hash, data = self._wanted.popitem(last=False)
                if not await self._run(lambda h=solution_hash, d=data: self._act(h, d)):  # type: ignore[misc]
                    self._wanted.setdefault(solution_hash, data)
                    return
        finally:
            self._busy = False
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(None)

    def _act(self, solution_hash: bytes, data: bytes | None) -> None:
        if data is None:
            self._spool.forget(solution_hash)
        else:
            self._spool.keep(solution_hash, data)


class SolutionDisk:
    """The solutions on disk, as the reactor's thread sees them. What is forgotten before it was written is never
    written."""

    def __init__(self, environment: Environment, spool: SolutionSpool) -> None:
        self.problem: str | None = None
        """Why the newest solution could not be written; None while all is well."""
        self._environment = environment
        self._spool = spool
        self._shares, self._blocks = _Lane(spool, self._write), _Lane(spool, self._write)

    def keep(self, solution_hash: bytes, data: bytes, *, is_block: bool) -> None:
        """Write a solution to disk soon."""
        (self._blocks if is_block else self._shares).put(solution_hash, data)

    def forget(self, solution_hash: bytes, *, is_block: bool) -> None:
        """Delete a solution from the disk soon."""
        (self._blocks if is_block else self._shares).put(solution_hash, None)

    def try_again(self) -> None:
        """Go on with what a disk did not take that may have room again."""
        self._shares.go_on()
        self._blocks.go_on()

    async def finished(self) -> None:
        """Wait until all solutions are on disk that the disk takes, blocks first."""
        await self._blocks.finished()
        await self._shares.finished()

    async def load(self, most: int) -> list[LeftFile]:
        """Return what an earlier run left, the oldest first, at most so many."""
        found: list[LeftFile] = []
        await self._run(lambda: found.extend(self._spool.load(most)), "read the solutions on disk")
        return found

    async def quarantine(self, path: Path) -> None:
        """Rename a file that holds no solution."""
        await self._run(lambda: quarantine(path), f"rename {path}")

    async def _write(self, action: Callable[[], Any]) -> bool:
        """Write or delete a file in a thread. Return whether that succeeded; a failure is logged once."""
        try:
            await self._environment.run_in_thread(action)
        except OSError as error:
            problem = reason_of(error)
            if problem != self.problem:
                _log.error(
                    "cannot write solutions to disk: {problem}; they are lost if this gateway stops before the "
                    "node has them",
                    problem=problem,
                )
            self.problem = problem
            return False
        self.problem = None
        return True

    async def _run(self, action: Callable[[], Any], what: str) -> None:
        """Do something else on the disk in a thread; a failure is logged."""
        try:
            await self._environment.run_in_thread(action)
        except OSError as error:
            _log.error("cannot {what}: {problem}", what=what, problem=reason_of(error))
