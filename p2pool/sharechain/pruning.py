"""What the tracker forgets: dead forks, the old end of the chain, and more unverified shares than it can hold.

Called by the node after each `Tracker.think`.
"""

from __future__ import annotations

from collections.abc import Container

from p2pool.share.share import Share
from p2pool.sharechain.forest import ChainEntry
from p2pool.sharechain.tracker import Thought, Tracker

KEPT_HEADS = 5
DEAD_FORK_AGE = 300.0
GROWING_AGE = 120.0
"""Seconds. A chain that is not verified and got an older share since is still being fetched."""
PRUNED_AT_ONCE = 1000
"""So that pruning after a long pause is spread over several runs."""
MAX_UNVERIFIED_HEADS = 200
MAX_UNVERIFIED_BYTES = 256 * 1024 * 1024


def max_unverified_shares(chain_length: int) -> int:
    """Return a bound that is enough for two whole chains that are being fetched."""
    return 5 * chain_length


def prune(tracker: Tracker, thought: Thought, now: float) -> list[Share]:
    """Forget, and return what was: at most about PRUNED_AT_ONCE shares. `thought` is what `think` just came to."""
    removed: list[Share] = []
    _drop_dead_forks(tracker, thought, now=now, removed=removed)
    _drop_old_ends(tracker, thought, removed)
    _drop_excess(tracker, removed)
    return removed


def _drop_dead_forks(tracker: Tracker, thought: Thought, *, now: float, removed: list[Share]) -> None:
    kept = _kept_heads(tracker, thought)
    for head_hash, node in list(tracker.forest.heads.items()):
        if len(removed) >= PRUNED_AT_ONCE:
            return
        growing = head_hash not in tracker.verified and now - node.tree.grown <= GROWING_AGE
        if head_hash not in kept and not growing:
            _drop_branch(tracker, node, kept=kept, removed=removed, seen_before=now - DEAD_FORK_AGE)


def _kept_heads(tracker: Tracker, thought: Thought) -> set[int]:
    """Return the best share, and the best heads that still could come near it."""
    best = thought.best
    if best is None:
        return {score.share_hash for score in thought.heads[-KEPT_HEADS:]}
    nodes, chain_length = tracker.forest.nodes, tracker.network.chain_length
    lowest = nodes[best].depth - chain_length
    heads = [score.share_hash for score in thought.heads[-KEPT_HEADS:]]
    return {best} | {head for head in heads if nodes[head].depth > lowest}


def _drop_branch(
    tracker: Tracker,
    node: ChainEntry,
    *,
    kept: Container[int],
    removed: list[Share],
    seen_before: float = float("inf"),
) -> None:
    """Remove a head and what was under it alone, down to a share that was not seen before that time."""
    next_node: ChainEntry | None = node
    while next_node is not None and not next_node.children and len(removed) < PRUNED_AT_ONCE:
        share_hash, parent = next_node.share.hash, next_node.parent
        if share_hash in kept or tracker.arrival(share_hash).time_seen >= seen_before:
            return
        removed.append(tracker.remove(share_hash))
        next_node = parent


def _drop_old_ends(tracker: Tracker, thought: Thought, removed: list[Share]) -> None:
    """Drop what lies more than 2 * chain_length + 10 below the best share, or below all heads of another tree."""
    forest, longest = tracker.forest, 2 * tracker.network.chain_length + 10
    heads: dict[int, int] = {}
    """By tree: one of its heads, the best share or the lowest one."""
    for head_hash, node in forest.heads.items():
        other = heads.get(id(node.tree))
        if other is None or node.depth < forest.nodes[other].depth:
            heads[id(node.tree)] = head_hash
    if thought.best is not None:
        heads[id(forest.nodes[thought.best].tree)] = thought.best
    for head_hash in heads.values():
        while forest.height(head_hash) > longest and len(removed) < PRUNED_AT_ONCE:
            for root_hash in list(forest.nodes[head_hash].tree.roots):
                removed.append(tracker.remove(root_hash))


def _drop_excess(tracker: Tracker, removed: list[Share]) -> None:
    """Drop the chains with the least work, so that shares that lead nowhere fill the memory only up to a bound."""
    forest, verified = tracker.forest, tracker.verified
    heads = [node for share_hash, node in forest.heads.items() if share_hash not in verified]
    count = len(heads)
    most = max_unverified_shares(tracker.network.chain_length)

    def too_much() -> bool:
        return (
            count > MAX_UNVERIFIED_HEADS
            or len(forest) - len(verified) > most
            or tracker.unverified_bytes > MAX_UNVERIFIED_BYTES
        )

    if not too_much():
        return
    heads.sort(key=lambda node: node.work - node.tree.work)
    for node in heads:
        if not too_much() or len(removed) >= PRUNED_AT_ONCE:
            return
        _drop_branch(tracker, node, kept=verified, removed=removed)
        count -= 1
