"""Found blocks without sockets: daemons that answer what a test wants, a disk that may hang or be full."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from p2pool.dashd.block_store import BlockStore
from p2pool.dashd.daemon import BlockPosition
from p2pool.dashd.found_block import FoundBlock
from p2pool.dashd.rpc import RpcUnavailable
from p2pool.dashd.spool import BlockSpool
from p2pool.dashd.submission import PARTING, BlockSubmitter
from p2pool.pool_stats import BlockRecord
from tests.environment import make_environment

DOWN = RpcUnavailable("connection refused")
HASH, DATA = 0xABC, bytes.fromhex("00ff10")
BLOCK = FoundBlock(HASH, 7, DATA, "me.rig", HASH, 500)
UNKNOWN = BlockPosition(0, False)


class FakeDaemon:
    """Answers to blocks in turn; the last answer stays. An exception is raised, a Deferred waited for. It says of
    a block what `positions` holds, by default that it does not know it."""

    def __init__(self, clock: Clock, name: str, *answers: Any) -> None:
        self.name = name
        self.height = 6
        self.clock = clock
        self.answers = list(answers)
        self.positions: dict[int, Any] = {}
        self.chain: dict[int, Any] = {}
        """Block hashes of the best chain by height."""
        self.asked: list[float] = []
        self.data: list[bytes] = []
        self.polled = 0

    async def submit_block(self, data: bytes) -> str | None:
        self.asked.append(self.clock.seconds())
        self.data.append(data)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return await answer if isinstance(answer, Deferred) else answer

    async def block_position(self, block_hash: int) -> BlockPosition | None:
        self.polled += 1
        position = self.positions.get(block_hash, UNKNOWN)
        return await position if isinstance(position, Deferred) else position

    async def block_at(self, height: int) -> int | None:
        answer: Any = self.chain.get(height)
        if isinstance(answer, Exception):
            raise answer
        return await answer if isinstance(answer, Deferred) else answer


class FakeLink:
    """Takes blocks while it is up."""

    def __init__(self) -> None:
        self.up = True
        self.sent: list[bytes] = []

    def send_block(self, data: bytes) -> int:
        self.sent += [data] if self.up else []
        return int(self.up)


class Disk:
    """Runs what is to run in a thread: at once, or when the test says so, or with an error."""

    def __init__(self) -> None:
        self.hangs = False
        self.error: OSError | None = None
        self.waiting: list[tuple[Any, Deferred[Any]]] = []

    def run(self, function: Any) -> Deferred[Any]:
        if self.hangs:
            self.waiting.append((function, Deferred()))
            return self.waiting[-1][1]
        try:
            if self.error is not None:
                raise self.error
            return succeed(function())
        except Exception:
            return fail(Failure())

    def do_one(self) -> None:
        """Run what has waited longest, and hang on."""
        function, done = self.waiting.pop(0)
        done.callback(function())

    def go_on(self) -> None:
        self.hangs, waiting, self.waiting = False, self.waiting, []
        for function, done in waiting:
            done.callback(function())


class Offers:
    """A submitter over a few daemons, each with its answers."""

    def __init__(self, directory: Path, *daemons: Sequence[Any]) -> None:
        self.clock, self.disk, self.link = Clock(), Disk(), FakeLink()
        self.daemons = [FakeDaemon(self.clock, f"d{n}", *answers) for n, answers in enumerate(daemons)]
        self.directory = directory / "blocks"
        self.path = self.directory / f"{HASH:064x}.hex"
        self.pending = self.directory / f"7-{HASH:064x}.pending"
        self.spool = BlockSpool(self.directory, self.disk.run)
        self.store = BlockStore(directory / "blocks.json", self.disk.run)
        self.sent_after: list[float] = []
        self.submitter = BlockSubmitter(
            make_environment(self.clock, clock=lambda: 1e9 + self.clock.seconds()),
            daemons=self.daemons,
            links=[self.link],
            spool=self.spool,
            store=self.store,
            record_sent=self.sent_after.append,
        )

    @property
    def daemon(self) -> FakeDaemon:
        """The first one."""
        return self.daemons[0]

    def offer(self, block: FoundBlock = BLOCK) -> Offers:
        self.submitter.offer(block)
        return self

    def resume(self) -> Offers:
        assert Deferred.fromCoroutine(self.submitter.resume()).called
        return self

    def stop(self) -> Offers:
        stopped = Deferred.fromCoroutine(self.submitter.stop())
        if not stopped.called:
            self.wait(PARTING + 0.25)
        assert stopped.called
        return self

    def wait(self, seconds: float, step: float = 0.25) -> Offers:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
        return self

    @property
    def record(self) -> BlockRecord:
        return self.store.records[HASH]

    @property
    def status(self) -> tuple[str, str]:
        return self.record.status.value, self.record.reason

    @property
    def kept(self) -> bytes | None:
        return self.path.read_bytes() if self.path.exists() else None

    @property
    def waiting(self) -> bytes | None:
        return self.pending.read_bytes() if self.pending.exists() else None

    @property
    def ended(self) -> bool:
        return not self.submitter._tasks and not self.submitter.waiting and not self.clock.getDelayedCalls()
