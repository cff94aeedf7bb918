"""What the program asks of Redis, as functions of a client: streams with one field, expiring values.

Each function returns an action for `Broker.ask`, or is one for `Broker.follow`. Streams are read in the order of
their ids, which Redis makes from its clock and a counter. Source: the commands' pages at redis.io.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import redis
from redis.exceptions import OutOfMemoryError, ResponseError

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
    """An entry of a stream. `age` is how many seconds it had been there when it was read, by the server's clock; 0
    if it was read as it came, and not by a new reader or after the server could not be reached."""

    stream: str
    id: str
    data: bytes
    age: float = 0.0


def server_time(client: redis.Redis) -> float:
    """Return the server's Unix time in seconds."""
    seconds, microseconds = client.time()
    return float(seconds) + float(microseconds) / 1e6


def append(stream: str, data: bytes, *, keep: int | None = None) -> Action[None]:
    """Add an entry to a stream, and keep about `keep` of them; all with None."""

    def act(client: redis.Redis) -> None:
        client.xadd(stream, {FIELD: data}, maxlen=keep, approximate=True)

    return act


def append_all(stream: str, items: Iterable[bytes], *, keep: int) -> Action[None]:
    """Add entries to a stream in one request, and keep about `keep` of them. A failure may have added some."""
    added = list(items)

    def act(client: redis.Redis) -> None:
        with client.pipeline(transaction=False) as pipe:
            for data in added:
                pipe.xadd(stream, {FIELD: data}, maxlen=keep, approximate=True)
            # Not raised by the client: it would put the command into the text, another one for each entry.
            for result in pipe.execute(raise_on_error=False):
                if isinstance(result, Exception):
                    raise result

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
        self._interrupted = False
        """Whether the last call failed: what comes next may have waited."""

    def __call__(self, client: redis.Redis) -> list[Entry]:
        """Return the entries that were added since the last call; wait for them if there are none. The first call
        returns the newest entry of each stream."""
        try:
            return self._read(client) if self._positions else self._begin(client)
        except Exception:
            self._interrupted = True
            raise

    def _read(self, client: redis.Redis) -> list[Entry]:
        positions: dict[Any, Any] = dict(self._positions)
        reply: Any = client.xread(positions, count=MAX_ENTRIES, block=int(WAIT * 1000))
        found = _entries(reply)
        if found and self._interrupted:
            found = _with_ages(found, server_time(client))
        for stream, entries in reply or ():
            if entries:
                self._positions[stream.decode()] = entries[-1][0].decode()
        if not reply:
            self._look_for_lost_data(client)
        self._interrupted = False
        return found

    def _begin(self, client: redis.Redis) -> list[Entry]:
        found = [entry for stream in self._streams if (entry := newest(stream)(client)) is not None]
        now = server_time(client)
        self._positions = dict.fromkeys(self._streams, NOTHING_READ) | {each.stream: each.id for each in found}
        self._interrupted = False
        return _with_ages(found, now)

    def _look_for_lost_data(self, client: redis.Redis) -> None:
        for stream, position in self._positions.items():
            entry = newest(stream)(client)
            if entry is not None and _order(entry.id) < _order(position):
                self._positions[stream] = NOTHING_READ


def _with_ages(entries: Iterable[Entry], now: float) -> list[Entry]:
    """Return entries with their ages at the server's time `now`."""
    return [replace(each, age=max(0.0, now - _order(each.id)[0] / 1000)) for each in entries]


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


class GroupReader:
    """Reads a stream as the only consumer of a group: call it with a client, again and again.

    Entries stay in the group until they are acknowledged. `read_again` makes the next calls return those that were
    read and not acknowledged, each once, as a new reader does first. So does a call that fails: its answer, with
    entries that count as read now, may have been lost on its way.
    """

    def __init__(self, stream: str, group: str) -> None:
        self._stream = stream
        self._group = group
        self._position: str | None = NOTHING_READ
        """The last of the unacknowledged entries that were returned again; None while new ones are read."""
        self._oldest_read: bytes | None = None
        """The first entry that was read without a group."""

    def read_again(self) -> None:
        """Let the next calls return the entries that were read and not acknowledged."""
        self._position = NOTHING_READ

    def __call__(self, client: redis.Redis) -> list[Entry]:
        """Return the next entries; wait for them if there are none. The group is made if it is missing: at first,
        and after the server lost its data."""
        try:
            return self._read(client)
        except Exception:
            self.read_again()
            raise

    def _read(self, client: redis.Redis) -> list[Entry]:
        position = self._position
        wait = int(WAIT * 1000) if position is None else None
        try:
            reply: Any = client.xreadgroup(
                self._group, self._group, {self._stream: position or ">"}, count=MAX_ENTRIES, block=wait
            )
        except ResponseError as error:
            try:
                made = _create_group(client, self._stream, self._group)
            except OutOfMemoryError:
                return self._oldest(client)
            if not made:
                raise error
            return []
        self._remove_unusable(client, reply)
        if position is not None and self._position == position:  # not if `read_again` was called meanwhile
            read = [entry_id for _, entries in reply or () for entry_id, _ in entries]
            self._position = read[-1].decode() if read else None
        return _entries(reply)

    def _oldest(self, client: redis.Redis) -> list[Entry]:
        """Return the oldest entries of the stream, for a server that is so full of them that it cannot make the
        group: it has room when they are deleted. Raises OutOfMemoryError if they are still there."""
        reply: Any = client.xrange(self._stream, count=MAX_ENTRIES)
        oldest = reply[0][0] if reply else None
        if oldest == self._oldest_read:
            raise OutOfMemoryError("no room for a consumer group")
        self._oldest_read = oldest
        return _entries([(self._stream.encode(), reply)])

    def _remove_unusable(self, client: redis.Redis, reply: Any) -> None:
        """Acknowledge the entries that the stream has dropped, and those that are none of ours."""
        ids = [entry_id for _, entries in reply or () for entry_id, fields in entries if _data(fields) is None]
        if ids:
            acknowledge(self._stream, self._group, ids)(client)


def _create_group(client: redis.Redis, stream: str, group: str) -> bool:
    """Make a group; return False if there is one."""
    try:
        client.xgroup_create(stream, group, id=NOTHING_READ, mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
        return False
    return True


def acknowledge(stream: str, group: str, ids: Iterable[str | bytes]) -> Action[None]:
    """Acknowledge entries and delete them: nobody needs them any more. Not as a transaction, which a full server
    refuses: it would never have room again. Entries that were only deleted are acknowledged when they are read."""
    gone = list(ids)

    def act(client: redis.Redis) -> None:
        with client.pipeline(transaction=False) as pipe:
            pipe.xdel(stream, *gone)
            pipe.xack(stream, group, *gone)
            pipe.execute()

    return act


def count_unacknowledged(stream: str, group: str) -> Action[int]:
    """Return how many entries were read by a group and not acknowledged; 0 if there is no such group."""

    def act(client: redis.Redis) -> int:
        try:
            summary: Any = client.xpending(stream, group)
        except ResponseError as error:
            if str(error).startswith("NOGROUP"):
                return 0
            raise
        return int(summary["pending"])

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
    return [
        Entry(stream.decode(), entry_id.decode(), data)
        for stream, entries in reply or ()
        for entry_id, fields in entries
        if (data := _data(fields)) is not None
    ]


def _data(fields: Any) -> bytes | None:
    """Return what an entry holds; None if it is gone, or none of ours."""
    data = fields.get(FIELD) if fields else None
    return data if isinstance(data, bytes) else None
