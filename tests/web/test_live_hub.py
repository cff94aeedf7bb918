"""Everybody who watches live, without sockets: who is told what, slow readers, bounds."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from p2pool.base.errors import ParseError
from p2pool.web.live_hub import GOING_AWAY, PIECE, LiveClient, LiveHub, LiveLimits
from tests.web.test_live_messages import take_apart
from tests.web.test_live_patch import patched

ALL = frozenset({"stats", "workers", "blocks"})


class Browser:
    """A client's connection: it takes `room` bytes and then says that it is full, as a transport does."""

    def __init__(
        self, hall: Hall, views: frozenset[str] = ALL, host: str = "a", room: float = float("inf")
    ) -> None:
        self.hall = hall
        self.room = room
        self.writes: list[bytes] = []
        self.log: list[str] = []
        self.messages: list[Any] = []
        self._part = b""
        self.values: dict[str, Any] = {}
        self.client: LiveClient = hall.hub.join(self, host=host, views=views, allowed=ALL, now=hall.now)

    def write(self, frames) -> None:
        assert "abort" not in self.log
        for frame in frames:
            self.writes.append(frame)
            self.room -= len(frame)
            first, payload = take_apart(frame)
            assert (first & 15 == 0) == bool(self._part)
            self._part += payload
            if first & 0x80:
                message, self._part = json.loads(self._part), b""
                self._take(message)
        if self.room <= 0:
            self.hall.hub.paused(self.client, self.hall.now)

    def _take(self, message: Any) -> None:
        self.messages.append(message)
        if message["type"] == "snapshot":
            self.values = message["views"]
        if message["type"] == "changes":
            assert message["views"]
            for view, patch in message["views"].items():
                self.values[view] = patched(self.values.get(view), patch)

    def read(self, room: float = float("inf")) -> None:
        """It has room again."""
        self.room = room
        self.hall.hub.resumed(self.client, self.hall.now)
        self.hall.turns()

    def ping(self) -> None:
        self.log.append("ping")

    def close(self, code: int, reason: str) -> None:
        self.log.append(f"close {code}")

    def abort(self) -> None:
        self.log.append("abort")

    def types(self) -> list[str]:
        """Of the messages since the last call."""
        types = [message["type"] for message in self.messages]
        self.messages.clear()
        return types


class Hall:
    """A hub and its clock."""

    def __init__(self, derive=None, **limits: Any) -> None:
        self.now = 1000.0
        self.hub = LiveHub(LiveLimits(**limits), self.now, derive)
        self.rendered: dict[str, bytes] = {}
        self.values: dict[str, Any] = {}
        self.show(stats={"uptime": 0, "rate": 1.5}, workers={"a": {"rate": 1}, "b": {"rate": 2}}, blocks=[3, 2, 1])

    def show(self, **values: Any) -> None:
        """A second later the views are these; the others stay."""
        self.now += 1
        for _ in self.showing(**values):
            pass
        self.turns()

    def showing(self, **values: Any) -> Iterator[None]:
        """The same in its steps."""
        self.values |= values
        self.rendered |= {view: orjson.dumps(value) for view, value in values.items()}
        return self.hub.refreshing(self.rendered, self.values, self.now)

    def turns(self) -> int:
        """All that there are."""
        count = 0
        while self.hub.has_turns:
            self.hub.turn(10)
            count += 1
            assert count < 1000
        return count

    def wait(self, seconds: int) -> None:
        """Ticks, nothing else."""
        for _ in range(seconds):
            self.now += 1
            self.hub.tick(self.now)
            self.turns()


@pytest.fixture
def hall():
    return Hall()


# --- what is told ------------------------------------------------------------------------------------------------


