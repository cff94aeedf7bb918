"""Containers with a limit, against models that keep everything in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.bounded import BoundedDict, BoundedSet


def test_the_oldest_insertion_goes_first():
    held = BoundedDict[str, int](2)
    held["a"] = 1
    held["b"] = 2
    held["a"] = 3  # keeps its age
    held["c"] = 4
    assert list(held.items()) == [("b", 2), ("c", 4)]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_must_be_positive(limit):
    with pytest.raises(ValueError, match=str(limit)):
        BoundedDict(limit)
    with pytest.raises(ValueError, match=str(limit)):
        BoundedSet(limit)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["set", "setdefault", "update", "keywords", "or", "pop"]),
        st.sampled_from("abcdefgh"),
        st.integers(),
    ),
    max_size=60,
)


@given(st.integers(1, 5), OPERATIONS)
def test_every_way_in_keeps_the_limit_and_the_order(limit, operations):
    held: BoundedDict[str, int] = BoundedDict(limit)
    model: list[tuple[str, int]] = []
    for how, key, value in operations:
        present = dict(model)
        if how == "pop":
            assert held.pop(key, None) == present.get(key)
            model = [item for item in model if item[0] != key]
            continue
        if how == "setdefault":
            assert held.setdefault(key, value) == present.get(key, value)
            value = present.get(key, value)
        elif how == "set":
            held[key] = value
        elif how == "update":
            held.update({key: value})
        elif how == "keywords":
            held.update(**{key: value})
        else:
            held |= {key: value}
        if key in present:
            model = [(k, value if k == key else v) for k, v in model]
        else:
            model = [*model, (key, value)][-limit:]
        assert isinstance(held, BoundedDict)
        assert list(held.items()) == model


def test_an_update_larger_than_the_limit_leaves_the_newest():
    held: BoundedDict[int, int] = BoundedDict(3)
    held.update((n, n) for n in range(10))
    assert list(held) == [7, 8, 9]


@given(st.integers(1, 4), st.lists(st.integers(0, 9), max_size=40))
def test_a_set_holds_the_newest_different_items(limit, items):
    held: BoundedSet[int] = BoundedSet(limit)
    model: list[int] = []
    for item in items:
        held.add(item)
        if item not in model:
            model = [*model, item][-limit:]
        assert len(held) == len(model) <= limit
        assert {n for n in range(10) if n in held} == set(model)
    assert "not a number" not in held
