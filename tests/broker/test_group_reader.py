"""A group's reader begins with what an earlier run did not finish, and what stays unfinished holds up nothing."""

from __future__ import annotations

import fakeredis
import pytest
from redis.exceptions import ConnectionError

from p2pool.broker.operations import MAX_ENTRIES, Entry, GroupReader, acknowledge


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setattr("p2pool.broker.operations.WAIT", 0.001)
    return fakeredis.FakeRedis()


def reader(client: fakeredis.FakeRedis) -> GroupReader:
    """A reader that has made its group, or come to its entries."""
    made = GroupReader("s", "g")
    made(client)
    return made


def read(group: GroupReader, client: fakeredis.FakeRedis, calls: int = 6) -> list[Entry]:
    return [entry for _ in range(calls) for entry in group(client)]


def test_unfinished_entries_are_returned_once_and_new_ones_follow(client):
    first = reader(client)
    for n in range(3):
        client.xadd("s", {"data": b"%d" % n})
    assert len(read(first, client)) == 3
    second = GroupReader("s", "g")
    client.xadd("s", {"data": b"new"})
    assert [entry.data for entry in read(second, client)] == [b"0", b"1", b"2", b"new"]
    second.read_again()
    assert [entry.data for entry in read(second, client)] == [b"0", b"1", b"2", b"new"]


def test_more_unfinished_entries_than_one_request_takes(client):
    first = reader(client)
    for n in range(2 * MAX_ENTRIES + 5):
        client.xadd("s", {"data": b"%d" % n})
    assert len(read(first, client)) == 2 * MAX_ENTRIES + 5
    again = read(GroupReader("s", "g"), client)
    assert [entry.data for entry in again] == [b"%d" % n for n in range(2 * MAX_ENTRIES + 5)]


def test_entries_that_the_stream_dropped_are_forgotten(client):
    first = reader(client)
    for n in range(MAX_ENTRIES + 3):
        client.xadd("s", {"data": b"%d" % n})
    entries = read(first, client)
    client.xdel("s", *[entry.id for entry in entries[:MAX_ENTRIES]])
    assert len(read(GroupReader("s", "g"), client)) == 3
    assert client.xpending("s", "g")["pending"] == 3


def test_acknowledged_entries_do_not_come_again(client):
    first = reader(client)
    client.xadd("s", {"data": b"x"})
    (entry,) = read(first, client)
    acknowledge("s", "g", [entry.id])(client)
    assert read(GroupReader("s", "g"), client) == []
    assert client.xlen("s") == 0


def test_a_stream_that_was_flushed_goes_on(client):
    first = reader(client)
    client.flushall()
    client.xadd("s", {"data": b"x"})
    assert [entry.data for entry in read(first, client)] == [b"x"]


class LosesAnswers(fakeredis.FakeRedis):
    """A server whose answers to reads of a group can get lost on their way."""

    lost = False

    def xreadgroup(self, *arguments, **options):
        reply = super().xreadgroup(*arguments, **options)
        if self.lost and reply:
            raise ConnectionError("connection closed")
        return reply


def test_entries_whose_answer_was_lost_come_again(monkeypatch):
    monkeypatch.setattr("p2pool.broker.operations.WAIT", 0.001)
    client = LosesAnswers()
    first = GroupReader("s", "g")
    assert read(first, client) == []
    client.xadd("s", {"data": b"x"})
    client.lost = True
    with pytest.raises(ConnectionError):
        read(first, client)
    client.lost = False
    assert [entry.data for entry in read(first, client)] == [b"x"]


def test_entries_that_are_none_of_ours_are_removed(client):
    first = reader(client)
    client.xadd("s", {"another": b"field"})
    client.xadd("s", {"data": b"x"})
    assert [entry.data for entry in read(first, client)] == [b"x"]
    assert client.xpending("s", "g")["pending"] == 1
    assert client.xlen("s") == 1
