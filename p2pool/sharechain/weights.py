"""The PPLNS window, sliding: cumulative weights from any share back, kept from one question to the next.

A window holds the shares that count in full. Moving it to another share takes off what left and adds what came,
so that the newest share of a chain costs two steps, and a fork the shares in which it differs.
"""

from __future__ import annotations

from collections import deque

from p2pool.share.weights import WEIGHT_UNIT, Weights
from p2pool.sharechain.forest import ChainEntry, Forest

_WINDOWS = 4
"""How many forks keep a window of their own."""
_FAR = 512
"""A window that would have to move farther than this is summed afresh."""


class _Window:
    __slots__ = ("by_script", "donation", "nodes", "total")

    def __init__(self) -> None:
        self.nodes: deque[ChainEntry] = deque()
        """Newest first. Bound: `max_shares` of the last question."""
        self.by_script: dict[bytes, int] = {}
        self.total = 0
        self.donation = 0

    def count(self, node: ChainEntry, sign: int) -> None:
        share = node.share
        attempts = sign * share.attempts
        self.total += attempts * WEIGHT_UNIT
        self.donation += attempts * share.donation
        if share.donation != WEIGHT_UNIT:
            by_script = self.by_script
            weight = by_script.get(share.script, 0) + attempts * (WEIGHT_UNIT - share.donation)
            if weight:
                by_script[share.script] = weight
            else:
                del by_script[share.script]

    def move_to(self, start: ChainEntry) -> bool:
        """Make `start` the newest share; False if the window had too little in common with its chain and is
        empty now."""
        nodes = self.nodes
        while nodes and nodes[-1].removed:
            self.count(nodes.pop(), -1)
        while nodes and nodes[0].removed:
            self.count(nodes.popleft(), -1)
        if not nodes:
            return False
        arriving: list[ChainEntry] = []
        node: ChainEntry | None = start
        while node is not None and node.depth > nodes[0].depth:
            arriving.append(node)
            node = node.parent
        while nodes and node is not nodes[0]:
            front = nodes.popleft()
            self.count(front, -1)
            if node is not None and node.depth == front.depth:
                arriving.append(node)
                node = node.parent
        if not nodes:
            return False
        for node in reversed(arriving):
            nodes.appendleft(node)
            self.count(node, 1)
        return True

    def fit(self, max_shares: int, max_weight: int) -> ChainEntry | None:
        """Drop the oldest, or take older ones, until the limits are met. Returns the share that follows if
        it counts in part."""
        nodes = self.nodes
        while nodes and (len(nodes) > max_shares or self.total > max_weight):
            self.count(nodes.pop(), -1)
        following = nodes[-1].parent if nodes else None
        while following is not None and len(nodes) < max_shares:
            if self.total + following.share.attempts * WEIGHT_UNIT > max_weight:
                return following
            nodes.append(following)
            self.count(following, 1)
            following = following.parent
        return None


class WeightWindows:
    """Answers `weights` questions over a forest. Bound: `_WINDOWS` windows of one chain length each."""

    def __init__(self, forest: Forest) -> None:
        self._forest = forest
        self._windows: list[_Window] = []

    def weights(self, start: int | None, max_shares: int, max_weight: int) -> Weights:
        """Return the weights from a share back (see `ChainView`). `by_script` is valid until the next call."""
        node = None if start is None else self._forest.nodes.get(start)
        if node is None or max_shares <= 0 or max_weight <= 0:
            return Weights({}, 0, 0)
        if node.share.attempts * WEIGHT_UNIT > max_weight:
            return _with_part(_Window(), node, max_weight)
        window = self._window_at(node)
        partial = window.fit(max_shares, max_weight)
        if partial is None:
            return Weights(window.by_script, window.total, window.donation)
        return _with_part(window, partial, max_weight)

    def _window_at(self, node: ChainEntry) -> _Window:
        """Return the window that starts at `node`: the nearest one moved there, or a new one."""
        windows = self._windows
        nearest: _Window | None = None
        least = _FAR
        for window in windows:
            front = window.nodes[0]
            if front.tree is node.tree and abs(front.depth - node.depth) < least:
                least, nearest = abs(front.depth - node.depth), window
        if nearest is not None:
            windows.remove(nearest)
            if nearest.move_to(node):
                windows.insert(0, nearest)
                return nearest
        window = _Window()
        window.nodes.append(node)
        window.count(node, 1)
        windows.insert(0, window)
        del windows[_WINDOWS:]
        return window


def _with_part(window: _Window, partial: ChainEntry, max_weight: int) -> Weights:
    """Return the window plus as much of the next share as the weight limit leaves room for."""
    share = partial.share
    attempts = (max_weight - window.total) // WEIGHT_UNIT
    by_script = dict(window.by_script)
    weight = by_script.get(share.script, 0) + attempts * (WEIGHT_UNIT - share.donation)
    if weight:
        by_script[share.script] = weight
    return Weights(by_script, max_weight, window.donation + attempts * share.donation)
