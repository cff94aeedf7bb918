"""Token buckets, one for each host: they limit how often a host may do something. The caller passes the time
in."""

from __future__ import annotations

import heapq

MAX_HOSTS = 10_000
"""Hosts that are remembered; beyond it the one that has been quiet longest is forgotten, whose bucket is the most
likely to be full again anyway."""


class _TokenBucket:
    """`tokens` as of `updated`."""

    __slots__ = ("denied", "tokens", "updated")

    def __init__(self, tokens: float, now: float) -> None:
        self.tokens = tokens
        self.updated = now
        self.denied = 0


class HostBuckets:
    """A bucket of `burst` tokens a host, filled with `rate` a second. Bound: `max_hosts`."""

    def __init__(self, rate: float, burst: float, max_hosts: int = MAX_HOSTS) -> None:
        self.rate = rate
        self.burst = burst
        self.denied = 0
        self._max_hosts = max_hosts
        self._buckets: dict[str, _TokenBucket] = {}
        """The one used last is the last."""

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, host: str, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        wait = self.wait(host, now)
        bucket = self._buckets.pop(host, None)
        if bucket is None:
            if len(self._buckets) >= self._max_hosts:
                del self._buckets[next(iter(self._buckets))]
            bucket = _TokenBucket(self.burst, now)
        self._buckets[host] = bucket
        if wait:
            bucket.denied += 1
            self.denied += 1
        else:
            bucket.tokens -= 1
        return wait

    def wait(self, host: str, now: float) -> float:
        """Return what `take` would return, without taking a token."""
        bucket = self._buckets.get(host)
        if bucket is None:
            return 0.0
        # A clock that was set back fills nothing, and does not keep the bucket as it is for long either.
        bucket.tokens = min(self.burst, bucket.tokens + max(0.0, now - bucket.updated) * self.rate)
        bucket.updated = now
        return 0.0 if bucket.tokens >= 1 else (1 - bucket.tokens) / self.rate

    def worst(self, count: int) -> list[tuple[str, int]]:
        """Return (host, how often it was denied) of those that were denied most, the worst first."""
        denied = ((host, bucket.denied) for host, bucket in self._buckets.items() if bucket.denied)
        return heapq.nsmallest(count, denied, key=lambda item: (-item[1], item[0]))
