"""The share chain with its forks, for drawing: /api/v1/tree."""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterator
from itertools import islice
from typing import Any, Final

from p2pool.dash.target import target_to_difficulty
from p2pool.node import Node
from p2pool.sharechain import forest
from p2pool.sharechain.figures import stale_name
from p2pool.sharechain.found_times import FoundTime
from p2pool.web.api.chain import FOUND, MAX_LISTED, TIMESTAMP, found_fields, hash_text
from p2pool.web.api.endpoint import Arguments, Endpoint, Scene, whole_number
from p2pool.web.api.schema import HASH, array, boolean, count, nullable, number, record, text
from p2pool.web.sources import script_to_text

MAX_SHARES: Final = 500
DEFAULT_SHARES: Final = 100


def newest_shares(node: Node, most: int) -> Iterator[forest.Node]:
    """The newest shares of all heads, the highest first and so a child before its parent; at most `most`, each at
    the cost of a place in a heap of the heads.

    In the best share's tree heights are counted. The others hang from shares that are missing: their heads are as
    high as they say, but no higher than the best share. Who makes shares up cannot hide the best chain.
    """
    held = node.tracker.forest
    best = None if node.best_share is None else held.nodes.get(node.best_share)
    heads = list(islice(reversed(held.heads.values()), MAX_LISTED))
    if best is not None and best.children == () and best not in heads:
        heads.append(best)  # beyond the bound
    shifts = _shifts(best, heads)
    heap = [(-found.depth - shifts[found.tree], number, found) for number, found in enumerate(heads)]
    heapq.heapify(heap)
    seen = {found.share.hash for found in heads}
    while heap and most > 0:
        _, number, found = heapq.heappop(heap)
        most -= 1
        yield found
        parent = found.parent
        if parent is not None and parent.share.hash not in seen:
            seen.add(parent.share.hash)
            heapq.heappush(heap, (-parent.depth - shifts[parent.tree], number, parent))


def _shifts(best: forest.Node | None, heads: list[forest.Node]) -> dict[forest.Tree, int]:
    """By tree: what a share's depth in it lacks to its height above the best share."""
    highest: dict[forest.Tree, forest.Node] = {}
    for head in heads:
        if head.tree not in highest or head.depth > highest[head.tree].depth:
            highest[head.tree] = head
    shifts = {}
    for tree, head in highest.items():
        above = 0 if best is None else min(0, head.share.absheight - best.share.absheight)
        shifts[tree] = above - head.depth
    if best is not None:
        shifts[best.tree] = -best.depth
    return shifts


def share_tree(scene: Scene, arguments: Arguments) -> dict[str, Any]:
    """/api/v1/tree."""
    node, most = scene.node, arguments["count"]
    own = set(node.own_share_hashes())
    chain, times = [share.hash for share in node.tracker.ancestors(node.best_share, most)], node.found_times()
    # Those of one chain together: one by one costs twenty times as much.
    known = dict(zip(chain, times.of_chain(chain[0], most), strict=True)) if chain else {}
    return {
        "best_share": None if node.best_share is None else hash_text(node.best_share),
        "heads": len(node.tracker.forest.heads),
        "shares": [
            _row(node, found, known.get(found.share.hash) or times.of(found.share.hash), own, known)
            for found in newest_shares(node, most)
        ],
    }


def _row(node: Node, found: forest.Node, when: FoundTime, own: set[int], chain: Container[int]) -> dict[str, Any]:
    share = found.share
    return {
        "hash": hash_text(share.hash),
        "parent": None if share.previous_hash is None else hash_text(share.previous_hash),
        "height": share.absheight,
        "time": share.timestamp,
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
            heads=count("all shares on which no other share builds"),
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
                    time=TIMESTAMP,
                    **FOUND,
                    address=text("the address that it pays"),
                    difficulty=number(),
                    own=boolean("whether a miner of this node found it"),
                    verified=boolean(),
                    in_best_chain=boolean(),
                    stale_info=nullable(text("stale work that it announces: orphan, doa")),
                    is_block=boolean(),
                    children=count("shares that the node holds"),
                )
            ),
        ),
        look_up=share_tree,
        parameters=(whole_number("count", "maximum number of shares", 1, MAX_SHARES, DEFAULT_SHARES),),
    ),
)
