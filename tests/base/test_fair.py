"""Bounded tables in which nobody can push out the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.fair import FairDict, FairQueue


def test_the_largest_group_loses_its_oldest_and_the_newcomer_s_own_if_no_other_is_larger():
    queue: FairQueue[str, str] = FairQueue()
    assert queue.candidate("a") is None
    assert queue.largest_group() is None
    for key in ("a1", "b1", "a2", "b2", "c1"):
        queue.add(key, key[0])
    assert queue.candidate("c") == "a1"
    assert queue.candidate("b") == "b1"
    queue.add("a1", "a")  # the newest now
    assert queue.candidate("a") == "a2"
    assert list(queue) == ["b1", "a2", "b2", "c1", "a1"]
    assert list(queue.group("a")) == ["a2", "a1"]
    assert queue.discard("a2")
    assert not queue.discard("a2")
    assert queue.candidate("c") == "b1"
    assert "b1" in queue
    assert len(queue) == 4


def test_however_many_keys_one_group_adds_the_others_keep_theirs():
    table: FairDict[tuple[int, int], int, int] = FairDict(100)
    for number in range(10):
        table.put((1, number), number, 1)
    for number in range(100_000):
        table.put((2, number), number, 2)
    assert len(table) == 100
    assert [key for key in table if key[0] == 1] == [(1, number) for number in range(10)]
    # A third one has its share at the cost of the largest.
    for number in range(1000):
        table.put((3, number), number, 3)
    sizes = [sum(key[0] == group for key in table) for group in (1, 2, 3)]
    assert sizes == [10, 45, 45]


def test_a_table_gives_what_was_put_last_and_counts_a_key_once():
    table: FairDict[str, int, str] = FairDict(2)
    assert table.put("a", 1, "x") is None
    assert table.put("a", 2, "y") is None
    assert table.put("b", 3, "y") is None
    assert table.put("c", 4, "z") == 2
    assert (table.get("a"), table.get("b"), table["c"], list(table.values())) == (None, 3, 4, [3, 4])
    assert (table.pop("b"), table.pop("b"), len(table)) == (3, None, 1)
    with pytest.raises(ValueError, match="positive"):
        FairDict(0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12), st.integers(0, 3))), st.integers(0, 8))
def test_it_agrees_with_a_model(steps, first_asked):
    queue: FairQueue[int, int] = FairQueue()
    model: dict[int, int] = {}
    for number, (add, key, group) in enumerate(steps):
        known = model.pop(key, None) is not None
        if add:
            queue.add(key, group)
            model[key] = group
        else:
            assert queue.discard(key) == known
        assert list(queue) == list(model)
        if number < first_asked:
            continue
        sizes = {each: list(model.values()).count(each) for each in model.values()}
        for newcomer in range(5):
            largest = max(sizes.values(), default=0)
            chosen = queue.largest_group(newcomer)
            assert (chosen is None) == (not model)
            if chosen is not None:
                assert sizes[chosen] == largest
                assert chosen == newcomer or sizes.get(newcomer, 0) < largest
                assert queue.candidate(newcomer) == next(k for k, g in model.items() if g == chosen)