def test_on_connect_one_snapshot_then_changes_only(hall):
    browser = Browser(hall)
    hall.turns()
    (snapshot,) = browser.messages
    assert snapshot == {
        "type": "snapshot",
        "time": hall.now,
        "views": {view: json.loads(body) for view, body in hall.rendered.items()},
    }
    browser.messages.clear()
    hall.show(stats={"uptime": 1, "rate": 1.5}, workers={"a": {"rate": 1}, "b": {"rate": 5}})
    (changes,) = browser.messages
    assert changes == {
        "type": "changes",
        "time": hall.now,
        "views": {
            "stats": {"set": {"uptime": 1}},
            "workers": {"set": {"b": {"rate": 5}}},
        },
    }
    browser.messages.clear()
    hall.show(workers={"a": {"rate": 1}}, blocks=[4, 3, 2, 1])
    assert browser.messages[0]["views"] == {"workers": {"gone": ["b"]}, "blocks": {"first": [4], "keep": 3}}


def test_nothing_is_said_where_nothing_changed(hall):
    browser = Browser(hall)
    hall.turns()
    assert browser.types() == ["snapshot"]
    hall.show()
    hall.show(stats={"uptime": 0, "rate": 1.5})
    assert browser.types() == []


def test_a_subset_of_views(hall):
    one, other, both = Browser(hall, frozenset({"stats"})), Browser(hall, frozenset({"blocks"})), Browser(hall)
    hall.turns()
    assert set(one.values) == {"stats"}
    hall.show(stats={"uptime": 9})
    assert one.types() == ["snapshot", "changes"]
    assert other.types() == ["snapshot"]
    assert both.types() == ["snapshot", "changes"]
    assert one.values == {"stats": {"uptime": 9}}


def test_everybody_shares_the_bytes(hall):
    browsers = [Browser(hall) for _ in range(50)]
    hall.turns()
    hall.show(stats={"uptime": 2, "rate": 1.5})
    hall.hub.event({"event": "block", "number": 5}, hall.now)
    hall.turns()
    assert [len(browser.writes) for browser in browsers] == [3] * 50
    for writes in zip(*(browser.writes for browser in browsers), strict=True):
        assert len({id(frame) for frame in writes}) == 1


def test_a_view_that_nobody_watches_is_not_compared(hall, monkeypatch):
    browser = Browser(hall, frozenset({"stats"}))
    hall.turns()
    compared = []
    monkeypatch.setattr("p2pool.web.live_hub.difference", lambda old, new: compared.append(new) or {"value": new})
    hall.show(stats={"uptime": 4}, workers={"c": {}}, blocks=[])
    assert compared == [{"uptime": 4}]
    hall.hub.leave(browser.client)
    hall.show(stats={"uptime": 5})
    assert len(compared) == 1


def test_what_is_rendered_already_is_sent_if_it_is_another_object(hall):
    a, b = (orjson.Fragment(text) for text in (b'{"rate":1}', b'{"rate":2}'))
    hall.show(workers={"a": a, "b": b})
    browser = Browser(hall, frozenset({"workers"}))
    hall.turns()
    hall.show(workers={"a": a, "b": orjson.Fragment(b'{"rate":3}')})
    assert browser.messages[-1]["views"] == {"workers": {"set": {"b": {"rate": 3}}}}
    assert browser.values["workers"] == {"a": {"rate": 1}, "b": {"rate": 3}}


def test_other_bytes_of_what_seems_the_same_are_sent(hall):
    """A view that shows something that changes under it."""
    shown = {"rate": 1}
    hall.show(workers=shown)
    browser = Browser(hall, frozenset({"workers"}))
    hall.turns()
    shown["rate"] = 2
    hall.show(workers=shown)
    assert browser.values == {"workers": {"rate": 2}}


def test_events_are_sent_at_once_and_in_order(hall):
    browser = Browser(hall)
    hall.turns()
    hall.hub.event({"event": "share", "hash": "00"}, 1003.25)
    hall.hub.event({"event": "block", "number": 7}, 1003.5)
    hall.turns()
    assert browser.messages[1:] == [
        {"type": "event", "time": 1003.25, "event": "share", "hash": "00"},
        {"type": "event", "time": 1003.5, "event": "block", "number": 7},
    ]


