"""Forests whose shares are judged beforehand: what the tracker does with verdicts, without a single real share."""

from __future__ import annotations

from dataclasses import dataclass, replace

from p2pool.networks import DASH_REGTEST, Network
from p2pool.share.check import RebuiltShare
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.share import ShareVersion
from p2pool.share.versions import VERSION_16
from p2pool.sharechain.tracker import Thought, Tracker

NOW = 1_700_000_000.0


def network(chain_length: int) -> Network:
    """Regtest's, with another length."""
    return replace(DASH_REGTEST, chain_length=chain_length, real_chain_length=chain_length)


@dataclass(frozen=True, slots=True, eq=False)
class FakeShare:
    """As much of a share as forests, the tracker and pruning look at."""

    hash: int
    previous_hash: int | None
    attempts: int = 1
    timestamp: int = int(NOW)
    contents: bytes = bytes(100)
    previous_block: int = 0
    is_block: bool = False
    transaction_hash_refs: tuple[tuple[int, int], ...] = ()
    new_transaction_hashes: tuple[int, ...] = ()
    script: bytes = b"a"
    donation: int = 0
    version: ShareVersion = VERSION_16

    @property
    def minimum_attempts(self) -> int:
        return 2 * self.attempts


class JudgedTracker(Tracker):
    """A tracker whose check knows the verdict beforehand, and counts how often it was asked."""

    def __init__(self, chain_length: int = 16) -> None:
        super().__init__(network(chain_length))
        self.invalid: set[int] = set()
        self.checked: list[int] = []

    def check(self, share) -> RebuiltShare:
        """Whether it can be checked is not known beforehand."""
        self.checked.append(share.hash)
        if not self.can_check(share):
            raise ShareInvalid(Reason.NOT_CHECKABLE)
        if share.hash in self.invalid:
            raise ShareInvalid(Reason.GENTX)
        return RebuiltShare(b"", ())

    def chain(
        self, count: int, first: int = 1, below: int | None = None, seen: float = NOW, **fields
    ) -> list[int]:
        """Add `count` shares, numbered from `first` on, on top of `below`; each with these fields."""
        hashes = list(range(first, first + count))
        for share_hash in hashes:
            self.add(FakeShare(share_hash, below, **fields), seen)
            below = share_hash
        return hashes

    def trusted(self, count: int, first: int = 1, below: int | None = None, **fields: object) -> list[int]:
        """The same, verified: thinking verifies no further back than it needs."""
        hashes = self.chain(count, first, below, **fields)
        for share_hash in hashes:
            self.trust(share_hash)
        return hashes

    def thought(self, now: float = NOW, **limits: int) -> Thought:
        """Think without knowing blocks or transactions."""
        return self.think(now, block_height=lambda block: -1, transaction_size=lambda transaction: None, **limits)
