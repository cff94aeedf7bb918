"""Tables in Redis: values under one key, by field, that expire together. See `operations` for how these are used.

Source: the pages of HSET, HMGET, HLEN, EXISTS, PEXPIRE, UNLINK and XRANGE at redis.io.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import redis

from p2pool.broker.operations import FIELD, Action


def put_fields(key: str, values: Mapping[bytes, bytes], *, seconds: float) -> Action[None]:
    """Add values to a table, which lives for so long from now."""

    def act(client: redis.Redis) -> None:
        fields: dict[Any, Any] = dict(values)
        with client.pipeline(transaction=True) as pipe:
            pipe.hset(key, mapping=fields)
            pipe.pexpire(key, int(seconds * 1000))
            pipe.execute()

    return act


def get_fields(key: str, fields: Sequence[bytes]) -> Action[list[bytes | None]]:
    """Return the values of fields, None for each that is missing."""

    def act(client: redis.Redis) -> list[bytes | None]:
        values = client.hmget(key, list(fields))
        return [value if isinstance(value, bytes) else None for value in values]

    return act


def count_fields(key: str, *, seconds: float) -> Action[int]:
    """Let a table live for so long from now, and return how many fields it has; 0 if it is missing."""

    def act(client: redis.Redis) -> int:
        client.pexpire(key, int(seconds * 1000))
        return int(client.hlen(key))

    return act


def remove(*keys: str) -> Action[None]:
    """Delete the values or tables under keys."""

    def act(client: redis.Redis) -> None:
        client.unlink(*keys)

    return act


def append_unless_there(stream: str, data: bytes, *, entry_id: str | None, keep: int) -> Action[str]:
    """Add an entry to a stream of about `keep` entries, unless it is there as `entry_id`. Return its id."""

    def act(client: redis.Redis) -> str:
        if entry_id is not None and client.xrange(stream, min=entry_id, max=entry_id, count=1):
            return entry_id
        added = client.xadd(stream, {FIELD: data}, maxlen=keep, approximate=True)
        return added.decode() if isinstance(added, bytes) else str(added)

    return act
