"""How high the chain is, as others prove with headers: what shows that our own daemons have fallen behind."""

from __future__ import annotations

from collections.abc import Sequence

from p2pool.base.bounded import BoundedDict
from p2pool.base.errors import ParseError
from p2pool.dash.block import BlockHeader
from p2pool.dash.target import bits_to_target

MAX_BLOCKS = 1000
MAX_HEADERS = 50
"""Headers of one message that are hashed: a millisecond."""
EASIER = 4
"""By how much a block may be easier than the newest template: difficulty follows the hash rate, slowly."""


class AnnouncedChain:
    """Heights of recent blocks: those that templates stand on, and those that headers with enough work add to
    them.

    A claim without proof of work changes nothing here, so nobody can make a daemon look stuck for free.
    """

    def __init__(self) -> None:
        self._heights: BoundedDict[int, int] = BoundedDict(MAX_BLOCKS)
        self._target = 0
        self.height = 0
        """The highest that headers proved."""

    def learn(self, block_hash: int, height: int, next_target: int) -> None:
        """A daemon's template stands on this block; `next_target` is that of the next one."""
        self._heights[block_hash] = height
        self._target = next_target

    def headers(self, headers: Sequence[BlockHeader]) -> int | None:
        """Headers that somebody sent, oldest first; the hash of the newest block that was not known before. Raises
        ParseError where one on a known block has too little work."""
        newest = None
        for header in headers[:MAX_HEADERS]:
            parent = self._heights.get(header.previous_block)
            if parent is None:
                break
            block_hash, target = header.hash(), bits_to_target(header.bits)
            if block_hash > target or target > EASIER * self._target:
                raise ParseError(f"the header of block {block_hash:064x} has too little work")
            if block_hash not in self._heights:
                self._heights[block_hash] = parent + 1
                self.height = max(self.height, parent + 1)
                newest = block_hash
        return newest

    def knows(self, block_hash: int) -> bool:
        """Whether the block's height is known."""
        return block_hash in self._heights
