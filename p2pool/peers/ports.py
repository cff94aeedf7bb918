"""What peers need of the rest of the node. The composition root plugs it in."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from typing import Protocol

from p2pool.dash.block import BlockHeader
from p2pool.share.parsing import PackedContents, ParsedShare
from p2pool.share.share import Share


class PoolPort(Protocol):
    """The share chain, as peers see it."""

    def best_share_hash(self) -> int | None:
        """Return the hash of the share that this node works on."""

    def shown_share_hash(self) -> int | None:
        """Return the newest share of the best chain that others may hear of: with those below it, it is on disk if
        it must be."""
        return self.best_share_hash()

    def has_share(self, share_hash: int) -> bool:
        """Return whether a share is held, or is known to be refused: nobody has to send it."""

    def chain_part(self, share_hash: int, count: int) -> Sequence[Share]:
        """Return a share and its ancestors, nearest first, at most `count`; nothing if it is not held."""

    def request_stops(self, maximum: int) -> tuple[int, ...]:
        """Return the shares at which an answer to a request may end: the heads held, and those 10 behind them."""

    def parse_steps(self, packed: Sequence[PackedContents]) -> Generator[None, None, list[ParsedShare]]:
        """Return for each of these contents the share, or why it is none; every yield ends a step."""

    def add_shares(self, shares: Sequence[Share], sender: str, requested: bool = False) -> int:
        """Take shares, `requested` by this node or not; return how many were new."""

    def wanted(self) -> Sequence[int]:
        """Return the missing parent shares, which peers are asked for."""

    def senders_above(self, share_hash: int) -> Collection[str]:
        """Return the labels of the peers that sent, without a request, the shares right above a missing one. One
        that only answers must not be asked again and again: it could send one share at a time."""

    def best_block_heard(self, header: BlockHeader, block_hash: int) -> None:
        """Handle a header that has the work it claims: perhaps a new block of the parent chain."""
