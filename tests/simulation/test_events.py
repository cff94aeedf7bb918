"""The clock of a simulated world."""

from __future__ import annotations

import pytest
from twisted.internet.error import AlreadyCalled, AlreadyCancelled

from tests.simulation.events import WORLD, EventQueue
from tests.simulation.network import Host, Internet
from tests.simulation.reactor import SimulatedReactor


def make_reactor(events: EventQueue) -> SimulatedReactor:
    internet = Internet(events, lambda source, target: 0.01)
    return SimulatedReactor(internet, internet.add(Host("a", "1.0.0.1", "eu")))


def test_events_happen_in_order_and_those_of_one_time_in_theirs() -> None:
    events, happened = EventQueue("seed"), []
    for time, name in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (3.0, "late")):
        events.at(time, WORLD, happened.append, name)
    events.run(2.0)
    assert happened == ["a", "b", "c"]
    assert events.now == 2.0


def test_calls_can_be_cancelled_and_postponed_once() -> None:
    events, happened = EventQueue("seed"), []
    cancelled = events.at(1.0, WORLD, happened.append, "cancelled")
    moved = events.at(1.0, WORLD, happened.append, "moved")
    cancelled.cancel()
    moved.delay(1.0)
    events.run(1.5)
    assert happened == []
    assert moved.active()
    events.run(2.0)
    assert happened == ["moved"]
    with pytest.raises(AlreadyCancelled):
        cancelled.cancel()
    with pytest.raises(AlreadyCalled):
        moved.reset(1.0)


def test_nothing_of_a_process_happens_after_its_end() -> None:
    events, happened = EventQueue("seed"), []
    reactor = make_reactor(events)
    reactor.callLater(1.0, happened.append, "too late")
    reactor.kill()
    events.run(2.0)
    assert happened == []


def test_frozen_process_does_everything_after_the_thaw_in_order() -> None:
    events, happened = EventQueue("seed"), []
    reactor = make_reactor(events)
    for name in ("first", "cancelled", "last"):
        call = reactor.callLater(1.0, happened.append, name)
        if name == "cancelled":
            events.at(2.0, WORLD, call.cancel)
    reactor.freeze()
    events.run(3.0)
    assert happened == []
    reactor.thaw()
    events.run(3.0)
    assert happened == ["first", "last"]


def test_chance_is_the_same_for_a_seed_and_a_name_only() -> None:
    def draw(seed: str, name: str) -> float:
        return EventQueue(seed).chance(name).random()

    assert draw("1", "a") == draw("1", "a")
    assert len({draw("1", "a"), draw("1", "b"), draw("2", "a")}) == 3
