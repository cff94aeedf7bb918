"""Turns of the reactor, shared fairly: how much of one is used, who comes next, what waits in order."""

from __future__ import annotations

from collections import Counter, deque

import pytest

from p2pool.base.turns import CREDIT, SLICE_STEPS, Turns


class Reactor:
    """A clock that only work moves, and calls for the next turn."""

    def __init__(self) -> None:
        self.now = 0.0
        self.soon: deque = deque()
        self.turns: list[float] = []
        """Seconds that each turn took."""

    def run(self, turns: int = 10_000) -> None:
        """So many turns, or until nothing is to be done."""
        for _ in range(turns):
            if not self.soon:
                return
            started, calls = self.now, len(self.soon)
            for _ in range(calls):
                self.soon.popleft()()
            self.turns.append(self.now - started)


class Sender:
    """A client with so many steps to do that each take so long."""

    def __init__(self, reactor: Reactor, host: str, cost: float = 0.001, steps: int = 0) -> None:
        self.reactor, self.host_key, self.cost = reactor, host, cost
        self.todo = deque(range(steps))
        self.done: list[int] = []
        self.holds: list[bool] = []
        self.errors: list[Exception] = []
        self.finished_at: float | None = None

    def step(self) -> bool:
        if not self.todo:
            return False
        self.reactor.now += self.cost
        self.done.append(self.todo.popleft())
        if not self.todo:
            self.finished_at = self.reactor.now
        return bool(self.todo)

    def hold(self, held: bool) -> None:
        self.holds.append(held)

    def failed(self, error: Exception) -> None:
        self.errors.append(error)


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def turns(reactor) -> Turns:
    return Turns(lambda: reactor.now, reactor.soon.append)


def test_short_work_of_one_is_done_at_once(reactor, turns):
    client = Sender(reactor, "a", 0.0001, 5)
    turns.submit(client)
    assert client.done == [0, 1, 2, 3, 4]
    assert client.holds == []
    assert len(turns) == 0


def test_short_work_begins_no_turn_until_it_adds_up(reactor, turns):
    clients = [Sender(reactor, "a", 0.0001, 3) for _ in range(4)]
    for client in clients[:3]:
        turns.submit(client)
    assert not reactor.soon
    turns.submit(clients[3])
    assert len(reactor.soon) == 1
    reactor.run()
    assert all(client.done == [0, 1, 2] for client in clients)
    long = Sender(reactor, "b", 0.001, 100)
    before = reactor.now
    turns.submit(long)
    assert reactor.now - before <= 0.0131


def test_work_that_fails_is_counted_too(reactor, turns):
    class Failing(Sender):
        def step(self) -> bool:
            super().step()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        turns.submit(Failing(reactor, "a", 0.002, 1))
    assert len(reactor.soon) == 1


def test_long_work_is_held_and_done_in_later_turns_in_order(reactor, turns):
    client = Sender(reactor, "a", 0.001, 100)
    turns.submit(client)
    assert len(client.done) == 2
    turns.submit(client)  # more has come
    assert client.holds == [True]
    reactor.run()
    assert client.done == list(range(100))
    assert client.holds == [True, False]
    assert max(reactor.turns) <= 0.0131


def test_twenty_greedy_hosts_use_ten_milliseconds_of_a_turn(reactor, turns):
    """Together, also in the turn in which all of them send at once."""
    clients = [Sender(reactor, f"h{n}", 0.001, 750) for n in range(20)]
    for client in clients:
        turns.submit(client)
    assert reactor.now <= 0.0131
    reactor.run()
    assert all(client.done == list(range(750)) for client in clients)
    assert max(reactor.turns) <= 0.0131


