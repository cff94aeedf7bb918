"""Events: everyone hears of everything, whatever the others do."""

from __future__ import annotations

from twisted.logger import globalLogPublisher

from p2pool.base.observable import Event


def test_subscribers_hear_in_order_of_subscription():
    event: Event[int] = Event()
    heard: list = []
    event.subscribe(lambda value: heard.append(("first", value)))
    event.subscribe(lambda value: heard.append(("second", value)))
    event.fire(1)
    event.fire(2)
    assert heard == [("first", 1), ("second", 1), ("first", 2), ("second", 2)]


def test_a_subscriber_that_raises_is_logged_and_stops_nobody():
    event: Event[int] = Event()
    heard: list = []
    logged: list = []

    def broken(value: int) -> None:
        raise ZeroDivisionError("ours")

    event.subscribe(broken)
    event.subscribe(heard.append)
    globalLogPublisher.addObserver(logged.append)
    try:
        event.fire(7)
    finally:
        globalLogPublisher.removeObserver(logged.append)
    assert heard == [7]
    (line,) = logged
    assert line["log_failure"].check(ZeroDivisionError)


def test_unsubscribing_ends_one_subscription_however_often_it_is_called():
    event: Event[int] = Event()
    heard: list = []
    first = event.subscribe(heard.append)
    second = event.subscribe(heard.append)
    first()
    first()
    event.fire(1)
    assert heard == [1]
    second()
    event.fire(2)
    assert heard == [1]


def test_subscribers_may_come_and_go_while_an_event_is_delivered():
    event: Event[int] = Event()
    heard: list = []

    def once(value: int) -> None:
        heard.append(("once", value))
        leave()
        event.subscribe(lambda later: heard.append(("late", later)))

    leave = event.subscribe(once)
    event.subscribe(lambda value: heard.append(("always", value)))
    event.fire(1)
    assert heard == [("once", 1), ("always", 1)]
    event.fire(2)
    assert heard[2:] == [("always", 2), ("late", 2)]


def test_a_value_fired_while_another_is_delivered_comes_to_all():
    event: Event[int] = Event()
    heard: list = []
    event.subscribe(lambda value: event.fire(value - 1) if value else None)
    event.subscribe(heard.append)
    event.fire(2)
    assert sorted(heard) == [0, 1, 2]
