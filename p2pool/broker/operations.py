"""What the program asks of Redis, as functions of a client: streams with one field, expiring values.

Each function returns an action for `Broker.ask`, or is one for `Broker.follow`. Streams are read in the order of
their ids, which Redis makes from its clock and a counter. Source: the commands' pages at redis.io.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import redis
from redis.exceptions import ResponseError

T = TypeVar("T")
Action = Callable[[redis.Redis], T]
Reader = Callable[[redis.Redis], "list[Entry]"]

WAIT: Final = 1.0
"""Seconds that a request for new entries waits for them."""
MAX_ENTRIES: Final = 256
"""Entries that one request takes."""
FIELD: Final = b"data"
"""The only field of an entry."""
NOTHING_READ: Final = "0-0"
"""The id before that of every entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a stream."""

    stream: str
    id: str
    data: bytes


def append(stream: str, data: bytes, *, keep: int | None = None) -> Action[None]:
    """Add an entry to a stream, and keep about `keep` of them; all with None."""

    def act(client: redis.Redis) -> None:
        client.xadd(stream, {FIELD: data}, maxlen=keep, approximate=True)

    return act


def newest(stream: str) -> Action[Entry | None]:
    """Return the newest entry of a stream; None if it is empty."""

    def act(client: redis.Redis) -> Entry | None:
        entries = _entries([(stream.encode(), client.xrevrange(stream, count=1))])
        return entries[0] if entries else None

    return act


def recent(stream: str, count: int) -> Action[list[Entry]]:
    """Return the newest entries of a stream, oldest first."""

    def act(client: redis.Redis) -> list[Entry]:
        return _entries([(stream.encode(), client.xrevrange(stream, count=count))])[::-1]

    return act


class StreamReader:
    """Reads streams from where they are now on: call it with a client, again and again.

    A stream that lost its data, on a server whose clock was set back, goes on with smaller ids: then it is read
    from its beginning.
    """

    def __init__(self, *streams: str) -> None:
        self._streams = streams
        self._positions: dict[str, str] = {}

    def __call__(self, client: redis.Redis) -> list[Entry]:
        """Return the entries that were added since the last call; wait for them if there are none. The first call
        returns the newest entry of each stream."""
        if not self._positions:
            return self._begin(client)
        positions: dict[Any, Any] = dict(self._positions)
        entries = _entries(client.xread(positions, count=MAX_ENTRIES, block=int(WAIT * 1000)))
        for entry in entries:
            self._positions[entry.stream] = entry.id
        if not entries:
            self._look_for_lost_data(client)
        return entries

    def _begin(self, client: redis.Redis) -> list[Entry]:
        found = [newest(stream)(client) for stream in self._streams]
        positions = dict.fromkeys(self._streams, NOTHING_READ)
        for entry in found:
            if entry is not None:
                positions[entry.stream] = entry.id
        self._positions = positions
        return [entry for entry in found if entry is not None]

    def _look_for_lost_data(self, client: redis.Redis) -> None:
        for stream, position in self._positions.items():
            entry = newest(stream)(client)
            if entry is not None and _order(entry.id) < _order(position):
                self._positions[stream] = NOTHING_READ


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


class GroupReader:
    """Reads a stream as the only consumer of a group: call it with a client, again and again.

    Entries stay in the group until they are acknowledged. `read_again` makes the next calls return those that were
    read and not acknowledged, each once, as a new reader does first.
    """

    def __init__(self, stream: str, group: str) -> None:
        self._stream = stream
        self._group = group
        self._position: str | None = NOTHING_READ
        """The last of the unacknowledged entries that were returned again; None while new ones are read."""

    def read_again(self) -> None:
        """Let the next calls return the entries that were read and not acknowledged."""
        self._position = NOTHING_READ

    def __call__(self, client: redis.Redis) -> list[Entry]:
        """Return the next entries; wait for them if there are none. The group is made if it is missing: at first,
        and after the server lost its data."""
        position = self._position
        wait = int(WAIT * 1000) if position is None else None
        try:
            reply: Any = client.xreadgroup(
                self._group, self._group, {self._stream: position or ">"}, count=MAX_ENTRIES, block=wait
            )
        except ResponseError as error:
            if not _create_group(client, self._stream, self._group):
                raise error
            return []
        if position is not None:
            self._go_on_after(client, position, reply)
        return _entries(reply)

    def _go_on_after(self, client: redis.Redis, position: str, reply: Any) -> None:
        """Move on to the next of the unacknowledged entries, and acknowledge those that the stream dropped."""
        found = [each for _, entries in reply or () for each in entries]
        dropped = [entry_id for entry_id, fields in found if not fields]
        if dropped:
            client.xack(self._stream, self._group, *dropped)
        if self._position == position:  # not if `read_again` was called meanwhile, by another thread
            self._position = found[-1][0].decode() if found else None


def _create_group(client: redis.Redis, stream: str, group: str) -> bool:
    """Make a group; return False if there is one."""
    try:
        client.xgroup_create(stream, group, id=NOTHING_READ, mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
        return False
    return True


def acknowledge(stream: str, group: str, ids: Iterable[str]) -> Action[None]:
    """Acknowledge entries and delete them: nobody needs them any more."""
    gone = list(ids)

    def act(client: redis.Redis) -> None:
        with client.pipeline(transaction=True) as pipe:
            pipe.xack(stream, group, *gone)
            pipe.xdel(stream, *gone)
            pipe.execute()

    return act


def put(key: str, value: bytes, *, seconds: float) -> Action[None]:
    """Set a value that expires."""

    def act(client: redis.Redis) -> None:
        client.set(key, value, px=int(seconds * 1000))

    return act


def get(key: str) -> Action[bytes | None]:
    """Return a value; None if it is missing or expired."""

    def act(client: redis.Redis) -> bytes | None:
        value = client.get(key)
        return value if isinstance(value, bytes) else None

    return act


def extend(key: str, *, seconds: float) -> Action[bool]:
    """Let a value live for so long from now. Return False if it is missing."""

    def act(client: redis.Redis) -> bool:
        return bool(client.pexpire(key, int(seconds * 1000)))

    return act


def _entries(reply: Any) -> list[Entry]:
    """Return the entries in an answer; those that are none of ours are left out."""
    found = []
    for stream, entries in reply or ():
        for entry_id, fields in entries:
            data = fields.get(FIELD) if fields else None
            if isinstance(data, bytes):
                found.append(Entry(stream.decode(), entry_id.decode(), data))
    return found