def test_a_modest_client_is_served_in_the_next_turn(reactor, turns):
    greedy = [Sender(reactor, f"h{n}", 0.001, 1000) for n in range(20)]
    for client in greedy:
        turns.submit(client)
    reactor.run(50)
    modest = Sender(reactor, "modest", 0.0001, 3)
    before = reactor.now
    turns.submit(modest)
    assert modest.done == []  # nobody overtakes those that wait
    reactor.run(25)  # each of the others may be behind by one slice
    assert modest.finished_at is not None
    assert modest.finished_at - before < 0.05


def test_time_is_shared_by_host_and_not_by_connection(reactor, turns):
    many = [Sender(reactor, "many", 0.001, 1000) for _ in range(9)]
    one = Sender(reactor, "one", 0.001, 1000)
    for client in (*many, one):
        turns.submit(client)
    reactor.run(100)
    assert sum(len(client.done) for client in many) == pytest.approx(len(one.done), abs=10)
    shares = Counter(len(client.done) // 10 for client in many)
    assert max(shares) - min(shares) <= 1


def test_who_was_idle_has_saved_nothing(reactor, turns):
    busy = Sender(reactor, "busy", 0.001, 2000)
    turns.submit(busy)
    reactor.run(100)
    late = Sender(reactor, "late", 0.001, 1000)
    turns.submit(late)
    done = len(busy.done)
    reactor.run(20)
    assert len(busy.done) - done == pytest.approx(len(late.done) - CREDIT / 0.001, abs=5)


def test_steps_without_measurable_time_are_bounded_as_well(reactor, turns):
    client, other = Sender(reactor, "a", 0.0, 1000), Sender(reactor, "b", 0.0, 1000)
    turns.submit(client)
    turns.submit(other)
    assert len(client.done) == SLICE_STEPS
    reactor.run(1)
    assert len(other.done) > 0
    reactor.run()
    assert len(client.done) == len(other.done) == 1000


def test_an_error_at_once_is_the_callers_and_a_later_one_the_clients(reactor, turns):
    class Broken(Sender):
        def step(self) -> bool:
            if len(self.done) == 3:
                raise ValueError("no")
            return super().step()

    client = Broken(reactor, "a", 0.0001, 10)
    with pytest.raises(ValueError, match="no"):
        turns.submit(client)
    assert len(turns) == 0
    later, honest = Broken(reactor, "b", 0.001, 10), Sender(reactor, "c", 0.001, 10)
    turns.submit(later)
    turns.submit(honest)
    reactor.run()
    assert [str(error) for error in later.errors] == ["no"]
    assert honest.done == list(range(10))
    assert len(turns) == 0


def test_a_client_that_ended_is_forgotten(reactor, turns):
    client, other = Sender(reactor, "a", 0.001, 50), Sender(reactor, "b", 0.001, 50)
    turns.submit(client)
    turns.submit(other)
    done = len(client.done)
    turns.forget(client)
    turns.forget(client)
    reactor.run()
    assert (len(client.done), len(other.done)) == (done, 50)
    assert len(turns) == 0


def test_a_client_may_end_during_its_own_step(reactor, turns):
    class Leaving(Sender):
        def step(self) -> bool:
            if len(self.done) == 4:
                turns.forget(self)
                return False
            return super().step()

    client, other = Leaving(reactor, "a", 0.001, 50), Sender(reactor, "b", 0.001, 50)
    turns.submit(client)
    turns.submit(other)
    reactor.run()
    assert (len(client.done), len(other.done)) == (4, 50)
    assert client.holds == [True]


def test_a_client_that_cannot_even_fail_stops_nobody_else(reactor, turns):
    class Broken(Sender):
        def step(self) -> bool:
            self.reactor.now += 0.003
            if self.holds:
                raise ValueError("a step")
            return True

        def failed(self, error: Exception) -> None:
            raise RuntimeError("no end")

    other = Sender(reactor, "b", 0.001, 30)
    turns.submit(Broken(reactor, "a"))
    turns.submit(other)
    with pytest.raises(RuntimeError):
        reactor.run()
    reactor.run()
    assert other.done == list(range(30))
    assert other.holds == [True, False]
    assert len(turns) == 0
