"""Grouping, quiet times, and never more than somebody can read."""

from __future__ import annotations

from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.alerts.message import MAX_BODY, MAX_SUBJECT, NodeIdentity, compose
from p2pool.alerts.rules import MAX_MESSAGES, NAMED, RATE_WINDOW, WAITS, Grouper, QuietHours, Rules
from p2pool.pool_stats import EventKind, EventRecord
from tests.alerts.happenings import event
from tests.chains import NOW

DAY = NOW - NOW % 86400
ALL = frozenset(EventKind)
PLACE = NodeIdentity("rig-hall", "dash", "http://127.0.0.1:7903/", "/var/p2pool/dash/log")


def minute_of_day(time: float) -> int:
    return int(time % 86400 // 60)


def grouper(**rules) -> Grouper:
    return Grouper(Rules(**{"events": ALL, **rules}), minute_of_day)


def test_five_hundred_workers_are_one_message():
    rules = grouper()
    for n in range(500):
        assert rules.offer(event(subject=f"yA.{n}"), NOW + n / 20)
        assert rules.due(NOW + n / 20) == []
    assert rules.due(NOW + 59.9) == []
    (notice,) = rules.due(NOW + 60)
    (group,) = notice.groups
    assert (group.count, len(group.events)) == (500, NAMED)
    message = compose(notice, PLACE)
    assert message.subject == "[p2pool rig-hall] 500 workers are down"
    assert "... and 490 more" in message.body
    assert "yA.9: worker_down" in message.body
    assert "yA.10:" not in message.body
    assert "http://127.0.0.1:7903/api/v1/workers" in message.body
    assert rules.due(NOW + 3600) == []


def test_what_is_urgent_waits_for_seconds_and_the_next_ones_for_the_window():
    rules = grouper()
    rules.offer(event(EventKind.DASHD_LOST, ""), NOW)
    assert rules.due(NOW + 0.9) == []
    assert len(rules.due(NOW + 1)) == 1
    rules.offer(event(EventKind.DASHD_LOST, ""), NOW + 10)
    assert rules.due(NOW + 60) == []
    assert len(rules.due(NOW + 61)) == 1


def test_kinds_are_grouped_apart_and_unwanted_ones_are_not_taken():
    rules = grouper(events=frozenset({EventKind.WORKER_DOWN, EventKind.NODE_UP}))
    assert not rules.offer(event(EventKind.BAN), NOW)
    assert rules.offer(event(EventKind.NODE_UP), NOW)
    rules.offer(event(), NOW)
    assert [notice.groups[0].kind for notice in rules.due(NOW)] == [EventKind.NODE_UP]
    assert [notice.groups[0].kind for notice in rules.due(NOW + 60)] == [EventKind.WORKER_DOWN]


def test_a_flapping_worker_cannot_flood_and_nothing_is_lost():
    rules, messages, told = grouper(), 0, 0
    for second in range(0, 7200, 10):
        rules.offer(event(), NOW + second)
        for notice in rules.due(NOW + second):
            messages += 1
            told += notice.groups[0].count
    told += sum(notice.groups[0].count for notice in rules.due(NOW + 99_999))
    assert told == 720
    assert messages <= 2 * MAX_MESSAGES


@given(st.lists(st.tuples(st.sampled_from(list(EventKind)), st.floats(0, 4000)), max_size=60), st.floats(1, 3600))
def test_every_event_is_reported_exactly_once_within_bounded_time(steps, group):
    rules, now, told = grouper(group=group, quiet=QuietHours(((60, 120),))), DAY, 0
    sent: dict[EventKind, list[float]] = {}
    for kind, step in steps:
        now += step
        rules.offer(event(kind), now)
        for notice in rules.due(now):
            told += sum(each.count for each in notice.groups)
            if not notice.held:
                sent.setdefault(notice.groups[0].kind, []).append(now)
    now = DAY + (now - DAY) // 86400 * 86400 + 86400 + 8000  # the next day, after what is quiet
    told += sum(each.count for notice in rules.due(now) for each in notice.groups)
    assert told == len(steps)
    for times in sent.values():
        # Sums of floats of this size are rounded by less than a microsecond.
        assert all(later - earlier >= group - 1e-6 for earlier, later in pairwise(times)) or group > 600


def test_messages_wait_for_the_end_of_quiet_hours_and_are_one():
    rules = grouper(quiet=QuietHours(((22 * 60, 7 * 60),)), quiet_except=frozenset({EventKind.DASHD_LOST}))
    night = DAY + 23 * 3600
    for n in range(20):
        rules.offer(event(subject=f"yA.{n}"), night)
    rules.offer(event(EventKind.DASHD_LOST, ""), night)
    rules.offer(event(EventKind.BLOCK_FOUND, "00ff"), night)
    assert [notice.groups[0].kind for notice in rules.due(night + 100)] == [EventKind.DASHD_LOST]
    rules.offer(event(EventKind.BLOCK_FOUND, "00fe"), night + 5000)
    assert rules.due(night + 6000) == []
    assert rules.held == 22
    assert rules.due(DAY + 86400 + 7 * 3600 - 1) == []
    (notice,) = rules.due(DAY + 86400 + 7 * 3600)
    assert notice.held
    assert [(group.kind, group.count) for group in notice.groups] == [
        (EventKind.WORKER_DOWN, 20),
        (EventKind.BLOCK_FOUND, 2),
    ]
    message = compose(notice, PLACE)
    assert message.subject == "[p2pool rig-hall] 22 events during quiet hours"
    assert "20 workers are down:" in message.body
    assert "2 blocks found:" in message.body
    assert rules.held == 0


@pytest.mark.parametrize(
    ("spans", "quiet", "loud"),
    [
        (((60, 120),), (60, 119), (59, 120)),
        (((1320, 420),), (1320, 0, 419), (420, 1319)),
        (((1380, 0),), (1380, 1439), (0, 1379)),
        ((), (), (0, 720)),
    ],
)
def test_quiet_hours(spans, quiet, loud):
    times = QuietHours(spans)
    assert all(times.holds(minute) for minute in quiet)
    assert not any(times.holds(minute) for minute in loud)


def test_at_the_end_nothing_waits_for_more_but_quiet_is_quiet():
    rules = grouper(quiet=QuietHours(((22 * 60, 7 * 60),)))
    rules.offer(event(), DAY + 10 * 3600)
    rules.offer(event(EventKind.NODE_DOWN, ""), DAY + 10 * 3600)
    assert len(rules.due(DAY + 10 * 3600, leaving=True)) == 2
    rules.offer(event(EventKind.NODE_DOWN, ""), DAY + 23 * 3600)
    assert rules.due(DAY + 23 * 3600, leaving=True) == []
    assert rules.held == 1


def test_a_node_that_is_started_again_and_again_does_not_send_a_message_each_time():
    told, counted, kept = 0, 0, None
    for start in range(360):
        now = NOW + 10 * start
        rules = grouper()
        rules.restore(kept, now)
        rules.offer(event(EventKind.NODE_UP, ""), now)
        notices = rules.due(now)
        rules.offer(event(EventKind.NODE_DOWN, ""), now + 5)
        for notice in [*notices, *rules.due(now + 5, leaving=True)]:
            told += 1
            counted += notice.groups[0].count
        kept = orjson.loads(orjson.dumps(rules.to_json()))
    assert told <= 2 * MAX_MESSAGES
    rules = grouper()
    rules.restore(kept, NOW + 99_999)
    assert counted + sum(notice.groups[0].count for notice in rules.due(NOW + 99_999)) == 720


def test_a_clock_that_was_set_back_holds_no_message_up():
    rules = grouper()
    for n in range(MAX_MESSAGES):
        rules.offer(event(EventKind.BLOCK_FOUND, "00ff"), NOW + 100 * n)
        assert len(rules.due(NOW + 100 * n + 60)) == 1
    rules.offer(event(EventKind.BLOCK_FOUND, "00fe"), NOW - 86400)
    assert len(rules.due(NOW - 86400 + 1)) == 1


def test_what_waits_and_what_is_held_survive_a_restart():
    rules = grouper(quiet=QuietHours(((22 * 60, 7 * 60),)))
    for n in range(30):
        rules.offer(event(subject=f"yA.{n}"), DAY + 23 * 3600)
    rules.due(DAY + 23 * 3600 + 60)
    rules.offer(event(EventKind.BAN, "192.0.2.1"), DAY + 23 * 3600 + 61)
    kept = orjson.loads(orjson.dumps(rules.to_json()))
    again = grouper(quiet=QuietHours(((22 * 60, 7 * 60),)))
    again.restore(kept, DAY + 23 * 3600 + 70)
    assert again.to_json() == rules.to_json()
    again.offer(event(EventKind.BAN, "192.0.2.2"), DAY + 23 * 3600 + 80)
    (notice,) = [each for each in again.due(DAY + 86400 + 8 * 3600) if each.held]
    assert notice.groups[0].count == 30


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["waiting", "held", "kind", "opened", "first", "last", "count", "events"]), inner
            )
        ),
    )
)
def test_nonsense_on_disk_is_passed_over(document):
    rules = grouper()
    rules.restore(document, NOW)
    rules.restore({"waiting": [document], "held": document}, NOW)
    assert rules.due(NOW + 2 * RATE_WINDOW) == []


