"""The tree of known blocks: what is remembered of each, and which of them form the best chain."""

from __future__ import annotations

import bisect

from p2pool.dash.block import BlockHeader
from p2pool.dash.hashes import hash_hex
from p2pool.dash.target import bits_to_target, target_to_average_attempts

_MEDIAN_SPAN = 11


class ChainBlock:
    """A block that passed all checks that need no ledger. About 600 bytes; one for every block ever seen."""

    __slots__ = (
        "failed",
        "hash",
        "header",
        "height",
        "median_time",
        "position",
        "previous",
        "size",
        "transaction_count",
        "unlocked",
        "work",
    )

    def __init__(
        self,
        header: BlockHeader,
        hash_: int,
        previous: ChainBlock | None,
        *,
        size: int,
        transaction_count: int,
    ) -> None:
        self.header = header
        self.hash = hash_
        self.previous = previous
        self.height: int = 0 if previous is None else previous.height + 1
        self.work: int = target_to_average_attempts(bits_to_target(header.bits))
        """Hashes that the chain up to this block stands for."""
        if previous is not None:
            self.work += previous.work
        self.size = size
        self.transaction_count = transaction_count
        self.median_time = self._median_time()
        """Median time of the last 11 blocks, this one included (seconds)."""
        self.unlocked = 0
        """Duffs that left the credit pool in the chain up to this block."""
        self.position = -1
        """Where the store keeps the block; -1 if it does not (the genesis)."""
        self.failed = False
        """Whether the block broke a rule when it was to be connected, or is on top of one that did."""

    @property
    def hash_hex(self) -> str:
        """Return the hash as 64 hex digits in display order."""
        return hash_hex(self.hash)

    def _median_time(self) -> int:
        times: list[int] = []
        block: ChainBlock | None = self
        while block is not None and len(times) < _MEDIAN_SPAN:
            bisect.insort(times, block.header.timestamp)
            block = block.previous
        return times[len(times) // 2]

    def ancestor(self, height: int) -> ChainBlock:
        """Return the block of this branch at `height`. ValueError if `height` is not on it."""
        if not 0 <= height <= self.height:
            raise ValueError(f"no ancestor at height {height} of a block at {self.height}")
        block = self
        while block.height > height:
            if block.previous is None:
                raise ValueError("a branch that does not reach its genesis")
            block = block.previous
        return block


class ActiveChain:
    """The best chain by height. It grows with the chain."""

    __slots__ = ("_blocks",)

    def __init__(self, genesis: ChainBlock) -> None:
        self._blocks = [genesis]

    @property
    def tip(self) -> ChainBlock:
        """Return the newest block of the chain."""
        return self._blocks[-1]

    def __contains__(self, block: object) -> bool:
        return (
            isinstance(block, ChainBlock)
            and block.height < len(self._blocks)
            and self._blocks[block.height] is block
        )

    def at(self, height: int) -> ChainBlock | None:
        """Return the block at a height, None beyond the ends."""
        return self._blocks[height] if 0 <= height < len(self._blocks) else None

    def after(self, block: ChainBlock) -> ChainBlock | None:
        """Return the block that follows one of this chain; None for the tip and for others."""
        return self.at(block.height + 1) if block in self else None

    def fork_point(self, block: ChainBlock) -> ChainBlock:
        """Return the newest block that `block`'s branch has in common with this chain."""
        while block not in self:
            if block.previous is None:
                raise ValueError("two blocks without a common genesis")
            block = block.previous
        return block

    def push(self, block: ChainBlock) -> None:
        """Make `block`, which follows the tip, the tip."""
        if block.previous is not self.tip:
            raise ValueError("a block that does not follow the tip")
        self._blocks.append(block)

    def pop(self) -> ChainBlock:
        """Remove and return the tip."""
        return self._blocks.pop()
