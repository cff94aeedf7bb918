"""One found block on its way: what the submission of blocks knows of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred, succeed

from p2pool.dashd.answers import Verdict
from p2pool.dashd.daemon import BlockPosition
from p2pool.dashd.found_block import FoundBlock


class BlockDaemon(Protocol):
    """A daemon that takes blocks and says where they lie: see daemon.Daemon."""

    @property
    def name(self) -> str: ...

    @property
    def height(self) -> int: ...

    async def submit_block(self, data: bytes) -> str | None: ...

    async def block_position(self, block_hash: int) -> BlockPosition | None: ...

    async def block_at(self, height: int) -> int | None: ...


@dataclass(frozen=True, slots=True)
class SubmissionAnswer:
    """What a daemon said of a block, and what that means: ACCEPTED, CHECK or REFUSED."""

    verdict: Verdict
    text: str


class BlockDelivery:
    """One block on its way."""

    def __init__(self, block: FoundBlock) -> None:
        self.block = block
        self.answers: dict[BlockDaemon, SubmissionAnswer] = {}
        """The newest answer of each daemon that need not be asked again."""
        self.unclear: dict[BlockDaemon, str] = {}
        """The first answer without a verdict of each daemon that has not given another one."""
        self.asking: set[BlockDaemon] = set()
        self.failed: set[BlockDaemon] = set()
        """Daemons that did not answer at least once."""
        self.kept = False
        self.writing: Deferred[None] = succeed(None)
        """The newest attempt to write it."""
        self._settled = False
        self.offered_until = float("inf")
        """When daemons that do not answer are not asked any more."""
        self.complained = False
        self.postponed = False
        self.news: Deferred[None] | None = None
        self.woken = False
        """Something happened that nobody has looked at yet."""

    def is_settled(self) -> bool:
        """Whether nothing more has to be done."""
        return self._settled

    def settle(self) -> None:
        """Nothing more has to be done."""
        self._settled = True

    def is_on_its_way(self, daemons: Sequence[BlockDaemon]) -> bool:
        """Whether no daemon has it, and one that has not failed yet may take it."""
        nobody = not self._settled and all(self.refused_by(daemon) for daemon in self.answers)
        return nobody and any(daemon not in self.answers and daemon not in self.failed for daemon in daemons)

    def wake(self) -> None:
        """Something happened that may settle it."""
        self.woken = True
        news, self.news = self.news, None
        if news is not None:
            news.callback(None)

    def answered(self, daemon: BlockDaemon, answer: SubmissionAnswer) -> SubmissionAnswer:
        """Keep an answer, and return it: where an earlier one without a verdict says more, with that."""
        before = self.unclear.pop(daemon, None)
        if before is not None and answer.verdict is Verdict.REFUSED:
            answer = SubmissionAnswer(answer.verdict, f"{before}, then {answer.text}")
        self.answers[daemon] = answer
        return answer

    def refused_by(self, daemon: BlockDaemon) -> bool:
        """Whether the daemon refused it for good."""
        answer = self.answers.get(daemon)
        return answer is not None and answer.verdict is Verdict.REFUSED

    def is_known_valid_by(self, daemon: BlockDaemon) -> bool:
        """Whether the daemon has nothing against the block: where it has, it may know no more than its header."""
        return not self.refused_by(daemon) and daemon not in self.unclear

    def objections(self) -> dict[BlockDaemon, str]:
        """What daemons have against the block, refusals first."""
        refusals = {daemon: answer.text for daemon, answer in self.answers.items() if self.refused_by(daemon)}
        return refusals | self.unclear
