"""Fair shares: whoever holds most gives up its own oldest item, and nobody else's."""

from __future__ import annotations

import gc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.fair import FairShares


def test_the_owner_that_holds_most_gives_up_its_oldest():
    shares: FairShares[int] = FairShares()
    for item in range(5):
        assert shares.add(("greedy",), item)
    assert shares.add(("modest",), 100)
    assert shares.greediest() == (("greedy",), 0)
    assert shares.remove(("greedy",), 0)
    assert shares.greediest() == (("greedy",), 1)
    assert (len(shares), len(shares.items(("greedy",))), len(shares.items(("modest",)))) == (5, 4, 1)


def test_one_that_holds_no_more_than_an_equal_share_is_never_touched():
    shares: FairShares[tuple] = FairShares()
    for item in range(10):
        shares.add(("honest",), ("honest", item))
    for number in range(10_000):
        shares.add((f"flood{number % 50}",), ("flood", number))
        while len(shares) > 1000:
            path, item = shares.greediest()
            shares.remove(path, item)
    assert len(shares.items(("honest",))) == 10


def test_within_a_host_the_address_that_holds_most_gives_up_first():
    shares: FairShares[int] = FairShares()
    shares.add(("host", "quiet"), 0)
    for item in range(1, 4):
        shares.add(("host", "busy"), item)
    for item in range(10, 12):
        shares.add(("other", "one"), item)
    assert shares.greediest() == (("host", "busy"), 1)
    assert shares.holds_most("host")
    assert not shares.holds_most("other")


def test_what_is_not_there_cannot_be_removed_and_what_is_there_is_counted_once():
    shares: FairShares[int] = FairShares()
    assert shares.greediest() is None
    assert not shares.remove(("a", "b"), 1)
    assert shares.add(("a", "b"), 1)
    assert not shares.add(("a", "b"), 1)
    assert not shares.remove(("a", "c"), 1)
    assert shares.remove(("a", "b"), 1)
    assert len(shares) == 0
    assert shares.greediest() is None


def test_paths_of_different_lengths_are_a_mistake():
    shares: FairShares[int] = FairShares()
    shares.add(("a", "b"), 1)
    with pytest.raises(TypeError):
        shares.add(("a",), 2)
    with pytest.raises(TypeError):
        shares.add(("a", "b", "c"), 2)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 2), st.integers(0, 5)), max_size=80))
def test_sizes_and_the_greediest_are_what_a_plain_count_says(steps):
    shares: FairShares[int] = FairShares()
    held: dict[tuple, dict[int, None]] = {}
    for add, host, address, item in steps:
        items = held.setdefault((host, address), {})
        if add:
            assert shares.add((host, address), item) is (item not in items)
            items.setdefault(item)
        else:
            assert shares.remove((host, address), item) is (item in items)
            items.pop(item, None)
        hosts = Counter()
        for (owner, _), items in held.items():
            hosts[owner] += len(items)
        assert len(shares) == sum(hosts.values())
        assert all(
            shares.holds_most(owner) is (count == max(hosts.values()))
            for owner, count in hosts.items()
            if len(shares)
        )
        if not len(shares):
            assert shares.greediest() is None
            continue
        (owner, inner), oldest = shares.greediest()
        assert hosts[owner] == max(hosts.values())
        assert len(held[owner, inner]) == max(len(items) for path, items in held.items() if path[0] == owner)
        assert oldest == next(iter(held[owner, inner]))


def test_all_items_can_be_listed_owner_by_owner():
    shares: FairShares[int] = FairShares()
    assert list(shares) == []
    for path, item in [(("a", "x"), 1), (("b", "x"), 2), (("a", "y"), 3), (("a", "x"), 4)]:
        shares.add(path, item)
    assert list(shares) == [(("a", "x"), 1), (("a", "x"), 4), (("a", "y"), 3), (("b", "x"), 2)]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 10, 30])
def test_an_owner_with_few_items_keeps_their_order_when_it_gets_many(count):
    shares: FairShares[str] = FairShares()
    items = [f"item {number}" for number in range(count)]
    for item in items:
        assert shares.add(("host",), item)
        assert not shares.add(("host",), item)
    assert list(shares.items(("host",))) == items
    for item in items:
        assert shares.greediest() == (("host",), item)
        assert shares.remove(("host",), item)
    assert not shares
    assert list(shares.items(("host",))) == []


def test_owners_with_one_item_leave_nothing_for_garbage_collection_to_visit():
    shares: FairShares[str] = FairShares()
    gc.collect()
    before = len(gc.get_objects())
    for number in range(500):
        shares.add((f"host {number}",), f"item {number}")
    gc.collect()
    assert len(gc.get_objects()) - before < 50


def test_an_owner_of_few_items_holds_them_in_a_tuple():
    shares = FairShares()
    for item in range(5):
        assert isinstance(shares.items(("host", "address")), tuple)
        assert shares.add(("host", "address"), item)
        assert not shares.add(("host", "address"), item)
    assert isinstance(shares.items(("host", "address")), dict)
    assert list(shares.items(("host", "address"))) == [0, 1, 2, 3, 4]
    assert shares.add(("host", "another"), 7)
    assert shares.remove(("host", "another"), 7)
    assert shares.items(("host", "another")) == ()
    assert len(shares) == 5
