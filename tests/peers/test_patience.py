"""How long a peer may take for one answer, and what a host's deliveries are remembered for."""

from __future__ import annotations

import pytest

from p2pool.peers.deliveries import FIRST_PENALTY, FORGIVEN_AFTER, LONGEST_PENALTY, UNKNOWN_RATE, Deliveries
from p2pool.peers.patience import LONGEST, MIN_RATE, MOST_WAITING, STALL, Patience
from p2pool.peers.share_requests import LONGEST_REQUEST, REQUEST_TIME, SLOWEST, ShareRequests


def spent_at(rate: int, *, answering: int = 1, stops_at: float = 1e9, waits: int = 0) -> float:
    """The second in which a peer that sends so many bytes a second loses its turn."""
    patience, received = Patience(100.0), 0
    for second in range(1, 200):
        now = 100.0 + second
        received += rate if second <= stops_at else 0
        if second <= waits:
            patience.wait(now)
        patience.heard(received, now)
        if patience.is_spent(now, answering):
            return second
    raise AssertionError("never spent")


@pytest.mark.parametrize(
    ("rate", "options", "second"),
    [
        (0, {}, STALL + 1),
        (1, {}, STALL + 1),
        (MIN_RATE, {}, LONGEST + 1),
        (100 * MIN_RATE, {"stops_at": 2}, 2 + STALL + 1),  # a burst first does not buy silence
        (MIN_RATE // 4, {"answering": 4}, LONGEST + 1),  # of this node's own line each has a part
        (0, {"waits": 5}, 5 + STALL + 1),
        (0, {"waits": 100}, MOST_WAITING + STALL + 1),  # a flood does not keep a turn
    ],
)
def test_a_turn_is_judged_by_its_progress(rate, options, second):
    assert spent_at(rate, **options) == second


def test_an_answer_that_is_here_is_not_late_however_long_it_is_worked_on():
    patience = Patience(0.0)
    patience.complete()
    assert not patience.is_spent(1e6)


def test_an_answer_that_is_slow_but_is_coming_has_more_time_than_silence():
    requests = ShareRequests()
    for number in (1, 2):
        requests.add(number, 9, parents=0, now=0.0, answered=lambda shares: None)
    last_heard = 0
    for second in range(1, 200):
        requests.heard(1, second * SLOWEST, float(second))
        last_heard = second
        if requests.is_late(float(second)):
            break
    assert last_heard == REQUEST_TIME + 1, "the silent one"
    requests.take(2)
    for second in range(last_heard, 200):
        requests.heard(1, second * SLOWEST, float(second))
        if requests.is_late(float(second)):
            break
    assert second == LONGEST_REQUEST + 1
    requests.heard(77, 5, 0.0)  # of no request


def test_each_lost_turn_costs_more_until_it_is_forgiven():
    deliveries, now = Deliveries(), 0.0
    penalties = []
    for _ in range(8):
        deliveries.lost_turn("h", now)
        penalty = 0.0
        while deliveries.has_penalty("h", now + penalty):
            penalty += FIRST_PENALTY
        penalties.append(penalty)
        now += penalty
    assert penalties == [min(FIRST_PENALTY * 2**n, LONGEST_PENALTY) for n in range(8)]
    now += FORGIVEN_AFTER + 1
    deliveries.lost_turn("h", now)
    assert not deliveries.has_penalty("h", now + FIRST_PENALTY)
    assert not deliveries.has_penalty("other", now)


def test_rates_follow_the_newest_answers():
    deliveries = Deliveries()
    assert deliveries.rate("h") == UNKNOWN_RATE
    deliveries.delivered("h", 100, 1.0)
    assert deliveries.rate("h") == 100.0
    deliveries.delivered("h", 0, 0.0)  # nothing, at once
    assert deliveries.rate("h") == 50.0


def test_hosts_are_bounded():
    deliveries = Deliveries()
    for number in range(3000):
        deliveries.lost_turn(str(number), 0.0)
        deliveries.delivered(str(number), 1, 1.0)
    assert len(deliveries._hosts) == 1024
