"""How many refused shares one host may send. Pure. Called by `node.peers_adapter`.

A peer relays what its own rules accept. If those differ from this node's, the peer is no attacker: a refused share
with the work that the chain requires costs as much as a valid one. A flood of them, or of cheap ones, costs its
host the connections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from p2pool.base.bounded import BoundedDict
from p2pool.sharechain.refused import UNIT

TIMES: Final = 6
"""A host may send this many times the number of shares that the whole network makes in the same time."""
HOUR: Final = 3600.0
_HOSTS: Final = 1024


@dataclass(slots=True)
class _Account:
    spent: float
    time: float


class RefusalBudget:
    """What refused shares have cost each host recently. Bound: _HOSTS; the host seen first is forgotten first."""

    def __init__(self, share_period: float) -> None:
        self.limit = TIMES * UNIT * HOUR / share_period
        """What a host may spend in an hour. What is spent comes back evenly over an hour."""
        self._accounts: BoundedDict[str, _Account] = BoundedDict(_HOSTS)

    def spend(self, host: str, cost: float, now: float) -> bool:
        """Charge a host. Return False if its budget is exceeded: the host is banned then, and its account
        is reset."""
        account = self._accounts.setdefault(host, _Account(0.0, now))
        account.spent = max(0.0, account.spent - self.limit * max(0.0, now - account.time) / HOUR) + cost
        account.time = now
        if account.spent <= self.limit:
            return True
        del self._accounts[host]
        return False
