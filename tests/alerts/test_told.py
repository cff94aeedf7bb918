"""What happens once is told once: a list that outlives the node, and ids that follow from the event."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.alerts.message import Place
from p2pool.alerts.told import MAX_TOLD, ToldOnce, delivery_id, with_told
from p2pool.pool_stats import EventKind, EventRecord
from tests.alerts.happenings import event

HERE = Place("n", "dash", "http://p/", "/log")


def found(number: int = 1, kind: EventKind = EventKind.BLOCK_FOUND) -> EventRecord:
    return event(kind, f"{number:064x}")


def test_once_in_this_run_and_in_the_next():
    told = ToldOnce()
    assert told.take(found())
    assert not told.take(found())
    assert told.take(found(kind=EventKind.BLOCK_CONFIRMED))
    again = ToldOnce()
    again.restore(with_told({"waiting": []}, told))
    assert again.is_restored
    assert not again.take(found())
    assert again.knows(found())
    assert again.take(found(2))


def test_other_events_happen_again_and_again():
    told = ToldOnce()
    assert told.take(event())
    assert told.take(event())
    assert told.to_json() == []
    assert delivery_id(event(), "d", HERE) is None


def test_it_is_bounded():
    told = ToldOnce()
    for number in range(MAX_TOLD + 10):
        told.take(found(number))
    assert len(told.to_json()) == MAX_TOLD
    again = ToldOnce()
    again.restore({"told": [f"block_found:{number:064x}" for number in range(5 * MAX_TOLD)]})
    assert len(again.to_json()) == MAX_TOLD
    assert not again.take(found(5 * MAX_TOLD - 1))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
)


@given(JSON | st.fixed_dictionaries({"told": JSON}))
def test_any_state_is_taken_or_passed_over(state):
    told = ToldOnce()
    told.restore(state)
    assert told.to_json() == []


@pytest.mark.parametrize(
    "other",
    [
        delivery_id(found(2), "d", HERE),
        delivery_id(found(), "e", HERE),
        delivery_id(found(kind=EventKind.BLOCK_CONFIRMED), "d", HERE),
        delivery_id(found(), "d", Place("m", "dash", "http://p/", "/log")),
        delivery_id(found(), "d", Place("n", "dash_testnet", "http://p/", "/log")),
    ],
)
def test_ids_differ_by_event_destination_and_node(other):
    assert delivery_id(found(), "d", HERE) != other


def test_an_id_is_the_same_in_every_run():
    same = delivery_id(EventRecord(5.0, EventKind.BLOCK_FOUND, f"{1:064x}", "other words", {"a": 1}), "d", HERE)
    assert delivery_id(found(), "d", Place("n", "dash", "elsewhere", "other")) == same
