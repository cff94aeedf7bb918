"""Objects that garbage collection need not visit."""

from __future__ import annotations

import gc
import weakref

from p2pool.base.acyclic import never_in_cycles


class Value:
    __slots__ = ("__weakref__", "part")

    def __init__(self, part: object) -> None:
        self.part = part


def test_an_exempted_object_is_not_visited_and_is_freed_with_its_last_reference():
    value = Value(Value(None))
    assert gc.is_tracked(value)
    never_in_cycles(value)
    assert not gc.is_tracked(value)
    assert gc.is_tracked(value.part)
    inner = weakref.ref(value.part)
    gc.collect()
    assert inner() is value.part
    del value
    assert inner() is None


def test_an_object_can_be_exempted_twice_and_hold_new_parts():
    value = Value(None)
    never_in_cycles(value)
    never_in_cycles(value)
    value.part = part = Value(1)
    gc.collect()
    assert not gc.is_tracked(value)
    assert value.part is part
