"""Who holds how much of a shared table, and whose item goes first when the table is full.

A table that evicts its oldest entry lets one client push out everybody else's. Here each item belongs to an owner,
and the owner that holds most gives up its own oldest item: one that holds no more than an equal share is never
touched, however many others there are.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

Path = tuple[Hashable, ...]
"""An owner within an owner, the outermost first: (host,) or (host, address)."""


class _Group(Generic[T]):
    """The owners of one level, bucketed by how many items each holds."""

    __slots__ = ("by_size", "largest", "members", "size")

    def __init__(self) -> None:
        self.members: dict[Hashable, _Group[T] | dict[T, None]] = {}
        self.by_size: dict[int, dict[Hashable, None]] = {}
        self.largest = 0
        self.size = 0

    def resized(self, name: Hashable, before: int, after: int) -> None:
        """Move a member from one bucket to another; drop one that holds nothing any more."""
        self.size += after - before
        if before:
            bucket = self.by_size[before]
            del bucket[name]
            if not bucket:
                del self.by_size[before]
        if after:
            self.by_size.setdefault(after, {})[name] = None
            self.largest = max(self.largest, after)
        else:
            del self.members[name]
        while self.largest and self.largest not in self.by_size:
            self.largest -= 1

    def greediest(self) -> Hashable:
        """Return the member that holds most; among equals the one that reached that size first."""
        return next(iter(self.by_size[self.largest]))


class FairShares(Generic[T]):
    """Items by owner. No bound of its own: the table that uses it calls `greediest` when it is full.

    `add`, `remove` and `greediest` take constant time. All paths must have the same length.
    """

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root: _Group[T] = _Group()

    def __len__(self) -> int:
        return self._root.size

    def held_by(self, owner: Hashable) -> int:
        """Return how many items an outermost owner holds."""
        member = self._root.members.get(owner)
        return 0 if member is None else member.size if isinstance(member, _Group) else len(member)

    def add(self, path: Path, item: T) -> bool:
        """Note that the owner at `path` holds `item`; False if it already did."""
        groups, items = self._find(path, create=True)
        if items is None or item in items:
            return False
        items[item] = None
        self._resize(groups, path, len(items) - 1, len(items))
        return True

    def remove(self, path: Path, item: T) -> bool:
        """Note that the owner at `path` no longer holds `item`; False if it did not."""
        groups, items = self._find(path, create=False)
        if items is None or item not in items:
            return False
        del items[item]
        self._resize(groups, path, len(items) + 1, len(items))
        return True

    def greediest(self) -> tuple[Path, T] | None:
        """Return (path, item): the oldest item of the owner that holds most, at each level; None if there is
        none."""
        group: _Group[T] | dict[T, None] = self._root
        path: list[Hashable] = []
        while isinstance(group, _Group):
            if not group.size:
                return None
            name = group.greediest()
            path.append(name)
            group = group.members[name]
        return tuple(path), next(iter(group))

    def _find(self, path: Path, *, create: bool) -> tuple[list[_Group[T]], dict[T, None] | None]:
        """The groups along a path, outermost first, and the items at its end."""
        group, groups = self._root, [self._root]
        for name in path[:-1]:
            member = group.members.get(name)
            if member is None:
                if not create:
                    return groups, None
                member = group.members[name] = _Group()
            if not isinstance(member, _Group):
                raise TypeError(f"{path} is longer than an earlier path")
            groups.append(member)
            group = member
        items = group.members.get(path[-1])
        if items is None and create:
            items = group.members[path[-1]] = {}
        if isinstance(items, _Group):
            raise TypeError(f"{path} is shorter than an earlier path")
        return groups, items

    @staticmethod
    def _resize(groups: list[_Group[T]], path: Path, before: int, after: int) -> None:
        """Carry a change of the innermost owner's size outwards."""
        for group, name in zip(reversed(groups), reversed(path), strict=True):
            size = group.size
            group.resized(name, before, after)
            before, after = size, group.size
