"""Patches: applied to what was there they make what is there now, and they are small where little changed."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.web.live_patch import MAX_NEW, Patch, difference

LEAVES = st.none() | st.integers(2, 5) | st.sampled_from(["", "a", "null"]) | st.floats(10, 20)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.sampled_from("abcdefgh"), inner, max_size=8),
    max_leaves=40,
)


def patched(old: Any, patch: Patch) -> Any:
    """What the page makes of it; written from the format's description."""
    assert patch
    if "value" in patch:
        assert set(patch) == {"value"}
        return patch["value"]
    if "keep" in patch:
        assert set(patch) == {"first", "keep"}
        assert 0 < patch["keep"] <= len(old)
        return patch["first"] + old[: patch["keep"]]
    assert set(patch) <= {"set", "in", "gone"}
    new = copy.copy(old)
    for key in patch.get("gone", ()):
        del new[key]
    for key, value in patch.get("set", {}).items():
        new[int(key) if isinstance(new, list) else key] = value
    for key, inner in patch.get("in", {}).items():
        at = int(key) if isinstance(new, list) else key
        new[at] = patched(new[at], inner)
    return new


@given(VALUES, VALUES)
def test_a_patch_makes_the_new_of_the_old(old, new):
    before = copy.deepcopy(old)
    patch = difference(old, new)
    if patch is None:
        assert old == new
    else:
        assert patched(old, orjson.loads(orjson.dumps(patch))) == new
    assert old == before


@given(st.data(), VALUES)
def test_a_small_change_of_anything(data, old):
    """One leaf of a large value is another one."""
    new = copy.deepcopy(old)
    where: Any = new
    while isinstance(where, dict | list) and where:
        keys = sorted(where) if isinstance(where, dict) else range(len(where))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(where[key], dict | list) or not where[key]:
            where[key] = data.draw(LEAVES)
            break
        where = where[key]
    patch = difference(old, new)
    assert (old if patch is None else patched(old, patch)) == new


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        (1, 1, None),
        (1, 2, {"value": 2}),
        (None, {}, {"value": {}}),
        ({}, None, {"value": None}),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"set": {"b": 3}}),
        ({"a": 1, "b": None}, {"a": 1}, {"gone": ["b"]}),
        ({"a": 1}, {"a": 1, "b": None}, {"set": {"b": None}}),
        ({"a": 1}, {"b": 2}, {"value": {"b": 2}}),
        ({"a": 1, "w": {"x": 1, "y": 2}}, {"a": 1, "w": {"x": 1, "y": 3}}, {"in": {"w": {"set": {"y": 3}}}}),
        ([3, 2, 1], [4, 3, 2], {"first": [4], "keep": 2}),
        ([3, 2, 1], [5, 4, 3, 2, 1], {"first": [5, 4], "keep": 3}),
        ([3, 2, 1], [3, 2], {"first": [], "keep": 2}),
        ([3, 2], [3, 2, 1], {"value": [3, 2, 1]}),
        ([], [1], {"value": [1]}),
        ([1], [], {"value": []}),
        ([{"a": 1, "t": 5}, 2], [{"a": 1, "t": 6}, 2], {"in": {"0": {"set": {"t": 6}}}}),
        ([1, 2, 3], [1, 9, 3], {"set": {"1": 9}}),
    ],
)
def test_the_forms_of_a_patch(old, new, patch):
    assert difference(old, new) == patch


def test_a_list_with_many_new_entries_is_sent_whole():
    old = list(range(100, 0, -1))
    new = [*range(100 + MAX_NEW + 1, 100, -1), *old]
    assert difference(old, new) == {"value": new}
    assert difference(old, new[1:]) == {"first": new[1 : MAX_NEW + 1], "keep": 100}


def test_one_worker_of_ten_thousand_costs_only_itself():
    old = {"miner_hash_rates": {f"address.{n}": float(n) for n in range(10_000)}, "uptime": 5.0}
    new = {"miner_hash_rates": {**old["miner_hash_rates"], "address.7": 1.5}, "uptime": 6.0}
    del new["miner_hash_rates"]["address.8"]  # type: ignore[attr-defined]
    patch = difference(old, new)
    assert patch == {
        "set": {"uptime": 6.0},
        "in": {"miner_hash_rates": {"set": {"address.7": 1.5}, "gone": ["address.8"]}},
    }
