"""What is on its way: tried again with growing waits, bounded, and still there after a restart."""

from __future__ import annotations

import os
import random
import sqlite3
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.alerts.channel import DeliveryOutcome, OutboxEntry, delivered, failed
from p2pool.alerts.outbox import FIRST_WAIT, JITTER, MAX_AGE, MAX_REST, MAX_WAIT, MAX_WAITING, LostEntry, Outbox
from p2pool.alerts.outbox_file import OutboxFile
from p2pool.base.errors import OperatorError
from tests.chains import NOW

OK, BUSY, NEVER = (
    delivered("thanks", 200),
    failed("HTTP 500", 500),
    failed("HTTP 404", 404, outcome=DeliveryOutcome.REJECTED),
)


def outbox(*names: str) -> Outbox:
    return Outbox(names or ("a",), random.Random(1))


def delivery(key: str = "1", to: str = "a", created: float = NOW) -> OutboxEntry:
    return OutboxEntry(key, to, {"event": "test"}, created)


def test_one_at_a_time_the_oldest_first():
    box = outbox("a", "b")
    for n in range(3):
        box.put(delivery(str(n)))
    first = box.next("a", NOW)
    assert first is not None
    assert first.id == "0"
    assert box.next("a", NOW) is None
    assert box.next("b", NOW) is None
    box.put(delivery("x", "b"))
    assert box.next("b", NOW) is not None  # a is busy, which holds up nobody
    assert box.answered(first, OK, NOW) is None
    second = box.next("a", NOW)
    assert second is not None
    assert second.id == "1"
    assert box.waiting == 3
    assert box.mailboxes["a"].delivered == 1


def test_waits_grow_and_after_a_day_it_is_given_up():
    box, now, times = outbox(), NOW, []
    box.put(delivery())
    lost = None
    while lost is None:
        now += 1
        tried = box.next("a", now)
        if tried is not None:
            times.append(now)
            lost = box.answered(tried, BUSY, now)
    assert "tried for a day; HTTP 500" in lost.reason
    assert MAX_AGE < now - NOW < MAX_AGE + MAX_WAIT * (1 + JITTER) + 2
    waits = [later - earlier for earlier, later in pairwise(times)]
    for n, wait in enumerate(waits):
        usual = min(FIRST_WAIT * 2**n, MAX_WAIT)
        assert usual * (1 - JITTER) <= wait <= usual * (1 + JITTER) + 1
    assert len(set(waits[-10:])) > 5  # jitter
    assert box.waiting == 0
    assert box.mailboxes["a"].lost == 1


def test_what_is_refused_is_not_tried_again_and_does_not_hold_up_the_next():
    box = outbox()
    box.put(delivery("1"))
    box.put(delivery("2"))
    tried = box.next("a", NOW)
    assert tried is not None
    assert box.answered(tried, NEVER, NOW) == LostEntry(tried, "HTTP 404")
    assert box.next("a", NOW) is not None


def test_one_that_its_server_cannot_stand_does_not_hold_up_the_others():
    box, now, delivered = outbox(), NOW, []
    for n in range(20):
        box.put(delivery(str(n)))
    while now < NOW + 300:
        now += 1
        tried = box.next("a", now)
        if tried is not None:
            poison = tried.id == "3"
            box.answered(tried, BUSY if poison else OK, now)
            delivered += [] if poison else [tried.id]
    assert len(delivered) == 19


def test_a_server_that_is_down_is_not_asked_a_thousand_times():
    box, now, asked = outbox(), NOW, 0
    for n in range(MAX_WAITING):
        box.put(delivery(str(n)))
    while now < NOW + 3600:
        now += 1
        tried = box.next("a", now)
        if tried is not None:
            asked += 1
            box.answered(tried, BUSY, now)
    assert asked < 30


