"""Bounded tables in which nobody can push out the others: when one is full, the largest owner loses its oldest
item.

A table that evicts its oldest entry lets one client push out everybody else's. Here each item belongs to an owner,
and an owner keeps as many as any other, however many the largest one adds.

What loses its oldest entry again and again is an OrderedDict: a plain dict passes over all that were removed
before it finds its first one. Most owners hold a single item, though: theirs is a plain dict, which takes half the
memory and, if it holds text, is exempt from garbage collection.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
G = TypeVar("G", bound=Hashable)

_VERY_FEW = 4
"""Items up to which an owner's are in a tuple, which takes a third of the memory of a dict."""
_FEW = 8
"""Items up to which an owner's are in a plain dict: it passes over ten at most."""
Items = dict[T, None] | tuple[T, ...]
Path = tuple[Hashable, ...]
"""An owner within an owner, the outermost first: (host,) or (host, address)."""


class _Group(Generic[T]):
    """The owners of one level. They are bucketed by how many items each holds once somebody asks for the one that
    holds most: most tables are never full."""

    __slots__ = ("_by_size", "_largest", "members", "size")

    def __init__(self) -> None:
        self.members: dict[Hashable, _Group[T] | Items[T]] = {}
        self.size = 0
        self._by_size: dict[int, OrderedDict[Hashable, None]] | None = None
        self._largest = 0

    def resized(self, name: Hashable, before: int, after: int) -> None:
        """Note how many items a member holds; drop one that no longer holds any."""
        self.size += after - before
        if not after:
            del self.members[name]
        if self._by_size is not None:
            self._move(self._by_size, name, before=before, after=after)

    def _move(
        self, by_size: dict[int, OrderedDict[Hashable, None]], name: Hashable, *, before: int, after: int
    ) -> None:
        """Move a member from one bucket to another."""
        if before and after and after not in by_size and len(by_size[before]) == 1:
            by_size[after] = by_size.pop(before)  # alone in its bucket, before and after
        else:
            if before:
                bucket = by_size[before]
                del bucket[name]
                if not bucket:
                    del by_size[before]
            if after:
                if after not in by_size:
                    by_size[after] = OrderedDict()
                by_size[after][name] = None
        if after > self._largest:
            self._largest = after
        while self._largest and self._largest not in by_size:
            self._largest -= 1

    def largest(self) -> OrderedDict[Hashable, None]:
        """Return the members that hold most, the one that reached this size first (of those that had it when they
        were first asked for, the one that came first) at the front."""
        if self._by_size is None:
            by_size: dict[int, OrderedDict[Hashable, None]] = {}
            for name, member in self.members.items():
                size = member.size if isinstance(member, _Group) else len(member)
                if size:
                    by_size.setdefault(size, OrderedDict())[name] = None
            self._by_size, self._largest = by_size, max(by_size, default=0)
        return self._by_size.get(self._largest) or OrderedDict()


def _each(path: Path, group: _Group[T]) -> Iterator[tuple[Path, T]]:
    for name, member in group.members.items():
        if isinstance(member, _Group):
            yield from _each((*path, name), member)
        else:
            for item in member:
                yield (*path, name), item