def test_too_many_events_are_counted_only():
    hall = Hall(events=3, event_rate=1.0)
    browser = Browser(hall)
    hall.turns()
    browser.messages.clear()
    for number in range(10):
        hall.hub.event({"event": "share", "number": number}, hall.now)
    hall.turns()
    assert [message["number"] for message in browser.messages] == [0, 1, 2]
    hall.hub.event({"event": "share", "number": 10}, hall.now + 1)
    hall.hub.event({"event": "share", "number": 11}, hall.now + 2)
    hall.turns()
    assert browser.messages[3]["missed"] == 7
    assert "missed" not in browser.messages[4]


def test_events_that_a_change_tells_of():
    def derive(before, now):
        return [{"event": "alert", "text": text} for text in now["warnings"] if text not in before["warnings"]]

    hall = Hall({"stats": derive})
    hall.show(stats={"warnings": ["old"]})
    browser = Browser(hall)
    hall.turns()
    hall.show(stats={"warnings": ["old", "new"]})
    assert browser.messages[-1] == {"type": "event", "time": hall.now, "event": "alert", "text": "new"}
    assert browser.types() == ["snapshot", "changes", "event"]


# --- joining in the middle ---------------------------------------------------------------------------------------


def test_who_joins_while_views_are_sent_has_all_of_it_or_nothing(hall):
    """At every step of a refresh somebody joins, somebody else subscribes: all know the same in the end."""
    watching = Browser(hall, frozenset({"stats"}))
    hall.turns()
    rng = random.Random(5)
    browsers = [watching]
    for round_number in range(40):
        values = {
            "stats": {"uptime": round_number, "rate": rng.randrange(3)},
            "workers": {name: {"rate": rng.randrange(3)} for name in "abcd" if rng.random() < 0.7},
            "blocks": list(range(round_number, round_number - 5, -1)),
        }
        hall.now += 1
        for _ in hall.showing(**values):
            views = frozenset(rng.sample(sorted(ALL), rng.randint(1, 3)))
            if len(browsers) < 12:
                browsers.append(Browser(hall, views, room=rng.choice([1, 100, float("inf")])))
            client = rng.choice(browsers).client
            asked = orjson.dumps({"type": "subscribe", "views": sorted(views)})
            try:
                hall.hub.received(client, asked, hall.now + round_number * 100)
            except ParseError:
                pass
            if rng.random() < 0.5:
                hall.turns()
        hall.turns()
        for browser in browsers:
            if rng.random() < 0.6:
                browser.read(rng.choice([1, 200, float("inf")]))
    for browser in browsers:
        browser.read()
        assert browser.values == {view: json.loads(hall.rendered[view]) for view in browser.client.views}


def test_who_joins_while_a_view_is_sent_that_nobody_watched_begins_anew(hall):
    Browser(hall, frozenset({"blocks"}))
    hall.turns()
    steps = hall.showing(stats={"uptime": 1}, blocks=[5, 4, 3, 2, 1])
    next(steps)  # nobody watched the stats, which come first
    late = Browser(hall, frozenset({"stats"}))
    hall.turns()
    assert late.values == {"stats": {"uptime": 0, "rate": 1.5}}
    assert list(steps) == []
    hall.turns()
    assert late.values == {"stats": {"uptime": 1}}
    assert late.types() == ["snapshot", "snapshot"]


def test_a_view_that_nobody_watched_for_a_while(hall):
    first = Browser(hall, frozenset({"blocks"}))
    hall.show(blocks=[4, 3, 2, 1])
    hall.hub.leave(first.client)
    hall.show(blocks=[5, 4, 3, 2, 1])
    second = Browser(hall, frozenset({"blocks"}))
    hall.turns()
    hall.show(blocks=[6, 5, 4, 3, 2, 1])
    hall.show(blocks=[7, 6, 5, 4, 3, 2, 1])
    assert second.values == {"blocks": [7, 6, 5, 4, 3, 2, 1]}
    assert second.messages[-1]["views"] == {"blocks": {"first": [7], "keep": 6}}


# --- slow readers ------------------------------------------------------------------------------------------------


