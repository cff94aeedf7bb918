"""What is wrong with the broker, in words that say what to do about it. No sockets, no threads."""

from __future__ import annotations

from typing import Final

from redis.exceptions import (
    AuthenticationError,
    InvalidResponse,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from p2pool.base.text import printable

MAX_TEXT: Final = 200
"""Characters of an error's text that are shown: a server that is no Redis may answer anything."""
MAX_REPORTED: Final = 16
"""Texts of one outage that are logged."""
_START: Final = "start"
_ADVICE: Final = (
    (AuthenticationError, "check user and password in the broker's URL"),
    (NoPermissionError, "allow it to this user in Redis (ACL SETUSER)"),
    (ReadOnlyError, "this is a replica: name the master in the broker's URL, or use redis+sentinel://"),
    (OutOfMemoryError, "Redis is full: raise its maxmemory"),
)


def describe(error: Exception, seconds: float) -> str:
    """Return what is wrong, for people. `seconds` is how long Redis had to answer."""
    text = printable(str(error) or type(error).__name__, MAX_TEXT)
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:g} s"
    if isinstance(error, InvalidResponse) or not isinstance(error, (RedisError, OSError)):
        return f"the server does not answer as Redis does: {text}; check host and port in the broker's URL"
    if "SSL" in text:
        return f"{text}; check whether the server has TLS (rediss://), and its certificate (?ca=FILE)"
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), None)
    return text if advice is None else f"{text}; {advice}"


class Problems:
    """What does not work now: connections, by the thread that uses each, and operations that Redis refuses.

    An operation that is refused stays a problem until it succeeds, though others do: a full Redis can be read.
    """

    def __init__(self) -> None:
        self._open: dict[str, str] = {_START: "not connected yet"}
        """By connection or operation. Bound: as many as there are in the program."""
        self._reported: set[str] = set()

    @property
    def current(self) -> str | None:
        """Return a sentence; None if all is well."""
        return next(iter(self._open.values()), None)

    def failed(self, error: Exception, *, connection: str, operation: str, text: str) -> bool:
        """Take a failure. Return whether it is news that should be logged."""
        self._open.pop(_START, None)
        if isinstance(error, ResponseError):
            self._open.pop(connection, None)  # there was an answer
            self._open[operation] = text
        else:
            self._open[connection] = text
        new = text not in self._reported and len(self._reported) < MAX_REPORTED
        if new:
            self._reported.add(text)
        return new

    def succeeded(self, *, connection: str, operation: str) -> bool:
        """Take a success. Return whether all is well only since now."""
        if not self._open:
            return False
        for each in (_START, connection, operation):
            self._open.pop(each, None)
        if self._open:
            return False
        self._reported.clear()
        return True
