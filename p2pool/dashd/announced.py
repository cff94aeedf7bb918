"""The height of the chain, as other nodes prove it with headers: it shows when this node's own daemons have fallen
behind."""

from __future__ import annotations

from collections.abc import Sequence

from p2pool.base.bounded import BoundedDict
from p2pool.base.errors import ParseError
from p2pool.dash.block import BlockHeader
from p2pool.dash.hashes import hash_hex
from p2pool.dash.target import bits_to_target

MAX_BLOCKS = 1000
MAX_HEADERS = 50
"""Headers of one message that are hashed: a millisecond."""
EASIER = 4
"""By how much a block may be easier than the newest template: difficulty follows the hash rate, slowly."""


class AnnouncedChain:
    """Heights of recent blocks: those that templates build on, and those that headers with enough work add to
    them.

    A claim without proof of work changes nothing here, so nobody can make a daemon look stuck for free. What is
    proved is work alone: the block may be invalid or withheld, so the pool believes it only if its own daemon has
    had no block for long.
    """

    def __init__(self) -> None:
        self._heights: BoundedDict[int, int] = BoundedDict(MAX_BLOCKS)
        self._target = 0
        self.height = 0
        """The highest that headers proved and no daemon has reached yet; 0 for none."""

    def learn(self, block_hash: int, height: int, next_target: int) -> None:
        """Record the block that a daemon's template builds on; `next_target` is that of the next one."""
        self._heights[block_hash] = height
        self._target = next_target
        if height >= self.height:
            self.height = 0  # what daemons leave after that (a reorganisation, invalidateblock) is their choice

    def headers(self, headers: Sequence[BlockHeader]) -> int | None:
        """Take headers that somebody sent, oldest first. Return the hash of the newest block that was not known
        before. A header on an unknown block, or one that is much easier than it should be, proves nothing (a test
        network has easy blocks now and then). Raises ParseError if a header does not have the work that it
        claims."""
        newest = None
        for header in headers[:MAX_HEADERS]:
            parent, target = self._heights.get(header.previous_block), bits_to_target(header.bits)
            if parent is None or target > EASIER * self._target:
                break
            block_hash = header.hash()
            if block_hash > target:
                raise ParseError(f"the header of block {hash_hex(block_hash)} has too little work")
            if block_hash not in self._heights:
                self._heights[block_hash] = parent + 1
                self.height = max(self.height, parent + 1)
                newest = block_hash
        return newest

    def knows(self, block_hash: int) -> bool:
        """Return whether the block's height is known."""
        return block_hash in self._heights
