"""The order in which a generation transaction pays the scripts of the PPLNS window, and their packed outputs.

From one share to the next, hardly any script enters or leaves the window. So the newest order is kept, and changed
instead of made anew: sorting thousands of scripts took as long as all the rest of a payout table.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import accumulate

from p2pool.wire.codec import pack_varstr

_AMOUNT = 8
"""Bytes of an output before its script."""


class PayoutOrder:
    """Scripts in ascending order, with all of their outputs that does not depend on the amounts. Immutable."""

    __slots__ = ("_fields", "_layout", "members", "offsets", "scripts")

    def __init__(self, scripts: Iterable[bytes]) -> None:
        self.scripts = tuple(scripts)
        self.members = frozenset(self.scripts)
        packed = list(map(pack_varstr, self.scripts))
        sizes = [_AMOUNT + len(each) for each in packed]
        self.offsets = tuple(accumulate(sizes, initial=0))
        """Where each output begins, and where the last one ends."""
        self._fields: list[object] = [0] * (2 * len(packed))
        self._fields[1::2] = packed
        alike = len(set(sizes)) == 1
        self._layout = _layout_of_alike(sizes[0], len(sizes)) if alike else _layout(sizes)

    def pack(self, amounts: Sequence[int]) -> bytes:
        """Return the outputs that pay these duffs, in the order of `scripts`: uint64 duffs, varstr script."""
        fields = self._fields.copy()
        fields[::2] = amounts
        return self._layout.pack(*fields)

    def changed_to(self, scripts: AbstractSet[bytes]) -> PayoutOrder:
        """Return the order of other scripts: this object if they are the same."""
        if scripts == self.members:
            return self
        known = self.members
        kept = [script for script in self.scripts if script in scripts]
        return PayoutOrder(sorted(kept + sorted([script for script in scripts if script not in known])))


def _layout(sizes: Iterable[int]) -> struct.Struct:
    return struct.Struct("<" + "".join([f"Q{size - _AMOUNT}s" for size in sizes]))


# Bound: one for each number of scripts, which changes by one or two from share to share.
@lru_cache(maxsize=16)
def _layout_of_alike(size: int, count: int) -> struct.Struct:
    return _layout([size] * count)


class _Newest:
    """The order that was used last: as many scripts as one window has."""

    __slots__ = ("order",)

    def __init__(self) -> None:
        self.order = PayoutOrder(())


_newest = _Newest()


def payout_order(scripts: AbstractSet[bytes]) -> PayoutOrder:
    """Return the order of these scripts. Cheap if they are about those of the last call."""
    _newest.order = order = _newest.order.changed_to(scripts)
    return order
