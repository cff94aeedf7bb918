"""How often something may be done within a period, for each key. Pure; the time is passed in."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from p2pool.base.bounded import BoundedDict


class Quota:
    """At most `most` times within `period` seconds for a key. Bound: `keys`; beyond it the key that was first used
    is forgotten."""

    def __init__(self, most: int, period: float, keys: int = 10_000) -> None:
        self._most = most
        self._period = period
        self._times: BoundedDict[Hashable, deque[float]] = BoundedDict(keys)

    def has_room(self, key: Hashable, now: float) -> bool:
        """Return whether it may be done once more."""
        times = self._times.get(key)
        if times is None:
            return True
        # A clock that was set back must not keep anybody out for long.
        while times and not 0 <= now - times[0] < self._period:
            times.popleft()
        return len(times) < self._most

    def take(self, key: Hashable, now: float) -> bool:
        """Count it, and return whether it may be done."""
        if not self.has_room(key, now):
            return False
        self._times.setdefault(key, deque()).append(now)
        return True
