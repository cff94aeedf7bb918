"""Requests to the broker leave in their order, but a found block's at once."""

from __future__ import annotations

import queue

import pytest

from p2pool.broker.request_queue import RequestQueue


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
    for n in (7, 8):
        requests.put_nowait(lambda n=n: done.append(n), urgent=True)
    drain(requests, 5)
    assert done == [7, 8, 0, 1, 2]


def test_a_full_queue_takes_urgent_requests_only():
    requests = RequestQueue(2)
    for _ in range(2):
        requests.put_nowait(lambda: None)
    with pytest.raises(queue.Full):
        requests.put_nowait(lambda: None)
    requests.put_nowait(lambda: None, urgent=True)
    drain(requests, 3)


def test_none_ends_those_who_read():
    requests = RequestQueue(2)
    requests.put_nowait(None)
    assert requests.get() is None
