"""How much of something limited each host may hold at a time, so that no single one holds all of it. Pure."""

from __future__ import annotations

import math
from collections import Counter


class HostShares:
    """Counts what hosts hold: each up to `most`, all together up to `total`. Bound: hosts that hold something."""

    def __init__(self, most: int, total: float = math.inf) -> None:
        self.most = most
        self.total = total
        self.count = 0
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, host: str) -> bool:
        """Return whether the host may have one more, which it holds from now on."""
        if self._held[host] >= self.most or self.count >= self.total:
            return False
        self._held[host] += 1
        self.count += 1
        return True

    def give_back(self, host: str) -> None:
        """Note that the host holds one less."""
        self.count -= 1
        self._held[host] -= 1
        if self._held[host] <= 0:
            del self._held[host]