def test_a_slow_reader_is_skipped_and_has_a_fresh_snapshot_when_it_reads_again():
    hall = Hall(queued_messages=5)
    slow, quick = Browser(hall, room=1), Browser(hall)
    hall.turns()
    assert slow.types() == ["snapshot"]
    for second in range(5):
        hall.show(stats={"uptime": second})
    assert len(slow.client.queue) == 5
    hall.show(stats={"uptime": 50})
    assert not slow.client.queue
    for second in range(100):
        hall.show(stats={"uptime": 100 + second})
    hall.hub.event({"event": "block"}, hall.now)
    assert not slow.client.queue
    assert slow.types() == []
    slow.read()
    assert slow.types() == ["snapshot"]
    assert slow.values == quick.values
    hall.show(stats={"uptime": 7})
    assert slow.types() == ["changes"]
    assert slow.values == quick.values


def test_a_little_slow_is_not_skipped():
    hall = Hall(queued_messages=5)
    slow = Browser(hall, room=1)
    hall.turns()
    for second in range(5):
        hall.show(stats={"uptime": second})
    slow.read()
    assert slow.types() == ["snapshot"] + ["changes"] * 5
    assert slow.values["stats"] == {"uptime": 4}


def test_what_waits_is_bounded_in_bytes():
    hall = Hall(queued_bytes=10_000)
    slow = Browser(hall, room=1)
    hall.turns()
    for second in range(20):
        hall.show(stats={"uptime": str(second) * 2000})
        assert sum(map(len, (frame for message in slow.client.queue for frame in message))) <= 10_000
    slow.read()
    assert slow.values["stats"] == json.loads(hall.rendered["stats"])


def test_a_message_is_never_cut_off_in_the_middle():
    """Browser.write would find a fragment out of place."""
    hall = Hall(queued_messages=3)
    hall.show(workers={f"worker{n}": {"rate": n} for n in range(10_000)})
    slow = Browser(hall, room=PIECE)
    hall.turns()
    assert not slow.messages
    assert slow.client.begun
    for second in range(30):
        hall.show(stats={"uptime": second})
        if second % 5 == 4:
            slow.read(PIECE)
    assert slow.client.begun
    slow.read()
    assert slow.types() == ["snapshot", "snapshot"]
    assert slow.values == {view: json.loads(body) for view, body in hall.rendered.items()}


def test_pieces_for_a_connection_are_small(hall):
    hall.show(workers={f"worker{n}": {"rate": n} for n in range(30_000)})
    browser = Browser(hall)
    hall.turns()
    assert browser.types() == ["snapshot"]
    assert max(map(len, browser.writes)) <= PIECE + 4


def test_who_does_not_read_for_long_is_closed(hall):
    slow, quick = Browser(hall, room=1), Browser(hall)
    hall.turns()
    hall.wait(20)
    assert "abort" not in slow.log
    hall.wait(1)
    assert slow.log == ["abort"]
    assert hall.hub.slow_closed == 1
    hall.show(stats={"uptime": 8})
    assert slow.types() == ["snapshot"]
    assert "abort" not in quick.log
    hall.hub.leave(slow.client)
    assert list(hall.hub.clients) == [quick.client]


def test_turns_are_shared_out(hall):
    browsers = [Browser(hall) for _ in range(25)]
    hall.hub.turn(10)
    assert [len(browser.writes) for browser in browsers] == [1] * 10 + [0] * 15
    assert hall.turns() == 2
    assert all(len(browser.writes) == 1 for browser in browsers)


# --- who is there ------------------------------------------------------------------------------------------------


def test_bounds_of_clients():
    hall = Hall(clients=5, per_host=3)
    of_a = [Browser(hall, host="a") for _ in range(3)]
    assert "this address already has 3 live clients" in (hall.hub.turned_away("a") or "")
    assert hall.hub.turned_away("b") is None
    hall.hub.close(of_a[0].client, code=1008, reason="", now=hall.now)
    assert hall.hub.turned_away("a") is not None  # it is there until its connection is gone
    hall.hub.leave(of_a[0].client)
    hall.hub.leave(of_a[0].client)
    assert hall.hub.turned_away("a") is None


