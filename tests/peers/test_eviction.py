"""Which incoming connection goes when all are taken."""

from __future__ import annotations

import random

import pytest

from p2pool.peers.eviction import AT_LEAST, Incoming, choose_to_evict

NOW = 10_000.0


def guest(
    n: int, *, group: str = "", age: float | None = None, ping: float | None = None, share: float | None = None
) -> Incoming[int]:
    return Incoming(n, group or f"group {n}", NOW - (1000.0 - n if age is None else age), ping, share)


def number(group: str) -> int:
    """Return what a secret would give: here the longest names come last."""
    return len(group) * 1000 + sum(map(ord, group))


def crowd(count: int = 40) -> list[Incoming[int]]:
    return [guest(n) for n in range(count)]


def test_the_newest_goes():
    assert choose_to_evict(crowd(), NOW, number) == 39


def test_the_newest_of_the_neighbourhood_with_most_goes():
    incoming = crowd()
    for n in (31, 33, 35):
        incoming[n] = guest(n, group="a large neighbourhood")
    assert choose_to_evict(incoming, NOW, number) == 35


@pytest.mark.parametrize(
    "keep",
    [{"ping": 0.01}, {"share": NOW - 5}, {"group": "g"}, {"age": AT_LEAST - 1}],
)
def test_each_reason_to_be_kept(keep):
    incoming = [*crowd(39), guest(39, **keep)]
    assert choose_to_evict(incoming, NOW, number) == 38


def test_the_older_half_stays_and_so_may_all():
    assert choose_to_evict([guest(n, age=50.0 + (100 if n < 5 else 0)) for n in range(10)], NOW, number) is None
    assert choose_to_evict([], NOW, number) is None
    assert choose_to_evict([guest(0, age=100)], NOW, number) == 0


def test_an_attacker_with_a_host_in_each_of_many_neighbourhoods_does_not_push_out_the_honest():
    """Forty slots, ten of them honest, two of whom are fast, two bring shares, and six only were there before. The
    attacker makes a connection every second for an hour; each of its hosts is fast as well, and silent."""
    chance = random.Random(1)
    salt = {f"{n}": chance.random() for n in range(10_000)}
    honest = [guest(n, group=f"{n}", age=7200.0 - n, share=NOW - n if n < 2 else None) for n in range(10)]
    incoming = list(honest)
    for second in range(3600):
        now = NOW + second
        if len(incoming) >= 40:
            goes = choose_to_evict(incoming, now, lambda group: int(salt[group] * 2**64))
            if goes is None:
                continue
            incoming = [each for each in incoming if each.session != goes]
        incoming.append(Incoming(100 + second, f"{100 + second}", now, 0.001, None))
    assert {each.session for each in honest} <= {each.session for each in incoming}
    assert len({each.session for each in incoming}) == 40
