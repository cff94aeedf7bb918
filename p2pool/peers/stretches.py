"""Stretches of one long chain that several peers can send at the same time. Pure. Called by `download`.

A request names a share, so a chain can be fetched only from shares whose hashes are known. Each share names,
besides its parent, the share FAR_SHARE_DISTANCE below its parent. So the chain below a missing share falls into
stretches of that length: the hash at which the next one begins is known as soon as one share of the stretch
above is there. What comes before the shares above it is kept here until they are there, as nothing can be
checked before.

A far share's hash is not proven until the chain above is checked. If it is false, nobody has that share, or what
was kept never follows: that costs a request, or room up to the bounds below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from p2pool.base.bounded import BoundedDict
from p2pool.share.rules import FAR_SHARE_DISTANCE
from p2pool.share.share import Share

AHEAD: Final = 6
"""Stretches below the first missing share that are asked for: so many peers share the work."""
MAX_KEPT: Final = 4 * AHEAD
"""Parts of a chain that are kept. Two chains may be fetched at a time, and a stretch may come in two parts."""
MAX_KEPT_BYTES: Final = 16 * 1024 * 1024
"""Of all parts together; a stretch of everyday shares has 70 KB."""
_FAR_SHARES: Final = 256


class Stretch(NamedTuple):
    """Shares to ask for: one and so many parents, ending before `end` if that is known."""

    share_hash: int
    parents: int
    end: int | None


class _End(NamedTuple):
    """A share so many shares below another one; None if the chain has no more shares than that."""

    share_hash: int | None
    distance: int


class Kept(NamedTuple):
    """Shares without those above them, nearest first, and who sent them."""

    shares: Sequence[Share]
    sender: str


class Stretches:
    """What is known and kept of chains below what is missing."""

    def __init__(self) -> None:
        self._ends: BoundedDict[int, _End] = BoundedDict(_FAR_SHARES)
        """A share hash -> a share below it whose hash is known."""
        self._kept: dict[int, Kept] = {}
        """By the hash of the first share. Bound: MAX_KEPT, MAX_KEPT_BYTES."""
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, share_hash: object) -> bool:
        return share_hash in self._kept

    def learn(self, shares: Sequence[Share]) -> None:
        """Take note of what some shares, nearest first, say of those below them."""
        last = shares[-1]
        if last.previous_hash is None:
            return
        end = self._ends.get(shares[0].hash)
        if end is not None and end.distance > len(shares):
            self._ends[last.previous_hash] = end._replace(distance=end.distance - len(shares))
        else:
            self._ends[last.previous_hash] = _End(last.far_share_hash, FAR_SHARE_DISTANCE)

    def keep(self, shares: Sequence[Share], sender: str) -> None:
        """Keep shares, nearest first, until those above them are there; the oldest go if there are too many."""
        self.take(shares[0].hash)
        self._kept[shares[0].hash] = Kept(shares, sender)
        self._bytes += _size(shares)
        while self._bytes > MAX_KEPT_BYTES or len(self._kept) > MAX_KEPT:
            self.take(next(iter(self._kept)))

    def take(self, share_hash: int) -> Kept | None:
        """Return what was kept from a share on, and forget it."""
        kept = self._kept.pop(share_hash, None)
        if kept is not None:
            self._bytes -= _size(kept.shares)
        return kept

    def clear(self) -> None:
        """Forget everything: nothing is missing."""
        self._kept.clear()
        self._bytes = 0

    def below(self, missing: int) -> Iterator[Stretch]:
        """Yield what to ask for from a missing share on, that share first. The last one is a single share: it says
        where the stretch below it ends."""
        start: int | None = missing
        for _ in range(AHEAD):
            while start is not None and (kept := self._kept.get(start)) is not None:
                start = kept.shares[-1].previous_hash
            if start is None:
                return
            end = self._ends.get(start)
            if end is None:
                yield Stretch(start, 0, None)
                return
            yield Stretch(start, end.distance - 1, end.share_hash)
            if end.share_hash is None:
                return
            start = end.share_hash


def _size(shares: Sequence[Share]) -> int:
    return sum(len(share.contents) for share in shares)