@given(st.text(max_size=300), st.sampled_from(list(EventKind)))
def test_messages_are_bounded_and_names_cannot_break_a_line(name, kind):
    rules = grouper()
    for n in range(NAMED + 3):
        rules.offer(EventRecord(NOW, kind, name, f"{name} \r\nBcc: x@example.org {n}"), NOW)
    (notice,) = rules.due(NOW + 60)
    message = compose(notice, PLACE)
    assert len(message.subject) <= MAX_SUBJECT
    assert message.subject.isprintable()
    assert len(message.body) <= MAX_BODY + 1
    assert not any(line.startswith("Bcc") for line in message.body.splitlines())


@pytest.mark.parametrize("kind", list(EventKind))
def test_every_kind_says_what_happened_and_what_to_look_at(kind):
    for count in (1, 2):
        rules = grouper()
        for n in range(count):
            rules.offer(event(kind, f"thing{n}"), NOW)
        (notice,) = rules.due(NOW + 60)
        message = compose(notice, PLACE)
        assert "{" not in message.subject + message.body
        assert "Check " in message.body
        assert f"thing0: {kind.value}" in message.body
        assert PLACE.page in message.body


def test_waits_are_shorter_than_the_window_where_that_is_short():
    assert Rules(group=2.0).wait(EventKind.STORAGE_PROBLEM) == 2.0
    assert all(Rules().wait(kind) == wait for kind, wait in WAITS.items())
