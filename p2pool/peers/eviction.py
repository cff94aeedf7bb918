"""Which incoming connection ends so that another one can come when all are taken. Pure. Called by `hub`.

Whoever has many hosts could otherwise take all incoming connections of a node, for good. So some are kept for
each of several reasons, among them some that can hardly be feigned, and of the others the newest goes: of the
neighbourhood that has most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

S = TypeVar("S")

PART: Final = 8
"""One in so many is kept for each reason, but for age: of the rest the older half stays."""
AT_LEAST: Final = 60.0
"""Seconds that each connection lasts: enough to be told of other nodes and of the best share. This also limits
how often connections change."""


@dataclass(frozen=True, slots=True)
class Incoming(Generic[S]):
    """An incoming connection. Times are a monotonic clock's seconds; None: there was none yet."""

    session: S
    group: str
    connected_at: float
    round_trip: float | None
    brought_at: float | None
    """When it brought the last share that this node did not have."""


def choose_to_evict(incoming: Sequence[Incoming[S]], now: float, number: Callable[[str], int]) -> S | None:
    """Return the connection that goes; None if none may. `number` gives each neighbourhood a number that nobody
    can foresee."""
    part = len(incoming) // PART
    numbers = {each.group: number(each.group) for each in incoming}
    oldest = {each.group: each for each in sorted(incoming, key=lambda each: -each.connected_at)}
    kept: set[int] = set()
    for group in sorted(numbers, key=lambda group: numbers[group])[:part]:
        kept.add(id(oldest[group]))
    for value in (_slowness, _idleness):
        known = [each for each in incoming if id(each) not in kept and value(each) is not None]
        kept |= {id(each) for each in sorted(known, key=value)[:part]}
    rest = sorted((each for each in incoming if id(each) not in kept), key=lambda each: each.connected_at)
    newer = [each for each in rest[len(rest) // 2 :] if now - each.connected_at >= AT_LEAST]
    if not newer:
        return None
    counts = Counter(each.group for each in incoming)
    return max(newer, key=lambda each: (counts[each.group], each.connected_at)).session


def _slowness(each: Incoming[Any]) -> Any:
    return each.round_trip


def _idleness(each: Incoming[Any]) -> Any:
    return None if each.brought_at is None else -each.brought_at
