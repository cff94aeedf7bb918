"""What people are notified of other nodes: newer share types, a software that was lost, connections closed at
once."""

from __future__ import annotations

import pytest

from p2pool.alerts.other_nodes import (
    CALM,
    MANY_SITES,
    MAX_NAMES,
    MAX_TYPES,
    ONLY_CLOSES,
    ONLY_TIME,
    PATIENCE,
    OtherNodesWatch,
)
from p2pool.pool_stats import EarlyCloses, EventKind, LostSoftware, NewerType, PeerCensus, PeerCounts
from tests.alerts.happenings import snapshot
from tests.chains import NOW

LOST = 600.0


class Looker:
    """The watch and a clock; `connected` nodes are connected."""

    def __init__(self) -> None:
        self.watch = OtherNodesWatch(LOST)
        self.now = NOW
        self.connected = 4

    def look(self, seconds: float = 5.0, **census) -> list[EventKind]:
        """Kinds of what looks every five seconds find."""
        end, self.found = self.now + seconds, []
        while self.now < end:
            self.now += 5.0
            peers = PeerCounts(self.connected, 0, census=PeerCensus(**census))
            self.found += self.watch.check(snapshot(self.now, peers=peers))
        return [event.kind for event in self.found]


def newer(kind: int | None, shares: int = 1) -> NewerType:
    return NewerType(kind, shares, NOW - 9, NOW, "8.1.0.1:9", "c2pool <b>", 1)


# --- share types -------------------------------------------------------------------------------------------------


def test_the_first_share_of_each_newer_type_is_notified_once():
    looker = Looker()
    assert looker.look(newer_types=(newer(36),)) == [EventKind.NEWER_SHARE_TYPE]
    (event,) = looker.found
    assert event.subject == "36"
    assert event.text == (
        "8.1.0.1:9 (c2pool <b>) sent the first share of type 36; this node knows types up to 16, and ignores "
        "others"
    )
    assert (event.details["share_type"], event.details["since"]) == (36, NOW - 9)
    assert looker.look(600, newer_types=(newer(36, 5000),)) == []
    assert looker.look(newer_types=(newer(36), newer(37), newer(None))) == [EventKind.NEWER_SHARE_TYPE] * 2
    assert "several further types" in looker.found[1].text
    assert looker.look() == []


def test_who_invents_types_is_not_worth_more_messages():
    looker = Looker()
    types = tuple(newer(kind) for kind in (*range(17, 128), None))
    assert looker.look(60, newer_types=types) == [EventKind.NEWER_SHARE_TYPE] * MAX_TYPES


# --- software ----------------------------------------------------------------------------------------------------


def lost(*names: str) -> tuple[LostSoftware, ...]:
    return tuple(LostSoftware(name, 61.0, 3) for name in names)


def test_a_software_that_stays_away_is_notified_and_so_is_its_return():
    looker = Looker()
    assert looker.look(LOST - 10, lost=lost("c2pool")) == []
    assert looker.look(30, lost=lost("c2pool")) == [EventKind.SOFTWARE_LOST]
    (event,) = looker.found
    assert (event.subject, event.details["most"]) == ("c2pool", 3)
    assert event.text == "no node that runs c2pool has been connected for 10 min 0 s; before that, up to 3 were"
    assert looker.look(5000, lost=lost("c2pool")) == []
    assert looker.look(60) == [EventKind.SOFTWARE_BACK]
    assert looker.watch._lost == {}


def test_one_that_comes_back_in_time_is_no_news():
    looker = Looker()
    for _ in range(5):
        assert looker.look(LOST - 10, lost=lost("c2pool")) == []
        assert looker.look() == []


def test_while_no_node_is_connected_no_software_is_missed_and_then_the_wait_begins_anew():
    looker = Looker()
    looker.look(LOST - 50, lost=lost("c2pool", "p2pool-dash"))
    looker.connected = 0
    assert looker.look(5000, lost=lost("c2pool", "p2pool-dash")) == []
    looker.connected = 1
    assert looker.look(LOST - 10, lost=lost("c2pool")) == []
    assert looker.look(20, lost=lost("c2pool")) == [EventKind.SOFTWARE_LOST]


def test_the_table_of_names_is_bounded():
    looker = Looker()
    for start in range(0, 200, 10):
        looker.look(lost=lost(*(f"fork{n}" for n in range(start))))
        assert len(looker.watch._lost) <= MAX_NAMES
    looker.look()
    assert looker.watch._lost == {}


# --- connections that are closed at once -------------------------------------------------------------------------


def closes(hosts: int, sites: int | None = None, each: int = 1, lasting: float = 0.0) -> EarlyCloses:
    return EarlyCloses(hosts, hosts if sites is None else sites, hosts * each, lasting, NOW, 3600, 3600)


def test_several_neighbourhoods_that_close_at_once_are_notified_and_so_is_that_they_stopped():
    looker = Looker()
    assert looker.look(PATIENCE, early_closes=closes(MANY_SITES, each=2)) == []
    assert looker.look(10, early_closes=closes(MANY_SITES, each=2)) == [EventKind.HANDSHAKES_CLOSED]
    (event,) = looker.found
    assert event.text == (
        "3 nodes closed new connections within seconds, 6 times in total; 4 nodes connected. They "
        "may require a higher protocol than this node announces (3600)"
    )
    assert looker.look(7200, early_closes=closes(MANY_SITES)) == []
    assert looker.look(CALM) == []
    assert looker.look(10) == [EventKind.HANDSHAKES_KEPT]


@pytest.mark.parametrize(
    "seen",
    [
        closes(1, each=500, lasting=3500.0),
        closes(2, each=500, lasting=3500.0),
        closes(40, sites=2, each=50, lasting=3500.0),
    ],
    ids=["one host", "two hosts", "one operator"],
)
def test_a_host_that_comes_and_goes_is_no_news_while_others_stay(seen):
    looker = Looker()
    assert looker.look(7200, early_closes=seen) == []


def test_a_few_of_many_are_no_news():
    looker = Looker()
    looker.connected = 7
    assert looker.look(7200, early_closes=closes(3)) == []
    assert looker.look(60, early_closes=closes(4)) == [EventKind.HANDSHAKES_CLOSED]


def test_one_host_is_enough_where_it_is_the_only_one_and_keeps_doing_it():
    looker = Looker()
    looker.connected = 0
    assert looker.look(600, early_closes=closes(1, each=ONLY_CLOSES, lasting=ONLY_TIME - 1)) == []
    assert looker.look(600, early_closes=closes(1, each=ONLY_CLOSES - 1, lasting=ONLY_TIME)) == []
    assert looker.look(60, early_closes=closes(1, each=ONLY_CLOSES, lasting=ONLY_TIME)) == [
        EventKind.HANDSHAKES_CLOSED
    ]
    assert looker.found[0].text.startswith("1 node closed new connections")
