"""A reader of streams gets past whatever is in them."""

from __future__ import annotations

import fakeredis
import pytest

from p2pool.broker.operations import MAX_ENTRIES, StreamReader


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setattr("p2pool.broker.operations.WAIT", 0.001)
    return fakeredis.FakeRedis()


def test_entries_that_are_none_of_ours_do_not_hold_up_those_after_them(client):
    reader = StreamReader("s")
    assert reader(client) == []
    for _ in range(MAX_ENTRIES + 1):
        client.xadd("s", {"another": b"field"})
    client.xadd("s", {"data": b"x"})
    assert [entry.data for _ in range(3) for entry in reader(client)] == [b"x"]
