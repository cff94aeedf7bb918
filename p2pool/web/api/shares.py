"""One share of the chain, for people: /web/share/<hash>."""

from __future__ import annotations

from typing import Any

from p2pool.base.bounded import BoundedDict
from p2pool.dash.hashes import sha256d
from p2pool.dash.merkle import walk_branch
from p2pool.node import Node
from p2pool.share.check import RebuiltShare
from p2pool.share.errors import ShareInvalid
from p2pool.share.share import Share
from p2pool.sharechain.figures import stale_name
from p2pool.sharechain.tracker import Tracker
from p2pool.web.sources import script_to_text

_KEPT_REBUILDS = 16
"""What the shares that people look at just now need: pages ask again every few seconds."""


class Rebuilds:
    """The coinbases and transactions of the last few shares asked for, each rebuilt once.

    What a share's block is made of follows from its hash and never changes. That it cannot be told holds for as
    long as the chain held below it is the same: as long as its height is.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._known: BoundedDict[int, tuple[int, RebuiltShare | None]] = BoundedDict(_KEPT_REBUILDS)
        """By share hash: (height of the chain held, what came out)."""

    def of(self, share: Share) -> RebuiltShare | None:
        """For a share that is held; None where the chain held does not tell."""
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
        # Another coinbase than was hashed: the chain held is too short to tell.
        return rebuilt if sha256d(rebuilt.gentx) == share.gentx_hash else None


def _hash(value: int | None) -> str | None:
    return None if value is None else f"{value:064x}"


def share_details(node: Node, share_hash: int, rebuilds: Rebuilds) -> dict[str, Any] | None:
    """/web/share/<hash>; None where the share is not held. Targets are numbers, as front ends expect."""
    tracker = node.tracker
    share = tracker.get(share_hash)
    if share is None:
        return None
    arrival = tracker.arrival(share_hash)
    children = tracker.forest.nodes[share_hash].children
    rebuilt = rebuilds.of(share)
    root = walk_branch(share.gentx_hash, share.merkle_link)
    return {
        "hash": _hash(share_hash),
        "parent": _hash(share.previous_hash),
        "far_parent": _hash(share.far_share_hash),
        "children": [_hash(c.share.hash) for c in sorted(children, key=lambda c: -len(c.children))],
        "type_name": "Share",
        "local": {
            "verified": share_hash in tracker.verified,
            "time_first_seen": arrival.time_seen,
            "peer_first_received_from": arrival.sender,
        },
        "share_data": {
            "timestamp": share.timestamp,
            "target": share.target,
            "max_target": share.max_target,
            "payout_address": script_to_text(node, share.script),
            "donation": share.donation / 65535,
            "stale_info": stale_name(share.stale_info),
            "nonce": share.share_nonce,
            "desired_version": share.desired_version,
            "absheight": share.absheight,
            "abswork": share.abswork,
        },
        "block": {
            "hash": _hash(share_hash),
            "is_block": share.is_block,
            "header": {
                "version": share.header_version,
                "previous_block": _hash(share.previous_block),
                "merkle_root": root[::-1].hex(),
                "timestamp": share.header_timestamp,
                "target": share.block_target,
                "nonce": share.header_nonce,
            },
            "gentx": {
                "hash": share.gentx_hash[::-1].hex(),
                "raw": None if rebuilt is None else rebuilt.gentx.hex(),
                "coinbase": share.coinbase.hex(),
                "value": share.subsidy * 1e-8,
                "last_txout_nonce": share.last_txout_nonce[::-1].hex(),
            },
            "other_transaction_hashes": []
            if rebuilt is None
            else [_hash(h) for h in rebuilt.other_transaction_hashes],
        },
    }