class FairShares(Generic[T]):
    """Items by owner. No bound of its own: the table that uses it calls `greediest` when it is full.

    `add` and `remove` take constant time, and so does `greediest` but for its first call. All paths must have the
    same length.
    """

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root: _Group[T] = _Group()

    def __len__(self) -> int:
        return self._root.size

    def __iter__(self) -> Iterator[tuple[Path, T]]:
        """Iterate over (path, item), owner by owner."""
        yield from _each((), self._root)

    def items(self, path: Path) -> Items[T]:
        """Return what an owner holds, the oldest first. Not to be changed."""
        return self._find(path)[1] or ()

    def holds_most(self, owner: Hashable) -> bool:
        """Return whether no other outermost owner holds more."""
        return owner in self._root.largest()

    def add(self, path: Path, item: T) -> bool:
        """Note that the owner at `path` holds `item`; False if it already did."""
        groups, items = self._find(path, create=True)
        if item in items:
            return False
        count = len(items)
        if isinstance(items, tuple):
            more = (*items, item)
            groups[-1].members[path[-1]] = more if count < _VERY_FEW else dict.fromkeys(more)
        else:
            if count == _FEW and not isinstance(items, OrderedDict):
                items = groups[-1].members[path[-1]] = OrderedDict(items)
            items[item] = None
        self._resize(groups, path, before=count, after=count + 1)
        return True

    def remove(self, path: Path, item: T) -> bool:
        """Note that the owner at `path` no longer holds `item`; False if it did not."""
        groups, items = self._find(path)
        if item not in items:
            return False
        count = len(items)
        if isinstance(items, tuple):
            groups[-1].members[path[-1]] = tuple([each for each in items if each != item])
        else:
            del items[item]
        self._resize(groups, path, before=count, after=count - 1)
        return True

    def greediest(self) -> tuple[Path, T] | None:
        """Return (path, item): the oldest item of the owner that holds most, at each level; None if there is
        none."""
        group: _Group[T] | Items[T] = self._root
        path: list[Hashable] = []
        while isinstance(group, _Group):
            if not group.size:
                return None
            name = next(iter(group.largest()))
            path.append(name)
            group = group.members[name]
        return tuple(path), next(iter(group))

    def _find(self, path: Path, *, create: bool = False) -> tuple[list[_Group[T]], Items[T]]:
        """Return the groups along a path, outermost first, and the items at its end. Groups that are missing are
        added if `create`."""
        group, groups = self._root, [self._root]
        for name in path[:-1]:
            member = group.members.get(name)
            if member is None:
                if not create:
                    return groups, ()
                member = group.members[name] = _Group()
            if not isinstance(member, _Group):
                raise TypeError(f"{path} is longer than an earlier path")
            groups.append(member)
            group = member
        items = group.members.get(path[-1], ())
        if isinstance(items, _Group):
            raise TypeError(f"{path} is shorter than an earlier path")
        return groups, items

    @staticmethod
    def _resize(groups: list[_Group[T]], path: Path, *, before: int, after: int) -> None:
        """Carry a change of the innermost owner's size outwards."""
        for depth in range(len(path) - 1, -1, -1):
            group = groups[depth]
            size = group.size
            group.resized(path[depth], before, after)
            before, after = size, group.size


class FairQueue(Generic[K, G]):
    """Keys in the order in which they were added, each of a group. Every operation takes constant time.

    `candidate` names the key to evict: the oldest one of the largest group, of the newcomer's own group if no
    other is larger. So a group keeps as many keys as any other, however many the largest one adds.
    """

    __slots__ = ("_group_of", "_shares")

    def __init__(self) -> None:
        self._group_of: OrderedDict[K, G] = OrderedDict()
        self._shares: FairShares[K] = FairShares()

    def __len__(self) -> int:
        return len(self._group_of)

    def __contains__(self, key: object) -> bool:
        return key in self._group_of

    def __iter__(self) -> Iterator[K]:
        """Iterate over the keys, the oldest first."""
        return iter(self._group_of)

    def group_of(self, key: K) -> G:
        """Return the group of a key that is there."""
        return self._group_of[key]

    def group(self, group: G) -> Items[K]:
        """Return the keys of a group, the oldest first. Not to be changed."""
        return self._shares.items((group,))

    def add(self, key: K, group: G) -> None:
        """Add a key as the newest one; one that is there already moves to the end."""
        self.discard(key)
        self._group_of[key] = group
        self._shares.add((group,), key)

    def discard(self, key: K) -> bool:
        """Remove a key; return whether it was there."""
        if key not in self._group_of:
            return False
        return self._shares.remove((self._group_of.pop(key),), key)

    def largest_group(self, newcomer: G | None = None) -> G | None:
        """Return the group with most keys, `newcomer` if no other has more; None while there are no keys."""
        candidate = self.candidate(newcomer)
        return None if candidate is None else self._group_of[candidate]

    def candidate(self, newcomer: G | None = None) -> K | None:
        """Return the key to evict so that a key of the group `newcomer` has room; None while there are no keys."""
        if newcomer is not None and self._shares.holds_most(newcomer):
            return next(iter(self.group(newcomer)))
        greediest = self._shares.greediest()
        return None if greediest is None else greediest[1]


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

    def group_of(self, key: K) -> G:
        """Return the group of a key that is there."""
        return self._queue.group_of(key)

    def values(self) -> Iterator[V]:
        """Iterate over the values, those set longest ago first."""
        return (self._values[key] for key in self._queue)

    def get(self, key: K) -> V | None:
        """Return the value of a key; None if there is none."""
        return self._values.get(key)

    def put(self, key: K, value: V, group: G) -> V | None:
        """Set a value; return the one that was evicted for it, if any."""
        evicted = None
        if key not in self._values and len(self._values) >= self.limit:
            candidate = self._queue.candidate(group)
            if candidate is not None:
                evicted = self.pop(candidate)
        self._values[key] = value
        self._queue.add(key, group)
        return evicted

    def pop(self, key: K) -> V | None:
        """Remove a key; return its value, None if there was none."""
        self._queue.discard(key)
        return self._values.pop(key, None)
