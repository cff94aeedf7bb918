"""The pool's mutable state, how it survives restarts, and what other nodes see of it.

- `node`: template, tracker, best share and current work; `persistence`: shares on disk
- `job_terms`: what jobs take from chain and statistics
- `peers_adapter`: what peers ask of the chain and hear of it; `settings`: flags about payouts and share files
"""

from p2pool.node.job_terms import NodeSettings
from p2pool.node.node import FoundAuxBlock, Node, WorkChange

__all__ = ["FoundAuxBlock", "Node", "NodeSettings", "WorkChange"]
