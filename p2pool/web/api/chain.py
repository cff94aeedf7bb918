"""The share chain as a whole: its ends, and a stretch of it share by share.

The lists have the shape that tools of p2pool know: hashes of 64 hex digits. A "tail" there is not the missing
parent but the oldest share held above it, or a chain's first share: something that can be looked up.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import Any

from p2pool.dash.target import target_to_difficulty
from p2pool.node import Node
from p2pool.share.share import Share
from p2pool.sharechain.figures import stale_name
from p2pool.sharechain.forest import Forest
from p2pool.web.sources import script_to_text

MAX_LISTED = 1000
"""Hashes in a list: several times what the tracker keeps of heads; an answer of at most 67 kB."""
MAX_SHARES, DEFAULT_SHARES = 200, 50
"""Shares on a page of /web/chain: at most 80 kB."""


def hash_text(share_hash: int) -> str:
    """64 hex digits."""
    return f"{share_hash:064x}"


def _optional(share_hash: int | None) -> str | None:
    return None if share_hash is None else hash_text(share_hash)


def heads(forest: Forest) -> list[str]:
    """Shares without children, the newest heads first; at most MAX_LISTED."""
    return [hash_text(h) for h in islice(reversed(forest.heads), MAX_LISTED)]


def tails(forest: Forest) -> list[str]:
    """Shares whose parent is not held or that have none; at most MAX_LISTED."""
    roots = chain.from_iterable(tree.roots for tree in forest.trees.values())
    return [hash_text(h) for h in islice(roots, MAX_LISTED)]


def best_share_hash(node: Node) -> str:
    """The best share; 64 zeros where there is none."""
    return hash_text(node.best_share or 0)


def chain_page(node: Node, start: Share | None, count: int) -> dict[str, Any]:
    """`count` shares from `start` (None: the best one) down. `next` is where the next page starts, None where the
    chain held ends; `missing_parent` is what it lacks there, None where it goes down to a first share. `held`
    counts the shares from `start` down."""
    forest = node.tracker.forest
    first = node.best_share if start is None else start.hash
    page: dict[str, Any] = {
        "best_share": _optional(node.best_share),
        "from": _optional(first),
        "held": 0,
        "shares": [],
        "next": None,
        "missing_parent": None,
    }
    if first is None:
        return page
    shares = list(forest.ancestors(first, count))
    below = shares[-1].previous_hash
    page["held"] = forest.height(first)
    page["shares"] = [_row(node, share) for share in shares]
    page["next"] = _optional(below) if below in forest else None
    page["missing_parent"] = _optional(forest.tail(first))
    return page


def _row(node: Node, share: Share) -> dict[str, Any]:
    return {
        "ts": share.timestamp,
        "hash": hash_text(share.hash),
        "payout_address": script_to_text(node, share.script),
        "difficulty": target_to_difficulty(share.target),
        "stale_info": stale_name(share.stale_info),
        "is_block": share.is_block,
        "verified": share.hash in node.tracker.verified,
        "absheight": share.absheight,
    }
