"""How much of something limited each host may hold at a time, so that no single one holds all of it. Pure."""

from __future__ import annotations

from collections import Counter


class HostShares:
    """Counts what hosts hold; a host may hold up to `most`. Bound: hosts that hold something."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, host: str) -> bool:
        """Return whether the host may have one more, which it holds from now on."""
        if self._held[host] >= self.most:
            return False
        self._held[host] += 1
        return True

    def give_back(self, host: str) -> None:
        """Note that the host holds one less."""
        self._held[host] -= 1
        if self._held[host] <= 0:
            del self._held[host]
