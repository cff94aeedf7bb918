"""Catching up with a peer's chain: what to ask for next. Pure; one for each connection, called by `p2p`."""

from __future__ import annotations

from p2pool.dash import messages
from p2pool.dash.block import BlockHeader
from p2pool.dash.messages import INVENTORY_BLOCK, InventoryItem
from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.index import ChainBlock

PORTION = 50
"""Headers that are handled, and blocks that are requested, at a time: one X11 a header."""
_DENSE = 10
"""The newest blocks that a locator names one by one; older ones are named ever more rarely."""
_PREVIOUS_MISSING = "prev-blk-not-found"


def locator(chain: SimulatedChain) -> tuple[int, ...]:
    """Return hashes of the best chain, newest first, the genesis last: by them a peer finds the last common
    block."""
    hashes: list[int] = []
    block: ChainBlock | None = chain.tip
    step = 1
    while block is not None:
        hashes.append(block.hash)
        if block.height == 0:
            break
        if len(hashes) >= _DENSE:
            step *= 2
        block = chain.active.at(max(0, block.height - step))
    return tuple(hashes)


class BlockDownload:
    """Asks for headers, then for the blocks that are new, a portion at a time, until there is nothing new."""

    def __init__(self, chain: SimulatedChain) -> None:
        self._chain = chain
        self._missing: set[int] = set()  # at most PORTION
        self._last: int | None = None
        """The last header that was handled, if there may be more behind it."""
        self._searched_for_previous = False
        """Whether the last search for a missing previous block led to no block: the peer is on another chain."""

    def ask(self) -> messages.GetHeaders:
        """Return the question that begins it, at any time; what was under way is forgotten."""
        self._missing.clear()
        self._last = None
        return self._headers_after(())

    def headers(self, headers: tuple[BlockHeader, ...]) -> tuple[list[ChainBlock], messages.Message | None]:
        """Take headers. Return the blocks among those handled that are here already, and what to ask next."""
        hashes = [header.hash() for header in headers[:PORTION]]
        found = {hash_: self._chain.find(hash_) for hash_ in hashes}
        known = [block for block in found.values() if block is not None]
        self._last = hashes[-1] if len(headers) > PORTION else None
        self._missing = {hash_ for hash_, block in found.items() if block is None}
        if self._missing:
            wanted = (InventoryItem(INVENTORY_BLOCK, hash_) for hash_ in hashes if hash_ in self._missing)
            return known, messages.GetData(tuple(wanted))
        return known, self._next()

    def block(self, hash_: int, outcome: str | None) -> messages.Message | None:
        """Return a block came, and `outcome` is the chain's verdict: what to ask next."""
        self._missing.discard(hash_)
        if self._chain.find(hash_) is not None:
            self._searched_for_previous = False
        elif outcome == _PREVIOUS_MISSING and not self._searched_for_previous:
            question = self.ask()
            self._searched_for_previous = True
            return question
        return None if self._missing else self._next()

    def _next(self) -> messages.Message | None:
        last, self._last = self._last, None
        # A block that did not enter the chain (it is invalid, or the chain takes none) ends it.
        return None if last is None or self._chain.find(last) is None else self._headers_after((last,))

    def _headers_after(self, first: tuple[int, ...]) -> messages.GetHeaders:
        return messages.GetHeaders(messages.PROTOCOL_VERSION, first + locator(self._chain), 0)
