"""Requests to the broker leave in their order, but a found block's at once, and a share's before the others."""

from __future__ import annotations

import queue

import pytest

from p2pool.broker.request_queue import RequestQueue, Urgency


def drain(requests: RequestQueue, count: int) -> None:
    for _ in range(count):
        run = requests.get()
        assert run is not None
        run()


def test_urgent_requests_are_next_and_all_others_keep_their_order():
    requests = RequestQueue(10)
    done: list[int] = []
    for n in range(3):
        requests.put_nowait(lambda n=n: done.append(n))
    for n in (5, 6):
        requests.put_nowait(lambda n=n: done.append(n), urgent=Urgency.SHARE)
    for n in (7, 8):
        requests.put_nowait(lambda n=n: done.append(n), urgent=Urgency.BLOCK)
    drain(requests, 7)
    assert done == [7, 8, 5, 6, 0, 1, 2]


def test_a_full_queue_takes_as_many_shares_again_and_all_blocks():
    requests = RequestQueue(2)
    for urgent in (Urgency.USUAL, Urgency.USUAL, Urgency.SHARE, Urgency.SHARE):
        requests.put_nowait(lambda: None, urgent=urgent)
        if urgent is Urgency.SHARE:
            with pytest.raises(queue.Full):
                requests.put_nowait(lambda: None)
    with pytest.raises(queue.Full):
        requests.put_nowait(lambda: None, urgent=Urgency.SHARE)
    for _ in range(3):
        requests.put_nowait(lambda: None, urgent=Urgency.BLOCK)
    drain(requests, 7)


def test_none_ends_those_who_read():
    requests = RequestQueue(2)
    requests.put_nowait(None)
    assert requests.get() is None
