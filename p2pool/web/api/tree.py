"""The share chain with its forks, for drawing: /api/v1/tree."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final

from p2pool.dash.hashes import hash_hex, optional_hash_hex
from p2pool.dash.target import target_to_difficulty
from p2pool.node import Node
from p2pool.sharechain.figures import stale_name
from p2pool.sharechain.forest import ChainEntry
from p2pool.sharechain.found_times import FoundTime
from p2pool.sharechain.newest import newest_shares
from p2pool.web.api.chain import FOUND, MAX_LISTED, TIMESTAMP, found_fields
from p2pool.web.api.endpoint import Arguments, Endpoint, RequestContext, whole_number
from p2pool.web.api.schema import HASH, array, boolean, count, nullable, number, record, text
from p2pool.web.sources import script_to_text

MAX_SHARES: Final = 500
DEFAULT_SHARES: Final = 100


def share_tree(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /api/v1/tree."""
    node, most = context.node, arguments["count"]
    own = set(node.own_share_hashes())
    chain, times = [share.hash for share in node.tracker.ancestors(node.best_share, most)], node.found_times()
    # Those of one chain together: one by one costs twenty times as much.
    known = dict(zip(chain, times.of_chain(chain[0], most), strict=True)) if chain else {}
    return {
        "best_share": optional_hash_hex(node.best_share),
        "heads": len(node.tracker.forest.heads),
        "shares": [
            _row(node, found, when=known.get(found.share.hash) or times.of(found.share.hash), own=own, chain=known)
            for found in newest_shares(node.tracker.forest, node.best_share, heads=MAX_LISTED, most=most)
        ],
    }


def _row(
    node: Node, found: ChainEntry, *, when: FoundTime, own: set[int], chain: Container[int]
) -> dict[str, Any]:
    share = found.share
    return {
        "hash": hash_hex(share.hash),
        "parent": optional_hash_hex(share.previous_hash),
        "height": share.absheight,
        "timestamp": share.timestamp,
        **found_fields(when),
        "address": script_to_text(node, share.script),
        "difficulty": target_to_difficulty(share.target),
        "own": share.hash in own,
        "verified": share.hash in node.tracker.verified,
        "in_best_chain": share.hash in chain,
        "stale_info": stale_name(share.stale_info),
        "is_block": share.is_block,
        "children": len(found.children),
    }


ENDPOINTS = (
    Endpoint(
        "/api/v1/tree",
        "The newest shares of all heads, highest first: the share chain with its forks",
        record(
            "",
            best_share=nullable(HASH),
            heads=count("number of shares that no other share builds on"),
            shares=array(
                record(
                    hash=HASH,
                    parent=nullable(
                        {
                            **HASH,
                            "description": "the previous share, which need not be in this list or held by "
                            "the node; null for a first share",
                        }
                    ),
                    height=count("height in the share chain, as the share claims"),
                    timestamp=TIMESTAMP,
                    **FOUND,
                    address=text("the address that it pays"),
                    difficulty=number(),
                    own=boolean("whether a miner of this node found it"),
                    verified=boolean(),
                    in_best_chain=boolean(),
                    stale_info=nullable(text("stale work that it reports: orphan or doa")),
                    is_block=boolean(),
                    children=count("shares that the node holds"),
                )
            ),
        ),
        look_up=share_tree,
        parameters=(
            whole_number("count", "maximum number of shares", low=1, high=MAX_SHARES, default=DEFAULT_SHARES),
        ),
    ),
)
