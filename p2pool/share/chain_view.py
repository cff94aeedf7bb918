"""What generating and checking shares must see of the chain below them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from p2pool.share.share import Share


@dataclass(frozen=True, slots=True)
class Weights:
    """The PPLNS window: weight by payout script, and what belongs to the donation.

    sum(by_script) + donation == total, up to what partial counting rounds away. `by_script` holds no zeros; it
    may be a live view, so use it up before the chain is asked again.
    """

    by_script: Mapping[bytes, int]
    total: int
    donation: int


class ChainView(Protocol):
    """The shares held, by hash. Lengths count shares; a chain ends at its root or at a missing parent."""

    def get(self, share_hash: int) -> Share | None:
        """The share of this hash, or None where it is not held."""

    def height(self, share_hash: int) -> int:
        """The length of the chain that ends in this share. KeyError where it is not held."""

    def is_rooted(self, share_hash: int) -> bool:
        """Whether the chain below goes down to a first share. KeyError where it is not held."""

    def nth_parent(self, share_hash: int, n: int) -> Share | None:
        """The n-th parent (0: the share itself); None where the chain held ends before it."""

    def ancestors(self, share_hash: int | None, count: int) -> Iterator[Share]:
        """The share and its parents, nearest first, at most `count`."""

    def minimum_work(self, share_hash: int, count: int) -> int:
        """The sum of `minimum_attempts` over the share and back, `count` shares."""

    def weights(self, share_hash: int | None, max_shares: int, max_weight: int) -> Weights:
        """Cumulative weights from this share back, over at most `max_shares` shares and `max_weight` of weight;
        the share that would cross the weight limit counts in part."""
