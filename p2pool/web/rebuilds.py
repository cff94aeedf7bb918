"""The coinbases of shares that are shown, which have to be computed."""

from __future__ import annotations

from p2pool.base.bounded import BoundedDict
from p2pool.dash.hashes import sha256d
from p2pool.share.check import RebuiltShare
from p2pool.share.errors import ShareInvalid
from p2pool.share.share import Share
from p2pool.sharechain.tracker import Tracker

_KEPT_REBUILDS = 16
"""Enough for the shares that are on pages just now: pages ask again every few seconds."""


class Rebuilds:
    """The coinbases and transactions of the last few shares requested, each rebuilt once.

    The block of a share follows from its hash and never changes. That it cannot be rebuilt holds for as long as
    the chain held below it is the same: as long as its height is.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._known: BoundedDict[int, tuple[int, RebuiltShare | None]] = BoundedDict(_KEPT_REBUILDS)
        """By share hash: (height of the chain held, what came out)."""

    def of(self, share: Share) -> RebuiltShare | None:
        """Return the rebuilt block of a share that is held; None if the chain held is too short."""
        height = self._tracker.height(share.hash)
        known = self._known.pop(share.hash, None)
        if known is None or (known[1] is None and known[0] != height):
            known = height, self._rebuild(share)
        self._known[share.hash] = known  # as the newest
        return known[1]

    def _rebuild(self, share: Share) -> RebuiltShare | None:
        try:
            rebuilt = self._tracker.rebuild(share)
        except ShareInvalid:
            return None
        # Another coinbase than was hashed: the chain held is too short.
        return rebuilt if sha256d(rebuilt.gentx) == share.gentx_hash else None
