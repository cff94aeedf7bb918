"""What happens once is told once: a list that outlives the node, and ids that follow from the event."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.alerts.message import NodeIdentity
from p2pool.alerts.notified import MAX_NOTIFIED, NotifiedOnce, entry_id, with_notified
from p2pool.pool_stats import EventKind, EventRecord
from tests.alerts.happenings import event

HERE = NodeIdentity("n", "dash", "http://p/", "/log")


def found(number: int = 1, kind: EventKind = EventKind.BLOCK_FOUND) -> EventRecord:
    return event(kind, f"{number:064x}")


def test_once_in_this_run_and_in_the_next():
    told = NotifiedOnce()
    assert told.take(found())
    assert not told.take(found())
    assert told.take(found(kind=EventKind.BLOCK_CONFIRMED))
    again = NotifiedOnce()
    again.restore(with_notified({"waiting": []}, told))
    assert again.is_restored
    assert not again.take(found())
    assert again.knows(found())
    assert again.take(found(2))


def test_other_events_happen_again_and_again():
    told = NotifiedOnce()
    assert told.take(event())
    assert told.take(event())
    assert told.to_json() == []
    assert entry_id(event(), "d", HERE) is None


def test_it_is_bounded():
    told = NotifiedOnce()
    for number in range(MAX_NOTIFIED + 10):
        told.take(found(number))
    assert len(told.to_json()) == MAX_NOTIFIED
    again = NotifiedOnce()
    again.restore({"told": [f"block_found:{number:064x}" for number in range(5 * MAX_NOTIFIED)]})
    assert len(again.to_json()) == MAX_NOTIFIED
    assert not again.take(found(5 * MAX_NOTIFIED - 1))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
)


@given(JSON | st.fixed_dictionaries({"told": JSON}))
def test_any_state_is_taken_or_passed_over(state):
    told = NotifiedOnce()
    told.restore(state)
    assert told.to_json() == []


@pytest.mark.parametrize(
    "other",
    [
        entry_id(found(2), "d", HERE),
        entry_id(found(), "e", HERE),
        entry_id(found(kind=EventKind.BLOCK_CONFIRMED), "d", HERE),
        entry_id(found(), "d", NodeIdentity("m", "dash", "http://p/", "/log")),
        entry_id(found(), "d", NodeIdentity("n", "dash_testnet", "http://p/", "/log")),
    ],
)
def test_ids_differ_by_event_destination_and_node(other):
    assert entry_id(found(), "d", HERE) != other


def test_an_id_is_the_same_in_every_run():
    same = entry_id(EventRecord(5.0, EventKind.BLOCK_FOUND, f"{1:064x}", "other words", {"a": 1}), "d", HERE)
    assert entry_id(found(), "d", NodeIdentity("n", "dash", "elsewhere", "other")) == same
