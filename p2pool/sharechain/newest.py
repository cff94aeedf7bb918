"""The newest shares of all branches, the highest first: the share chain with its forks, for drawing."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import islice

from p2pool.sharechain.forest import ChainEntry, Forest, Tree


def newest_shares(forest: Forest, best_hash: int | None, *, heads: int, most: int) -> Iterator[ChainEntry]:
    """Yield the newest shares of the newest `heads`, the highest first and so a child before its parent; at most
    `most`, each at the cost of a place in a heap of the heads.

    In the best share's tree heights are counted. The others hang from shares that are missing: their heads are as
    high as they say, but no higher than the best share. Who makes shares up cannot hide the best chain.
    """
    best = None if best_hash is None else forest.nodes.get(best_hash)
    tops = list(islice(reversed(forest.heads.values()), heads))
    if best is not None and best.children == () and best not in tops:
        tops.append(best)  # beyond the bound
    shifts = _shifts(best, tops)
    heap = [(-found.depth - shifts[found.tree], number, found) for number, found in enumerate(tops)]
    heapq.heapify(heap)
    seen = {found.share.hash for found in tops}
    while heap and most > 0:
        _, number, found = heapq.heappop(heap)
        most -= 1
        yield found
        parent = found.parent
        if parent is not None and parent.share.hash not in seen:
            seen.add(parent.share.hash)
            heapq.heappush(heap, (-parent.depth - shifts[parent.tree], number, parent))


def _shifts(best: ChainEntry | None, heads: list[ChainEntry]) -> dict[Tree, int]:
    """Return, by tree, the difference between a share's height above the best share and its depth in the tree."""
    highest: dict[Tree, ChainEntry] = {}
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
