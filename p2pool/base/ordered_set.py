"""A set that is iterated in the order in which its members came, the same in every run.

Python's own set iterates over objects in the order of their addresses: what is sent to whom first would differ
from run to run, and a failure could not be played again.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSet
from typing import TypeVar

T = TypeVar("T")


class OrderedSet(MutableSet[T]):
    """A set in order of insertion. It has no bound of its own."""

    __slots__ = ("_members",)

    def __init__(self) -> None:
        self._members: dict[T, None] = {}

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[T]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def add(self, value: T) -> None:
        """Add a member, as the last one unless it is one."""
        self._members[value] = None

    def discard(self, value: T) -> None:
        """Remove a member if it is one."""
        self._members.pop(value, None)

    def clear(self) -> None:
        """Remove all of its members."""
        self._members.clear()
