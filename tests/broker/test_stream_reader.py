"""A reader of streams gets past whatever is in them."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
from redis.exceptions import ConnectionError

from p2pool.broker.operations import MAX_ENTRIES, StreamReader


@pytest.fixture
def server():
    return fakeredis.FakeServer()


@pytest.fixture
def client(server, monkeypatch):
    monkeypatch.setattr("p2pool.broker.operations.WAIT", 0.001)
    return fakeredis.FakeRedis(server=server)


def test_entries_that_are_none_of_ours_do_not_hold_up_those_after_them(client):
    reader = StreamReader("s")
    assert reader(client) == []
    for _ in range(MAX_ENTRIES + 1):
        client.xadd("s", {"another": b"field"})
    client.xadd("s", {"data": b"x"})
    assert [entry.data for _ in range(3) for entry in reader(client)] == [b"x"]


def _add(client: Any, data: bytes, *, ago: float) -> None:
    seconds, microseconds = client.time()
    client.xadd("s", {"data": data}, id=f"{1000 * seconds + microseconds // 1000 - int(1000 * ago)}-0")


def test_what_waited_while_the_server_could_not_be_reached_says_how_old_it_is(server, client):
    reader = StreamReader("s")
    _add(client, b"before", ago=90)
    reader(client)
    server.connected = False
    with pytest.raises(ConnectionError):
        reader(client)
    server.connected = True
    _add(client, b"meanwhile", ago=60)
    (meanwhile,) = reader(client)
    assert meanwhile.age == pytest.approx(60, abs=1)
    _add(client, b"now", ago=30)  # on a clock that was set back: it came as it was read
    (now,) = reader(client)
    assert now.age == 0.0


def test_nothing_is_lost_if_the_server_goes_before_it_has_said_the_time(client, monkeypatch):
    reader = StreamReader("s")
    _add(client, b"before", ago=90)
    reader(client)
    reader._interrupted = True
    _add(client, b"next", ago=10)

    def gone() -> None:
        raise ConnectionError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(client, "time", gone)
        with pytest.raises(ConnectionError):
            reader(client)
    assert [entry.data for entry in reader(client)] == [b"next"]
