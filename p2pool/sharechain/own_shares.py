"""Shares that miners of this node found: which of them the chain took, and which stale ones it has recorded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

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
        self._shares: dict[int, _OwnShare] = {}
        self._lowest = 0
        """No remembered share has a lower height."""
        self._in_chain: dict[int, int] = {}
        """Those in the chain that ends in `_end`, the lowest first, and the `stale_info` of each. Bound: those
        remembered."""
        self._end: int | None = None
        self._end_height = 0
        self._dead = self._dead_in_chain = 0
        """How many came too late, and how many of these the chain took anyway."""
        self._recorded: Counter[int] = Counter()
        """How many of those in the chain have each `stale_info`."""
        self.stale_info = STALE_NONE
        """What the next own share announces: a stale one that the chain has not recorded yet."""

    def add(self, share: Share, *, dead: bool = False) -> None:
        """Remember an own share; `dead` if it was too late when it was found."""
        if share.hash in self._shares:
            self._forget(share.hash)
        elif len(self._shares) >= MAX_OWN_SHARES:
            self._forget(next(iter(self._shares)))
        self._shares[share.hash] = _OwnShare(share.absheight, dead)
        self._dead += dead
        self._lowest = min(self._lowest, share.absheight)
        if self._end is not None and self._tracker.forest.is_ancestor(share.hash, self._end):
            self._end = None  # it is looked for with all others, since the lowest have to come first

    def _forget(self, share_hash: int) -> None:
        if share_hash in self._in_chain:
            self._leave(share_hash)
        self._dead -= self._shares.pop(share_hash).dead

    def held(self) -> list[int]:
        """Return the hashes of those that the tracker holds, newest first; also those of earlier runs."""
        return [share_hash for share_hash in reversed(self._shares) if share_hash in self._tracker]

    def counts(self, best: int | None) -> StaleCounts:
        """Return what became of them in the chain that ends in the best share."""
        self._follow_chain(best)
        dead = self._dead - self._dead_in_chain
        return StaleCounts(
            total=len(self._shares),
            orphans=len(self._shares) - len(self._in_chain) - dead,
            dead=dead,
            orphans_recorded=self._recorded[STALE_ORPHAN],
            dead_recorded=self._recorded[STALE_DOA],
        )

    def _enter(self, share_hash: int) -> None:
        """Note that an own share is in the chain, above those that are."""
        share = self._tracker.get(share_hash)
        if share is not None:
            self._in_chain[share_hash] = share.stale_info
            self._recorded[share.stale_info] += 1
            self._dead_in_chain += self._shares[share_hash].dead

    def _leave(self, share_hash: int) -> None:
        """Note that an own share is no longer in the chain."""
        self._recorded[self._in_chain.pop(share_hash)] -= 1
        self._dead_in_chain -= self._shares[share_hash].dead

    def _follow_chain(self, best: int | None) -> None:
        """Find out which own shares are in the chain that ends in the best share: looking each up costs
        microseconds, so only what the chain has got is looked at if it has just grown."""
        added = self._added(best)
        if added is None:
            for share_hash in list(self._in_chain):
                self._leave(share_hash)
            is_ancestor = self._tracker.forest.is_ancestor
            found = [each for each in self._shares if best is not None and is_ancestor(each, best)]
            added = sorted(found, key=lambda each: -self._shares[each].absheight)
        for share_hash in reversed(added):
            if share_hash in self._shares:
                self._enter(share_hash)
        while self._in_chain and (lowest := next(iter(self._in_chain))) not in self._tracker:
            self._leave(lowest)  # the chain has lost its old end
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
        if self._lowest >= oldest:
            return
        for share_hash in [h for h, own in self._shares.items() if own.absheight < oldest]:
            self._forget(share_hash)
        self._lowest = min((own.absheight for own in self._shares.values()), default=oldest)
