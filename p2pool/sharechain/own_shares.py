"""Shares that miners of this node found: which of them the chain took, and which stale ones it has recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from p2pool.base.bounded import BoundedDict
from p2pool.share.share import STALE_DOA, STALE_NONE, STALE_ORPHAN, Share
from p2pool.sharechain.tracker import Tracker

MAX_OWN_SHARES: Final = 500
_FEW: Final = 32
"""New shares of the chain that are looked at one by one; if there are more, all own shares are looked up."""


@dataclass(frozen=True, slots=True)
class StaleCounts:
    """Own shares of the recent past: all, those not in the best chain, and what of them the chain recorded."""

    total: int
    orphans: int
    dead: int
    orphans_recorded: int
    dead_recorded: int


@dataclass(frozen=True, slots=True)
class _OwnShare:
    """The height of an own share, and whether it was too late when it was found."""

    absheight: int
    dead: bool


class OwnShares:
    """Remembers own shares by their hash. Bound: MAX_OWN_SHARES; the oldest go first."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._shares: BoundedDict[int, _OwnShare] = BoundedDict(MAX_OWN_SHARES)
        self._in_chain: set[int] = set()
        """Those in the chain that ends in `_end`. Bound: those remembered."""
        self._end: int | None = None
        self._end_height = 0
        self.stale_info = STALE_NONE
        """What the next own share announces: a stale one that the chain has not recorded yet."""

    def add(self, share: Share, *, dead: bool = False) -> None:
        """Remember an own share; `dead` if it was too late when it was found."""
        self._shares[share.hash] = _OwnShare(share.absheight, dead)
        if self._end is not None and self._tracker.forest.is_ancestor(share.hash, self._end):
            self._in_chain.add(share.hash)

    def held(self) -> list[int]:
        """Return the hashes of those that the tracker holds, newest first; also those of earlier runs."""
        return [share_hash for share_hash in reversed(self._shares) if share_hash in self._tracker]

    def counts(self, best: int | None) -> StaleCounts:
        """Return what became of them in the chain that ends in the best share."""
        self._follow_chain(best)
        orphans = dead = orphans_recorded = dead_recorded = 0
        for share_hash, own in self._shares.items():
            share = self._tracker.get(share_hash) if share_hash in self._in_chain else None
            if share is not None:
                orphans_recorded += share.stale_info == STALE_ORPHAN
                dead_recorded += share.stale_info == STALE_DOA
            elif own.dead:
                dead += 1
            else:
                orphans += 1
        return StaleCounts(len(self._shares), orphans, dead, orphans_recorded, dead_recorded)

    def _follow_chain(self, best: int | None) -> None:
        """Find out which own shares are in the chain that ends in the best share: looking each up costs
        microseconds, so only what the chain has got is looked at if it has just grown."""
        added = self._added(best)
        if added is None:
            is_ancestor = self._tracker.forest.is_ancestor
            self._in_chain = {each for each in self._shares if best is not None and is_ancestor(each, best)}
        else:
            self._in_chain.update(share_hash for share_hash in added if share_hash in self._shares)
            if len(self._in_chain) > len(self._shares):
                self._in_chain.intersection_update(self._shares)
        self._end = best
        self._end_height = self._tracker.height(best) if best is not None and best in self._tracker else 0

    def _added(self, best: int | None) -> list[int] | None:
        """Return the shares that were put upon the end of the chain, newest first; None if that is not all that
        changed: another branch is best, or the chain has become longer at its old end."""
        if self._end is None or best is None or best not in self._tracker:
            return None
        added: list[int] = []
        for share in self._tracker.ancestors(best, _FEW + 1):
            if share.hash == self._end:
                longer = self._tracker.height(best) - self._end_height
                return added if longer <= len(added) else None
            added.append(share.hash)
        return None

    def follow(self, best: int | None) -> None:
        """Follow a new best share: forget what is too old, and decide what the next own share announces."""
        self._forget_old(best)
        counts = self.counts(best)
        if counts.orphans > counts.orphans_recorded:
            self.stale_info = STALE_ORPHAN
        elif counts.dead > counts.dead_recorded:
            self.stale_info = STALE_DOA
        else:
            self.stale_info = STALE_NONE

    def _forget_old(self, best_hash: int | None) -> None:
        """Forget what lay at the old end of the chain, as the tracker does: it must not pass for stale later, and
        no stale share may outlive the share that announced it."""
        best = None if best_hash is None else self._tracker.get(best_hash)
        if best is None:
            return
        oldest = best.absheight - 2 * self._tracker.network.chain_length
        for share_hash in [h for h, own in self._shares.items() if own.absheight < oldest]:
            del self._shares[share_hash]
