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
"""A host may send so many times the shares that the whole network is planned to make meanwhile."""
HOUR: Final = 3600.0
_HOSTS: Final = 1024


@dataclass(slots=True)
class _Account:
    spent: float
    time: float


class RefusalBudget:
    """What refused shares cost each host of late. Bound: _HOSTS; the one seen first is forgotten first."""

    def __init__(self, share_period: float) -> None:
        self.limit = TIMES * UNIT * HOUR / share_period
        """A whole hour's; it comes back evenly over an hour."""
        self._accounts: BoundedDict[str, _Account] = BoundedDict(_HOSTS)

    def spend(self, host: str, cost: float, now: float) -> bool:
        """Return whether the host still has so much; if not, it begins anew, since it is banned now."""
        account = self._accounts.setdefault(host, _Account(0.0, now))
        account.spent = max(0.0, account.spent - self.limit * max(0.0, now - account.time) / HOUR) + cost
        account.time = now
        if account.spent <= self.limit:
            return True
        del self._accounts[host]
        return False
