"""Bounded tables in which nobody can push out the others: when one is full, the largest group loses one."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
G = TypeVar("G", bound=Hashable)


class FairQueue(Generic[K, G]):
    """Keys in the order in which they were added, each of a group. Every operation takes constant time.

    `candidate` names the key to evict: the oldest one of the largest group, of the newcomer's own group where no
    other is larger. So a group keeps as many keys as any other, however many the largest one adds.
    """

    __slots__ = ("_by_size", "_group_of", "_groups", "_largest")

    def __init__(self) -> None:
        self._group_of: dict[K, G] = {}
        self._groups: dict[G, dict[K, None]] = {}
        self._by_size: dict[int, dict[G, None]] = {}
        """Groups by the number of their keys: the largest group is found without looking at all."""
        self._largest = 0

    def __len__(self) -> int:
        return len(self._group_of)

    def __contains__(self, key: object) -> bool:
        return key in self._group_of

    def __iter__(self) -> Iterator[K]:
        """Iterate over the keys, the oldest first."""
        return iter(self._group_of)

    def group(self, group: G) -> dict[K, None]:
        """Return the keys of a group, the oldest first. Not to be changed."""
        return self._groups.get(group, {})

    def add(self, key: K, group: G) -> None:
        """Add a key as the newest one; one that is there already moves to the end."""
        self.discard(key)
        self._group_of[key] = group
        members = self._groups.setdefault(group, {})
        members[key] = None
        self._resize(group, len(members) - 1, len(members))

    def discard(self, key: K) -> bool:
        """Remove a key; return whether it was there."""
        if key not in self._group_of:
            return False
        group = self._group_of.pop(key)
        members = self._groups[group]
        del members[key]
        self._resize(group, len(members) + 1, len(members))
        if not members:
            del self._groups[group]
        return True

    def largest_group(self, newcomer: G | None = None) -> G | None:
        """Return the group with most keys, `newcomer` where no other has more; None while there are no keys."""
        if not self._group_of:
            return None
        if newcomer is not None and newcomer in self._by_size[self._largest]:
            return newcomer
        return next(iter(self._by_size[self._largest]))

    def candidate(self, newcomer: G | None = None) -> K | None:
        """Return the key to evict so that a key of the group `newcomer` has room; None while there are no keys."""
        group = self.largest_group(newcomer)
        return None if group is None else next(iter(self._groups[group]))

    def _resize(self, group: G, before: int, after: int) -> None:
        if before:
            groups = self._by_size[before]
            del groups[group]
            if not groups:
                del self._by_size[before]
        if after:
            self._by_size.setdefault(after, {})[group] = None
        if after > self._largest:
            self._largest = after
        elif before == self._largest and before not in self._by_size:
            self._largest = after  # sizes change by one


V = TypeVar("V")


class FairDict(Generic[K, V, G]):
    """A mapping of at most `limit` entries, each of a group. Setting a known key moves it to the end."""

    __slots__ = ("_queue", "_values", "limit")

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"limit must be positive, not {limit}")
        self.limit = limit
        self._queue: FairQueue[K, G] = FairQueue()
        self._values: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[K]:
        """Iterate over the keys, those set longest ago first."""
        return iter(self._queue)

    def __getitem__(self, key: K) -> V:
        return self._values[key]

    def values(self) -> Iterator[V]:
        """Iterate over the values, those set longest ago first."""
        return (self._values[key] for key in self._queue)

    def get(self, key: K) -> V | None:
        """Return the value of a key; None where there is none."""
        return self._values.get(key)

    def put(self, key: K, value: V, group: G) -> K | None:
        """Set a value; return the key that was evicted for it, if any."""
        evicted = None
        if key not in self._values and len(self._values) >= self.limit:
            evicted = self._queue.candidate(group)
            if evicted is not None:
                self.pop(evicted)
        self._values[key] = value
        self._queue.add(key, group)
        return evicted

    def pop(self, key: K) -> V | None:
        """Remove a key; return its value, None where there was none."""
        self._queue.discard(key)
        return self._values.pop(key, None)