def test_the_server_s_wish_to_be_left_alone_is_respected():
    box = outbox()
    box.put(delivery())
    tried = box.next("a", NOW)
    assert tried is not None
    box.answered(tried, failed("HTTP 429", 429, wait=200), NOW)
    assert box.next("a", NOW + 199) is None
    assert box.next("a", NOW + 200) is not None
    box = outbox()
    box.put(delivery())
    tried = box.next("a", NOW)
    assert tried is not None
    box.answered(tried, failed("HTTP 429", 429, wait=1e6), NOW)
    assert box.next("a", NOW + MAX_WAIT + 1) is not None


def test_too_many_drop_the_oldest_but_not_the_one_that_is_being_tried():
    box = outbox()
    for n in range(MAX_WAITING):
        assert box.put(delivery(str(n))) is None
    tried = box.next("a", NOW)
    assert tried is not None
    assert tried.id == "0"
    lost = box.put(delivery("new"))
    assert lost is not None
    assert lost.entry.id == "1"
    assert box.waiting == MAX_WAITING
    assert box.answered(tried, OK, NOW) is None


def test_a_clock_that_was_set_back_holds_nothing_up():
    box = outbox()
    box.put(delivery())
    tried = box.next("a", NOW)
    assert tried is not None
    box.answered(tried, BUSY, NOW)
    saved = box.take_changes()["1"]
    assert saved is not None
    again = outbox()
    again.restore([saved], NOW - 1e6)
    assert again.next("a", NOW - 1e6) is not None
    box = outbox()
    box.put(delivery())
    tried = box.next("a", NOW)
    assert tried is not None
    box.answered(tried, BUSY, NOW)
    box.put(delivery("2", created=NOW - 1e6))
    assert NOW - 1e6 + MAX_REST * 2 < NOW
    back = box.next("a", NOW - 1e6)
    assert back is not None
    box.answered(back, OK, NOW - 1e6)
    assert box.next("a", NOW - 1e6) is not None


def test_a_disk_that_takes_nothing_for_weeks_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr("p2pool.alerts.outbox.MAX_UNWRITTEN", 50)
    box = outbox()
    for n in range(500):
        box.put(delivery(str(n)))
        if n:
            tried = box.next("a", NOW)
            assert tried is not None
            box.answered(tried, OK, NOW)
        changes = box.take_changes()
        assert len(changes) <= 60
        box.give_back(changes)
    assert {key for key, each in box.take_changes().items() if each is not None} == set(box.mailboxes["a"].waiting)


STEPS = ["put", "ok", "busy", "never", "wait", "fail to write", "write"]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(STEPS)), max_size=80))
def test_what_is_written_is_what_waits(steps):
    """A file that is given every change holds what is waiting, whatever writes failed meanwhile."""
    box, disk, now, number = outbox("a", "b"), {}, NOW, 0
    for to, step in steps:
        if step == "put":
            number += 1
            box.put(delivery(str(number), to, now))
        elif step == "wait":
            now += 600
        elif step.startswith("fail"):
            changes = box.take_changes()
            box.give_back(changes)
        elif step == "write":
            disk |= box.take_changes()
        else:
            tried = box.next(to, now)
            if tried is not None:
                box.answered(tried, {"ok": OK, "busy": BUSY, "never": NEVER}[step], now)
    disk |= box.take_changes()
    waiting = {each.id: each for mailbox in box.mailboxes.values() for each in mailbox.waiting.values()}
    assert {key: each for key, each in disk.items() if each is not None} == waiting


# --- on disk -----------------------------------------------------------------------------------------------------


