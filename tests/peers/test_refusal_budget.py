"""What refused shares cost a host."""

from __future__ import annotations

from p2pool.peers.refusal_budget import _HOSTS, HOUR, TIMES, RefusalBudget
from p2pool.sharechain.refused import MAX_WEIGHT, UNIT

SHARES = TIMES * 180
"""Of a network with a share in 20 s, in an hour."""


def test_a_host_may_relay_several_times_what_the_network_makes_in_an_hour():
    budget = RefusalBudget(20)
    assert all(budget.spend("a", UNIT, 0.0) for _ in range(SHARES))
    assert not budget.spend("a", UNIT, 0.0)
    assert budget.spend("b", UNIT, 0.0)


def test_relaying_a_cheap_share_on_each_of_the_networks_is_within_it_and_a_flood_is_not():
    budget, cheap = RefusalBudget(20), UNIT * MAX_WEIGHT
    assert all(budget.spend("a", cheap, 20.0 * number) for number in range(3000))
    budget = RefusalBudget(20)
    sent = next(number for number in range(1000) if not budget.spend("a", cheap, 0.0))
    assert sent == SHARES // MAX_WEIGHT


def test_it_comes_back_over_an_hour():
    budget = RefusalBudget(20)
    assert budget.spend("a", budget.limit, 0.0)
    assert budget.spend("a", budget.limit / 4, HOUR / 4)
    assert not budget.spend("a", 1, HOUR / 4 - 10)  # nor by a clock that goes back


def test_hosts_are_bounded():
    budget = RefusalBudget(20)
    for number in range(3 * _HOSTS):
        budget.spend(f"host {number}", UNIT, float(number))
    assert len(budget._accounts) == _HOSTS
