"""What a bounded table costs does not depend on how much it has already lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from p2pool.base.bounded import BoundedDict
from p2pool.base.fair import FairDict, FairShares

COUNT = 40_000
PART = COUNT // 8


def seconds(step: Callable[[], object]) -> float:
    """CPU time of PART steps."""
    start = time.thread_time()
    for _ in range(PART):
        step()
    return time.thread_time() - start


@pytest.mark.parametrize("owners", [1, COUNT])
def test_the_last_items_of_fair_shares_cost_what_the_first_do(owners):
    shares: FairShares[int] = FairShares()
    for number in range(COUNT):
        shares.add(("site", number % owners), number)

    def give_up_one() -> None:
        path, item = shares.greediest()
        shares.remove(path, item)

    parts = [seconds(give_up_one) for _ in range(COUNT // PART)]
    assert not shares
    assert sum(parts[-2:]) < 3 * sum(parts[:2])


def test_the_last_entries_of_a_fair_dict_cost_what_the_first_do():
    table: FairDict[int, None, str] = FairDict(COUNT)
    for number in range(COUNT):
        table.put(number, None, "site")
    parts = [seconds(lambda: table.pop(next(iter(table)))) for _ in range(COUNT // PART)]
    assert not len(table)
    assert sum(parts[-2:]) < 3 * sum(parts[:2])


def test_a_full_bounded_dict_costs_what_one_does_that_is_filled():
    table: BoundedDict[int, None] = BoundedDict(COUNT)
    numbers = iter(range(10 * COUNT))

    def put_one() -> None:
        table[next(numbers)] = None

    filling = [seconds(put_one) for _ in range(COUNT // PART)]
    full = [seconds(put_one) for _ in range(COUNT // PART)]
    assert len(table) == COUNT
    assert sum(full) < 4 * sum(filling)
