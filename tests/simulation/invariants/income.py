"""Work: what miners get for it, and how much of it was in vain."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.invariants.base import Invariant


class WorkIsPaid(Invariant):
    """Statistics: how much of the miners' work was stale or rejected, and how shares were lost."""

    def summary(self) -> Iterator[str]:
        accepted = sum(miner.accepted for miner in self.simulation.miners)
        rejected: dict[int, int] = {}
        for miner in self.simulation.miners:
            for code, count in miner.refused.items():
                rejected[code] = rejected.get(code, 0) + count
        yield f"{accepted} pseudoshares accepted, rejected by code: {rejected}"
