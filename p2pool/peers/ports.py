"""What peers need of the rest of the node. The composition root plugs it in."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from p2pool.dash.block import BlockHeader
from p2pool.share.share import Share, ShareVersion


class PoolPort(Protocol):
    """The share chain, as peers see it."""

    def best_share_hash(self) -> int | None:
        """The share that we work on."""

    def has_share(self, share_hash: int) -> bool:
        """Whether a share is held, or is known to be refused: nobody has to send it."""

    def chain_part(self, share_hash: int, count: int) -> Sequence[Share]:
        """A share and its ancestors, nearest first, at most `count`; nothing if it is not held."""

    def request_stops(self, maximum: int) -> tuple[int, ...]:
        """Shares at which an answer to a request may end: the heads held, and those 10 behind them."""

    def parse_steps(self, version: ShareVersion, contents: bytes) -> Generator[None, None, Share]:
        """Return the share; every yield ends a step. Raises ParseError, ShareInvalid."""

    def add_shares(self, shares: Sequence[Share], sender: str, requested: bool = False) -> int:
        """Take over shares, `requested` by us or not; returns how many were new."""

    def wanted(self) -> Sequence[int]:
        """Missing parent shares, which peers are asked for."""

    def best_block_heard(self, header: BlockHeader, block_hash: int) -> None:
        """A header that has the work it claims: perhaps a new block of the parent chain."""
