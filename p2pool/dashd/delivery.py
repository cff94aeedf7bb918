"""The delivery of one found block into the chain: its state, and what daemons answered. `submission` drives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.python.failure import Failure

from p2pool.base.environment import IReactor
from p2pool.base.ordered_set import OrderedSet
from p2pool.dashd.answers import Verdict
from p2pool.dashd.daemon import BlockPosition
from p2pool.dashd.found_block import FoundBlock


class BlockDaemon(Protocol):
    """What the delivery of blocks needs of a `daemon.Daemon`."""

    @property
    def name(self) -> str: ...

    @property
    def height(self) -> int: ...

    async def submit_block(self, data: bytes) -> str | None: ...

    async def block_position(self, block_hash: int) -> BlockPosition | None: ...

    async def block_at(self, height: int) -> int | None: ...


@dataclass(frozen=True, slots=True)
class SubmissionAnswer:
    """What a daemon answered to a block, and what that means: ACCEPTED, CHECK or REFUSED."""

    verdict: Verdict
    text: str


class DeliveryState(Enum):
    """How far a block is on its way into the chain.

    FOUND ----------> SENT ---------> SETTLED
      |                |                 |
      +-------+--------+-----------------+
              v
          POSTPONED
    """

    FOUND = "found"
    """It is being written to disk, and has not been sent in this run."""
    SENT = "sent"
    """It was sent on all channels; its fate is open."""
    SETTLED = "settled"
    """The chain has it, all daemons refused it, or another block of its height is buried: only its file is
    left."""
    POSTPONED = "postponed"
    """Too many others were found since: it stays on disk for the next start."""


class BlockDelivery:
    """The delivery of one block: its state, and what each daemon answered."""

    def __init__(self, block: FoundBlock) -> None:
        self.block = block
        self.state = DeliveryState.FOUND
        self.answers: dict[BlockDaemon, SubmissionAnswer] = {}
        """The newest answer of each daemon that need not be asked again."""
        self.unclear: dict[BlockDaemon, str] = {}
        """The first answer without a verdict of each daemon that has not given another one."""
        self.asking: OrderedSet[BlockDaemon] = OrderedSet()
        self.failed: OrderedSet[BlockDaemon] = OrderedSet()
        """Daemons that did not answer at least once."""
        self.on_disk = False
        self.written: Deferred[None] = Deferred()
        """Fires when its file would outlive the process, or cannot be written."""
        self.writing: Deferred[None] = succeed(None)
        """The newest attempt to put it on the disk."""
        self.offered_until = float("inf")
        """When daemons that do not answer are no longer asked, in seconds of the reactor."""
        self.complained = False
        self.change: Deferred[None] | None = None
        """Fires when something happens that may settle it; None while nobody waits for that."""
        self.changed = False
        """Whether something happened since that was last waited for."""

    def is_over(self) -> bool:
        """Return whether this run has nothing more to do for the block."""
        return self.state in (DeliveryState.SETTLED, DeliveryState.POSTPONED)

    def is_written(self) -> None:
        """Note that its file would outlive the process, or that there will be none."""
        if not self.written.called:
            self.written.callback(None)

    def sent(self) -> None:
        """Note that it was sent on all channels."""
        if self.state is DeliveryState.FOUND:
            self.state = DeliveryState.SENT

    def settle(self, offered_until: float) -> None:
        """Note that what became of it is known; daemons that do not answer are asked until then all the same."""
        self.state, self.offered_until = DeliveryState.SETTLED, offered_until

    def postpone(self, now: float) -> None:
        """Leave it to the next start."""
        self.state, self.offered_until = DeliveryState.POSTPONED, now
        self.wake()

    def is_on_its_way(self, daemons: Sequence[BlockDaemon]) -> bool:
        """Return whether no daemon has it, and one that has not failed yet may take it."""
        nobody = not self.is_over() and all(self.refused_by(daemon) for daemon in self.answers)
        return nobody and any(daemon not in self.answers and daemon not in self.failed for daemon in daemons)

    def wake(self) -> None:
        """Note that something happened that may settle it."""
        self.changed = True
        change, self.change = self.change, None
        if change is not None:
            change.callback(None)

    async def wait_for_change(self, reactor: IReactor, at_most: float) -> bool:
        """Wait until a daemon answered, but not longer than so many seconds. Return whether one did."""
        answered = True
        if not self.changed:
            change: Deferred[None] = Deferred()
            self.change = change
            late = reactor.callLater(at_most, self.wake)
            try:
                await change
                answered = late.active()
            finally:
                self.change = None
                if late.active():
                    late.cancel()
        self.changed = False
        return answered

    def answered(self, daemon: BlockDaemon, answer: SubmissionAnswer) -> SubmissionAnswer:
        """Keep an answer and return it, joined with an earlier one without a verdict if that says more."""
        before = self.unclear.pop(daemon, None)
        if before is not None and answer.verdict is Verdict.REFUSED:
            answer = SubmissionAnswer(answer.verdict, f"{before}, then {answer.text}")
        self.answers[daemon] = answer
        return answer

    def refused_by(self, daemon: BlockDaemon) -> bool:
        """Return whether the daemon refused it for good."""
        answer = self.answers.get(daemon)
        return answer is not None and answer.verdict is Verdict.REFUSED

    def is_known_valid_by(self, daemon: BlockDaemon) -> bool:
        """Return whether the daemon does not object to the block: if it does, it may know the header alone."""
        return not self.refused_by(daemon) and daemon not in self.unclear

    def objections(self) -> dict[BlockDaemon, str]:
        """Return what daemons object to in the block, refusals first."""
        refusals = {daemon: answer.text for daemon, answer in self.answers.items() if self.refused_by(daemon)}
        return refusals | self.unclear


async def wait_at_most(reactor: IReactor, done: Deferred[None], seconds: float) -> None:
    """Wait until something is done, for at most so many seconds."""
    either: Deferred[None] = Deferred()
    late = reactor.callLater(seconds, either.callback, None)

    def ended(result: Any) -> Any:
        if late.active():
            late.cancel()
            either.callback(None)
        return result

    done.addBoth(ended)
    try:
        await either
    finally:
        if late.active():
            late.cancel()


async def block_positions(daemons: Sequence[BlockDaemon], block_hash: int) -> dict[BlockDaemon, BlockPosition]:
    """Return the position of a block at each daemon that answers."""
    asked = [Deferred.fromCoroutine(daemon.block_position(block_hash)) for daemon in daemons]
    answers: Sequence[tuple[bool, Any]] = await DeferredList(asked, consumeErrors=True)
    if any(isinstance(answer, Failure) and answer.check(CancelledError) for _, answer in answers):
        raise CancelledError  # a list does not fail if it is cancelled: the node would not stop
    return {
        daemon: position
        for daemon, (_, position) in zip(daemons, answers, strict=True)
        if isinstance(position, BlockPosition)
    }