def test_the_file_gives_back_what_it_was_given(tmp_path):
    file = OutboxFile(tmp_path / "data" / "alerts.sqlite")
    assert file.load() == ([], None, None)
    one, two = delivery("1", created=NOW + 1), delivery("2", "b")
    file.save({"1": one, "2": two}, {"waiting": [1]})
    assert file.load() == ([two, one], {"waiting": [1]}, None)
    file.save({"1": None, "2": OutboxEntry("2", "b", {"x": "?"}, NOW, 3, 5.0)}, [])
    assert OutboxFile(file.path).load() == ([OutboxEntry("2", "b", {"x": "?"}, NOW, 3, 5.0)], [], None)
    assert os.stat(file.path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("data", [b"this is no database, and long enough" * 20, b"SQLite format 3\0" * 99])
def test_a_corrupt_file_is_quarantined(tmp_path, data):
    path = tmp_path / "alerts.sqlite"
    path.write_bytes(data)
    file = OutboxFile(path)
    deliveries, state, damage = file.load()
    assert (deliveries, state) == ([], None)
    assert damage is not None
    assert "alerts.sqlite.damaged" in damage
    assert (tmp_path / "alerts.sqlite.damaged").read_bytes() == data
    file.save({"1": delivery()}, None)
    assert len(file.load()[0]) == 1


def test_a_save_is_one_transaction(tmp_path):
    """Each costs a wait for the disk. SQLite counts them in the file's header."""

    def transactions() -> int:
        return int.from_bytes(file.path.read_bytes()[24:28], "big")

    file = OutboxFile(tmp_path / "alerts.sqlite")
    file.load()
    before = transactions()
    file.load()
    assert transactions() == before
    file.save({"1": delivery()}, None)
    assert transactions() == before + 1


def test_a_file_of_a_newer_version_is_left_alone(tmp_path):
    file = OutboxFile(tmp_path / "alerts.sqlite")
    file.save({"1": delivery()}, None)
    with sqlite3.connect(file.path) as database:
        database.execute("PRAGMA user_version = 2")
    database.close()
    data = file.path.read_bytes()
    with pytest.raises(OperatorError, match=r"alerts.sqlite has version 2 .* knows versions up to 1"):
        file.load()
    assert [path.name for path in tmp_path.iterdir()] == ["alerts.sqlite"]
    assert file.path.read_bytes() == data


def test_a_file_from_before_versions_is_taken_over(tmp_path):
    file = OutboxFile(tmp_path / "alerts.sqlite")
    file.save({"1": delivery()}, None)
    with sqlite3.connect(file.path) as database:
        database.execute("PRAGMA user_version = 0")
    database.close()
    assert len(file.load()[0]) == 1


def test_a_file_with_tables_of_another_form_is_quarantined(tmp_path):
    path = tmp_path / "alerts.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE deliveries (something INTEGER)")
    database.close()
    assert OutboxFile(path).load()[2] is not None
    assert (tmp_path / "alerts.sqlite.damaged").exists()


def test_a_file_with_a_text_that_is_none_is_quarantined(tmp_path):
    file = OutboxFile(tmp_path / "alerts.sqlite")
    file.save({"1": delivery()}, None)
    with sqlite3.connect(file.path) as database:
        database.execute("UPDATE deliveries SET destination = CAST(x'ff41' AS TEXT)")
    database.close()
    assert file.load()[0] == []
    assert (tmp_path / "alerts.sqlite.damaged").exists()


def test_rows_that_make_no_sense_are_passed_over(tmp_path):
    file = OutboxFile(tmp_path / "alerts.sqlite")
    file.save({"1": delivery()}, None)
    with sqlite3.connect(file.path) as database:
        for content in (b"{", b"[1]", b"\xff", b'{"x": "' + b"x" * 70_000 + b'"}'):
            database.execute("INSERT INTO deliveries VALUES (?, 'a', ?, 1, 0, 0)", (repr(content[:4]), content))
        database.execute("INSERT INTO deliveries VALUES ('t', 'a', 'text', 'when', 0, 0)")
    database.close()
    assert file.load() == ([delivery()], None, None)


def test_a_disk_that_does_not_take_it_is_an_os_error(tmp_path):
    (tmp_path / "alerts.sqlite").mkdir()
    with pytest.raises(OSError, match=r"."):
        OutboxFile(tmp_path / "alerts.sqlite").save({"1": delivery()}, None)
