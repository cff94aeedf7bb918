"""One found block on its way: what the submission of blocks knows of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred, succeed

from p2pool.dashd.daemon import Place
from p2pool.dashd.found_block import FoundBlock

HELD = frozenset({"duplicate", "inconclusive"})
"""dashd holds the block; whether in its best chain, it does not say with this."""


class BlockDaemon(Protocol):
    """A daemon that takes blocks and says where they lie: see daemon.Daemon."""

    @property
    def name(self) -> str: ...

    @property
    def height(self) -> int: ...

    async def submit_block(self, data: bytes) -> str | None: ...

    async def place(self, block_hash: int) -> Place | None: ...

    async def block_at(self, height: int) -> int | None: ...


class Delivery:
    """One block on its way."""

    def __init__(self, block: FoundBlock) -> None:
        self.block = block
        self.answers: dict[BlockDaemon, str | None] = {}
        """None: accepted, else what the daemon said."""
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
        self.set_aside = False
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
        nobody = not self._settled and HELD.isdisjoint(answer or "" for answer in self.answers.values())
        return nobody and any(daemon not in self.answers and daemon not in self.failed for daemon in daemons)

    def wake(self) -> None:
        """Something happened that may settle it."""
        self.woken = True
        news, self.news = self.news, None
        if news is not None:
            news.callback(None)

    def refused_by(self, daemon: BlockDaemon) -> bool:
        """Whether the daemon's answer is final."""
        answer = self.answers.get(daemon)
        return answer is not None and answer not in HELD