def test_the_host_with_most_clients_gives_a_place_to_one_that_has_fewer():
    hall = Hall(clients=6, per_host=4)
    crowd = [Browser(hall, host="a") for _ in range(4)]
    others = [Browser(hall, host="b"), Browser(hall, host="b")]
    hall.turns()
    assert hall.hub.turned_away("c") is None
    newcomer = Browser(hall, host="c")
    assert ["abort" in each.log for each in (*crowd, *others)] == [True, False, False, False, False, False]
    assert len(hall.hub.clients) == 6
    hall.hub.leave(crowd[0].client)  # when its connection is gone
    assert len(hall.hub.clients) == 6
    Browser(hall, host="c")
    # Now all hosts hold as many: none has to give one up.
    assert all("this node already has 6 live clients" in (hall.hub.turned_away(host) or "") for host in "abc")
    assert hall.hub.turned_away("d") is None
    assert newcomer.client in hall.hub.clients


def test_who_is_silent_is_asked_and_who_does_not_answer_is_gone(hall):
    dead, alive = Browser(hall), Browser(hall)
    hall.turns()
    hall.wait(31)
    assert dead.log == alive.log == ["ping"]
    assert alive.client.sent_octets(6, hall.now)
    hall.wait(29)
    assert dead.log == ["ping"]
    hall.wait(2)
    assert dead.log == ["ping", "abort"]
    assert alive.log == ["ping", "ping"]


def test_a_ping_that_a_client_sends(hall):
    browser = Browser(hall)
    hall.turns()
    hall.hub.received(browser.client, b'{"type":"ping"}', hall.now)
    hall.turns()
    assert browser.messages[-1] == {"type": "pong", "time": hall.now}


def test_another_subscription_begins_with_a_snapshot(hall):
    browser = Browser(hall)
    hall.turns()
    hall.hub.received(browser.client, b'{"type":"subscribe","views":["stats"]}', hall.now)
    hall.turns()
    assert browser.messages[-1]["views"] == {"stats": json.loads(hall.rendered["stats"])}
    browser.messages.clear()
    hall.show(workers={})
    assert browser.types() == []


def test_a_client_that_says_too_much(hall):
    browser = Browser(hall)
    for _ in range(10):
        hall.hub.received(browser.client, b'{"type":"ping"}', hall.now)
    with pytest.raises(ParseError, match="more than 10 messages"):
        hall.hub.received(browser.client, b'{"type":"ping"}', hall.now)
    hall.hub.received(browser.client, b'{"type":"ping"}', hall.now + 5)


def test_a_client_that_sends_too_many_bytes(hall):
    browser = Browser(hall)
    assert browser.client.sent_octets(8192, hall.now)
    assert not browser.client.sent_octets(100, hall.now)
    assert browser.client.sent_octets(100, hall.now + 1)


def test_nothing_is_said_after_closing_and_a_connection_that_stays_is_ended(hall):
    browser = Browser(hall)
    hall.hub.close(browser.client, code=1008, reason="why", now=hall.now)
    hall.hub.close(browser.client, code=1008, reason="why", now=hall.now)
    hall.hub.event({"event": "block"}, hall.now)
    hall.hub.received(browser.client, b"nonsense", hall.now)
    hall.hub.resumed(browser.client, hall.now)
    hall.show(stats={"uptime": 3})
    assert browser.log == ["close 1008"]
    assert not browser.writes
    hall.wait(6)
    assert browser.log == ["close 1008", "abort"]


def test_the_end_of_the_node(hall):
    browsers = [Browser(hall) for _ in range(3)]
    hall.hub.stop(hall.now)
    assert [browser.log for browser in browsers] == [[f"close {GOING_AWAY}"]] * 3


def test_before_the_first_figures_there_is_nothing_to_watch():
    assert LiveHub(LiveLimits(), 0.0).known_views == frozenset()
