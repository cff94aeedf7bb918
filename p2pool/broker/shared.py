"""What processes share through Redis besides work: fresh news, members with a value each, and tables.

Ages and ends are measured by the server's clock alone: the clocks of the machines may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import redis
from typing_extensions import override

from p2pool.broker.operations import NOTHING_READ, Action, Entry, StreamReader, newest, server_time

MAX_MEMBERS: Final = 256
"""Members of a group whose values are read; those that were silent longest are left out."""
_TABLE_TIME: Final = 7 * 86400
"""Seconds for which a table lives after its last change."""


class FreshReader(StreamReader):
    """Reads streams from now on, and leaves out entries that are older than `age` seconds: after a pause nothing
    is done that people no longer expect."""

    def __init__(self, *streams: str, age: float) -> None:
        super().__init__(*streams)
        self._age = age

    @override
    def __call__(self, client: redis.Redis) -> list[Entry]:
        entries = super().__call__(client)
        if not entries:
            return entries
        oldest = server_time(client) - self._age
        return [entry for entry in entries if _milliseconds(entry.id) >= 1000 * oldest]

    @override
    def _begin(self, client: redis.Redis) -> list[Entry]:
        self._positions = dict.fromkeys(self._streams, f"{int(1000 * server_time(client))}-0")
        return []

    @override
    def _look_for_lost_data(self, client: redis.Redis) -> None:
        """Read from the beginning if the server's clock was set back and its data is gone: new entries have
        smaller ids then."""
        now = int(1000 * server_time(client))
        for stream, position in self._positions.items():
            if _milliseconds(position) > now:
                entry = newest(stream)(client)
                if entry is None or _milliseconds(entry.id) < _milliseconds(position):
                    self._positions[stream] = NOTHING_READ


def _milliseconds(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])


# --- members -----------------------------------------------------------------------------------------------------


def exchange(group: str, name: str, value: bytes, *, seconds: float) -> Action[list[bytes]]:
    """Set the value of a member of a group, which expires, and return the values of the others."""

    def act(client: redis.Redis) -> list[bytes]:
        now = server_time(client)
        with client.pipeline(transaction=True) as pipe:
            pipe.set(_member(group, name), value, px=int(seconds * 1000))
            pipe.zadd(group, {name: now})
            pipe.zremrangebyscore(group, "-inf", now - seconds)
            pipe.expire(group, int(seconds) + 1)
            pipe.zrevrange(group, 0, MAX_MEMBERS)
            names = pipe.execute()[-1]
        others = [each for each in (member.decode("utf-8", "replace") for member in names) if each != name]
        values = client.mget([_member(group, each) for each in others]) if others else []
        return [each for each in values if isinstance(each, bytes)]

    return act


def leave(group: str, name: str) -> Action[None]:
    """Remove a member from its group."""

    def act(client: redis.Redis) -> None:
        with client.pipeline(transaction=True) as pipe:
            pipe.delete(_member(group, name))
            pipe.zrem(group, name)
            pipe.execute()

    return act


def _member(group: str, name: str) -> str:
    return f"{group}:{name}"


# --- tables ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a table, and the server's time when they were read."""

    now: float
    rows: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class News:
    """An entry that is appended to a stream of at most `keep` entries together with another change."""

    stream: str
    data: bytes
    keep: int


def set_row(
    table: str, name: str, make: Callable[[float], bytes], *, most: int, news: News | None = None
) -> Action[bool]:
    """Set a row to what `make` returns for the server's time, and append the news, both or neither. Return False,
    without the row, if there are `most` rows and none has this name."""

    def act(client: redis.Redis) -> bool:
        fits = client.hlen(table) < most or bool(client.hexists(table, name))
        value = make(server_time(client))
        with client.pipeline(transaction=True) as pipe:
            if fits:
                pipe.hset(table, name, value)
                pipe.expire(table, _TABLE_TIME)
            if news is not None:
                pipe.xadd(news.stream, {b"data": news.data}, maxlen=news.keep, approximate=True)
            pipe.execute()
        return fits

    return act


def add_rows(table: str, rows: Mapping[str, Callable[[float], bytes]], *, most: int) -> Action[None]:
    """Add rows in one request, each as what its function returns for the server's time: those that fit below
    `most` rows, and none that is there already."""

    def act(client: redis.Redis) -> None:
        now, room = server_time(client), most - int(client.hlen(table))
        with client.pipeline(transaction=False) as pipe:
            for name, make in islice(rows.items(), max(0, room)):
                pipe.hsetnx(table, name, make(now))
            pipe.expire(table, _TABLE_TIME)
            pipe.execute()

    return act


def read_table(table: str) -> Action[Table]:
    """Return all rows of a table."""

    def act(client: redis.Redis) -> Table:
        rows: dict[Any, Any] = client.hgetall(table)
        return Table(server_time(client), {name.decode("utf-8", "replace"): row for name, row in rows.items()})

    return act


def drop_rows(table: str, names: Iterable[str]) -> Action[None]:
    """Remove rows of a table."""
    gone = list(names)

    def act(client: redis.Redis) -> None:
        if gone:
            client.hdel(table, *gone)

    return act
