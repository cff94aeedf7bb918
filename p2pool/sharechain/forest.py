"""Shares linked by previous_hash: heads, tails, ancestors, and work between any two points of a chain.

Every share has coordinates (depth and accumulated work) relative to the place that its tree hangs from, so that
height and work of a chain are one subtraction, whatever end the tree grows at:

- a share on top of another takes its parent's coordinates plus its own amounts: O(1);
- a share below a tree takes the coordinates of the place where the tree hung, which moves down: O(1);
- a share that joins two trees moves the smaller one into the coordinates of the other.

Distant ancestors are found through links over `_STRIDE` shares that are made when first needed.

Entries refer to their parents and trees, which name what is above them by hash: so there are no cycles among them,
and garbage collection need not visit them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from p2pool.base.acyclic import never_in_cycles
from p2pool.dash.hashes import hash_hex
from p2pool.share.share import Share

_STRIDE = 64


class Tree:
    """The shares above one missing parent, or above the root (`tail` None).

    `depth`, `work` and `minimum_work` are the coordinates of the place it hangs from; `size` counts shares;
    `grown` is when it last got a share at its lower end, as far as the tracker says (Unix seconds).
    """

    __slots__ = ("depth", "grown", "minimum_work", "roots", "size", "tail", "work")

    def __init__(self, tail: int | None) -> None:
        self.tail = tail
        self.roots: dict[int, None] = {}
        """The hashes of the shares whose parent is `tail`."""
        self.size = 0
        self.depth = 0
        self.work = 0
        self.minimum_work = 0
        self.grown = 0.0


class ChainEntry:
    """One share in the forest. Coordinates include the share itself."""

    __slots__ = ("children", "depth", "far", "minimum_work", "parent", "removed", "share", "tree", "work")

    def __init__(self, share: Share, tree: Tree) -> None:
        self.share = share
        self.tree = tree
        self.parent: ChainEntry | None = None
        self.children: tuple[int, ...] = ()
        """Share hashes."""
        self.far: ChainEntry | None = None
        self.removed = False
        self.depth = 0
        self.work = 0
        self.minimum_work = 0

    def _place(self, depth: int, work: int, minimum_work: int) -> None:
        """Take coordinates above the given place."""
        self.depth = depth + 1
        self.work = work + self.share.attempts
        self.minimum_work = minimum_work + self.share.minimum_attempts


def _climb(node: ChainEntry, steps: int) -> ChainEntry:
    """Return the parent `steps` shares back, which the caller knows to be there."""
    for _ in range(steps):
        parent = node.parent
        if parent is None:
            raise RuntimeError(f"share {hash_hex(node.share.hash)} is not as high as its depth says")
        node = parent
    return node


class Forest:
    """Shares by hash. Bound: whoever adds shares prunes (`Tracker.prune`)."""

    def __init__(self) -> None:
        self.nodes: dict[int, ChainEntry] = {}
        self.heads: dict[int, ChainEntry] = {}
        self.trees: dict[int | None, Tree] = {}
        """By tail: the missing parent's hash, or None for rooted chains."""

    def __len__(self) -> int:
        return len(self.nodes)

    def __contains__(self, share_hash: object) -> bool:
        return share_hash in self.nodes

    # --- questions ---------------------------------------------------------------------------------------

    def get(self, share_hash: int) -> Share | None:
        """Return the share, or None."""
        node = self.nodes.get(share_hash)
        return None if node is None else node.share

    def height(self, share_hash: int) -> int:
        """Return the length of the chain that ends in this share. KeyError if it is not held."""
        node = self.nodes[share_hash]
        return node.depth - node.tree.depth

    def tail(self, share_hash: int) -> int | None:
        """Return what the chain below this share hangs from: a missing parent, or None for the root."""
        return self.nodes[share_hash].tree.tail

    def is_rooted(self, share_hash: int) -> bool:
        """Return whether the chain below goes down to a first share."""
        return self.nodes[share_hash].tree.tail is None

    def work(self, share_hash: int) -> int:
        """Return all the work of the chain that ends in this share."""
        node = self.nodes[share_hash]
        return node.work - node.tree.work

    def nth_parent_node(self, node: ChainEntry, n: int) -> ChainEntry | None:
        """Return the n-th parent's node (0: itself), or None if the chain ends before it."""
        if n >= node.depth - node.tree.depth:
            return None
        while n >= _STRIDE:
            if node.far is None or node.far.removed:
                node.far = _climb(node, _STRIDE)
            node = node.far
            n -= _STRIDE
        return _climb(node, n)

    def nth_parent(self, share_hash: int, n: int) -> Share | None:
        """Return the n-th parent (0: the share itself), or None."""
        node = self.nodes.get(share_hash)
        if node is None:
            return None
        found = self.nth_parent_node(node, n)
        return None if found is None else found.share

    def ancestors(self, share_hash: int | None, count: int) -> Iterator[Share]:
        """Yield the share and its parents, nearest first, at most `count`."""
        node = None if share_hash is None else self.nodes.get(share_hash)
        while node is not None and count > 0:
            yield node.share
            node = node.parent
            count -= 1

    def work_over(self, share_hash: int, count: int) -> int:
        """Return the work of the share and back, `count` shares, or fewer if the chain ends."""
        node = self.nodes[share_hash]
        below = self.nth_parent_node(node, count)
        return node.work - (node.tree.work if below is None else below.work)

    def minimum_work(self, share_hash: int, count: int) -> int:
        """Return the sum of `minimum_attempts` over the share and back, `count` shares."""
        node = self.nodes[share_hash]
        below = self.nth_parent_node(node, count)
        return node.minimum_work - (node.tree.minimum_work if below is None else below.minimum_work)

    def is_ancestor(self, share_hash: int, descendant: int) -> bool:
        """Return whether `share_hash` lies at or below `descendant` in one chain."""
        node, top = self.nodes.get(share_hash), self.nodes.get(descendant)
        if node is None or top is None or node.tree is not top.tree or node.depth > top.depth:
            return False
        return self.nth_parent_node(top, top.depth - node.depth) is node

    # --- changes -----------------------------------------------------------------------------------------

    def add(self, share: Share) -> ChainEntry:
        """Add a share; ValueError if it is already held."""
        share_hash, previous = share.hash, share.previous_hash
        if share_hash in self.nodes:
            raise ValueError(f"share {hash_hex(share_hash)} is already held")
        above = self.trees.pop(share_hash, None)
        parent = None if previous is None else self.nodes.get(previous)
        below = parent.tree if parent is not None else self.trees.get(previous)
        if below is None:
            below = self._hang_lower(share, above) if above is not None else Tree(previous)
            self.trees[previous] = below
            if below is above:
                above = None
        node = ChainEntry(share, below)
        never_in_cycles(node)
        if parent is not None:
            node.parent = parent
            parent.children = (*parent.children, share_hash)
            node._place(parent.depth, parent.work, parent.minimum_work)
            self.heads.pop(parent.share.hash, None)
        else:
            node._place(below.depth, below.work, below.minimum_work)
        self.nodes[share_hash] = node
        if above is not None or parent is None:  # nothing else can hang from this share
            self._adopt(node, below if above is None else above)
        if parent is None:
            below.roots[share_hash] = None
        below.size += 1
        if above is not None:
            self._merge(node, above)
        if not node.children:
            self.heads[share_hash] = node
        return node

    def _hang_lower(self, share: Share, tree: Tree) -> Tree:
        """Let `tree` hang from the parent of `share`, which comes between."""
        tree.tail = share.previous_hash
        tree.depth -= 1
        tree.work -= share.attempts
        tree.minimum_work -= share.minimum_attempts
        return tree

    def _adopt(self, node: ChainEntry, tree: Tree) -> None:
        """Make the roots of `tree` that name this share as their parent its children."""
        share_hash, nodes = node.share.hash, self.nodes
        orphans = [root for root in tree.roots if nodes[root].share.previous_hash == share_hash]
        for root in orphans:
            nodes[root].parent = node
            del tree.roots[root]
        if orphans:
            node.children = tuple(orphans)

    def _merge(self, node: ChainEntry, above: Tree) -> None:
        """Bring the tree above `node`, whose roots are already its children, and the tree that `node` is in
        into one: the smaller one takes the other's coordinates."""
        below = node.tree
        moves = (node.depth - above.depth, node.work - above.work, node.minimum_work - above.minimum_work)
        if above.size <= below.size:
            self._shift(node.children, below, moves)
            below.size += above.size
            return
        back = (-moves[0], -moves[1], -moves[2])
        children, node.children = node.children, ()
        self._shift(below.roots, above, back)
        node.children = children
        above.size += below.size
        above.tail, above.roots = below.tail, below.roots
        above.depth = below.depth + back[0]
        above.work = below.work + back[1]
        above.minimum_work = below.minimum_work + back[2]
        self.trees[above.tail] = above

    def _shift(self, share_hashes: Iterable[int], tree: Tree, moves: tuple[int, int, int]) -> None:
        """Move these shares and all above them into `tree`, adding `moves` to their coordinates."""
        depth, work, minimum_work = moves
        pending, nodes = list(share_hashes), self.nodes
        while pending:
            node = nodes[pending.pop()]
            node.tree = tree
            node.depth += depth
            node.work += work
            node.minimum_work += minimum_work
            pending += node.children

    def can_remove(self, share_hash: int) -> bool:
        """Return whether a share is at an end of a chain: only one without children, or whose parent is not held,
        can be removed."""
        node = self.nodes[share_hash]
        return not node.children or node.parent is None

    def remove(self, share_hash: int) -> Share:
        """Take a share out; KeyError if it is not held, ValueError if it is not an end."""
        node = self.nodes[share_hash]
        if not self.can_remove(share_hash):
            raise ValueError(f"share {hash_hex(share_hash)} is in the middle of a chain")
        del self.nodes[share_hash]
        self.heads.pop(share_hash, None)
        tree, parent = node.tree, node.parent
        tree.size -= 1
        if parent is not None:
            parent.children = tuple([child for child in parent.children if child != share_hash])
            if not parent.children:
                self.heads[parent.share.hash] = parent
        else:
            del tree.roots[share_hash]
            if node.children:
                self._split_off(node)
            if not tree.roots and self.trees.get(tree.tail) is tree:
                del self.trees[tree.tail]
        node.parent = node.far = None
        node.children = ()
        node.removed = True
        return node.share

    def _split_off(self, node: ChainEntry) -> None:
        """Make what was above a removed root hang from its hash."""
        tree, share_hash = node.tree, node.share.hash
        if tree.roots:
            above = Tree(share_hash)
            self._shift(node.children, above, (0, 0, 0))
            above.size = self._count(node.children)
            tree.size -= above.size
        else:
            del self.trees[tree.tail]
            above = tree
            above.tail = share_hash
        above.depth, above.work, above.minimum_work = node.depth, node.work, node.minimum_work
        above.roots = dict.fromkeys(node.children)
        for child in node.children:
            self.nodes[child].parent = None
        self.trees[share_hash] = above

    def _count(self, share_hashes: Iterable[int]) -> int:
        pending, count = list(share_hashes), 0
        while pending:
            count += 1
            pending += self.nodes[pending.pop()].children
        return count
