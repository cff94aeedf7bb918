"""A coroutine with much to do gives way to others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, pairwise

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from p2pool.base.time_slice import SLICE_TIME, TimeSlice, cooperator
from tests.environment import PostponingReactor, make_environment


def test_a_long_piece_of_work_is_done_in_several_turns_of_the_reactor():
    reactor, steps = Clock(), count()
    environment = make_environment(reactor, monotonic=lambda: SLICE_TIME / 4 * next(steps))
    done: list[int] = []

    async def work() -> None:
        time_slice = TimeSlice(environment)
        for number in range(8):
            await time_slice.pause_if_over()
            done.append(number)

    working = Deferred.fromCoroutine(work())
    seen = [len(done)]
    while not working.called:
        reactor.advance(0)
        seen.append(len(done))
    assert done == list(range(8))
    assert max(after - before for before, after in zip([0, *seen], seen, strict=False)) <= 5


def test_an_iterator_with_much_to_do_gives_way_to_others():
    turns: list[Callable[[], object]] = []
    steps = count()
    environment = make_environment(PostponingReactor(turns.append), monotonic=lambda: SLICE_TIME / 4 * next(steps))
    done: list[int] = []

    def work() -> Iterator[None]:
        for number in range(8):
            done.append(number)
            yield

    cooperator(environment).cooperate(work())
    seen = [0]
    while turns:
        turns.pop()()
        seen.append(len(done))
    assert done == list(range(8))
    assert max(after - before for before, after in pairwise(seen)) <= 5
