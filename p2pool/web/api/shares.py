"""One share of the chain, for people: /web/share/<hash>."""

from __future__ import annotations

from typing import Any

from p2pool.dash.hashes import sha256d
from p2pool.dash.merkle import walk_branch
from p2pool.node import Node
from p2pool.share.errors import ShareInvalid
from p2pool.sharechain.figures import stale_name
from p2pool.web.sources import script_to_text


def _hash(value: int | None) -> str | None:
    return None if value is None else f"{value:064x}"


def share_details(node: Node, share_hash: int) -> dict[str, Any] | None:
    """/web/share/<hash>; None where the share is not held. Targets are numbers, as front ends expect."""
    tracker = node.tracker
    share = tracker.get(share_hash)
    if share is None:
        return None
    arrival = tracker.arrival(share_hash)
    children = tracker.forest.nodes[share_hash].children
    try:
        rebuilt = tracker.rebuild(share)
    except ShareInvalid:
        rebuilt = None
    if rebuilt is not None and sha256d(rebuilt.gentx) != share.gentx_hash:
        rebuilt = None  # the chain held is too short to tell
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
