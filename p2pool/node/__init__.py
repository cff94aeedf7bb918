"""The pool's mutable truth, how it survives restarts, and what other nodes see of it."""

from p2pool.node.node import FoundAuxBlock, Node, NodeSettings, WorkChange

__all__ = ["FoundAuxBlock", "Node", "NodeSettings", "WorkChange"]
