"""Values of the broker that one process has at a time: leases, and values that change their owner.

Each function returns an action for `Broker.ask`. What others must not interrupt is a transaction that Redis drops
if the key changed meanwhile (WATCH, MULTI, EXEC). Source: the commands' pages at redis.io.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import redis
from redis.exceptions import WatchError

from p2pool.broker.operations import FIELD, Action


def lease_one(
    keys: Sequence[str], owner: bytes, *, seconds: float, last: Sequence[str] = ()
) -> Action[str | None]:
    """Lease the first of `keys` that nobody has, and return it; None if all are leased. `last` has a key for each:
    those for which it exists are taken only if there is no other."""

    def act(client: redis.Redis) -> str | None:
        owners = client.mget(list(keys))
        marks = client.mget(list(last)) if last else [None] * len(keys)
        free = [index for index, value in enumerate(owners) if value is None]
        for index in sorted(free, key=lambda each: marks[each] is not None):
            if client.set(keys[index], owner, px=int(seconds * 1000), nx=True):
                return keys[index]
        return None

    return act


def renew_lease(key: str, owner: bytes, *, seconds: float) -> Action[bool]:
    """Extend a lease, or take it again if it expired and nobody has it. Return False if somebody else does."""

    def act(client: redis.Redis) -> bool:
        with client.pipeline(transaction=True) as pipe:
            pipe.watch(key)  # type: ignore[no-untyped-call]
            if pipe.get(key) not in (None, owner):
                return False
            pipe.multi()
            pipe.set(key, owner, px=int(seconds * 1000))
            return _execute(pipe)

    return act


def release_lease(key: str, owner: bytes) -> Action[bool]:
    """End a lease. Return False if it was over, or somebody else has it."""

    def act(client: redis.Redis) -> bool:
        with client.pipeline(transaction=True) as pipe:
            pipe.watch(key)  # type: ignore[no-untyped-call]
            if pipe.get(key) != owner:
                return False
            pipe.multi()
            pipe.delete(key)
            return _execute(pipe)

    return act


def put_all(values: Mapping[str, bytes], *, seconds: float) -> Action[None]:
    """Set values that expire, in one request."""

    def act(client: redis.Redis) -> None:
        with client.pipeline(transaction=False) as pipe:
            for key, value in values.items():
                pipe.set(key, value, px=int(seconds * 1000))
            pipe.execute()

    return act


def delete_all(keys: Iterable[str]) -> Action[None]:
    """Delete values, in one request."""
    gone = list(keys)

    def act(client: redis.Redis) -> None:
        if gone:
            client.delete(*gone)

    return act


def mark_all(keys: Iterable[str], *, seconds: float) -> Action[None]:
    """Let keys exist for so long from now."""
    return put_all(dict.fromkeys(keys, b"1"), seconds=seconds)


def change_value(
    key: str, change: Callable[[bytes], tuple[bytes, bytes]], *, stream: str, keep: int, seconds: float
) -> Action[bytes | None]:
    """Replace a value and announce it in a stream, both at once. `change` returns the new value and the entry for
    the old one; it runs in the broker's thread, and what it raises is the failure of the action.

    Return the old value; None if there was none, or somebody else changed it at the same time.
    """

    def act(client: redis.Redis) -> bytes | None:
        with client.pipeline(transaction=True) as pipe:
            pipe.watch(key)  # type: ignore[no-untyped-call]
            old = pipe.get(key)
            if not isinstance(old, bytes):
                return None
            value, entry = change(old)
            pipe.multi()
            pipe.set(key, value, px=int(seconds * 1000))
            pipe.xadd(stream, {FIELD: entry}, maxlen=keep, approximate=True)
            return old if _execute(pipe) else None

    return act


def _execute(pipe: redis.client.Pipeline) -> bool:
    """Carry out a transaction. Return False if a watched key changed."""
    try:
        pipe.execute()
    except WatchError:
        return False
    return True
