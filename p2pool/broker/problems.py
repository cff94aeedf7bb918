"""What is wrong with the broker, in words that say what to do about it. No sockets, no threads."""

from __future__ import annotations

from dataclasses import dataclass, field
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
from redis.sentinel import MasterNotFoundError

from p2pool.base.text import printable

MAX_TEXT: Final = 200
"""Characters of an error's text that are shown: a server that is no Redis may answer anything."""
MAX_REPORTED: Final = 16
"""Texts of one outage that are logged."""
FORGET: Final = 60.0
"""Seconds after which a refusal that was not repeated is no longer a problem."""
_START: Final = "start"
_OF_PIPELINE: Final = " of pipeline caused error: "
"""What the client puts between a command with its data and the error that it caused."""
_ADVICE: Final = (
    (AuthenticationError, "check user and password in the broker's URL"),
    (NoPermissionError, "allow it to this user in Redis (ACL SETUSER)"),
    (ReadOnlyError, "this is a replica: name the master in the broker's URL, or use redis+sentinel://"),
    (OutOfMemoryError, "Redis is full: raise its maxmemory"),
)
_ADVICE_TO_CONNECT: Final = (
    ": check host, port and firewall, and whether the server has TLS if the broker's URL begins with rediss://"
)
_NO_LOGIN: Final = ("HELLO must be called with the client already authenticated", "Authentication required")


def describe(error: Exception, seconds: float) -> str:
    """Return what is wrong, for people. `seconds` is how long Redis had to answer."""
    if isinstance(error, MasterNotFoundError):
        return _describe_sentinels(str(error))
    what = str(error).rpartition(_OF_PIPELINE)[2] or type(error).__name__
    text = printable(what, MAX_TEXT)
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:g} s{_ADVICE_TO_CONNECT if 'connecting' in text else ''}"
    if isinstance(error, AuthenticationError) and text.startswith(_NO_LOGIN):
        text = "Redis requires a password"
    if isinstance(error, InvalidResponse) or not isinstance(error, (RedisError, OSError)):
        return f"the server does not answer as Redis does: {text}; check host and port in the broker's URL"
    if "CERTIFICATE_REQUIRED" in text:
        return f"{text}; give ?cert=FILE&key=FILE, or set tls-auth-clients no in Redis"
    if "SSL" in text or "_ssl.c" in text:
        return f"{text}; check whether the server has TLS (rediss://), and its certificate (?ca=FILE)"
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), None)
    return text if advice is None else f"{text}; {advice}"


def _describe_sentinels(text: str) -> str:
    """Return why no Sentinel names the master. The client's own text repeats all its settings, in some versions
    with the password."""
    name, were_asked, errors = text.partition(" : ")
    if "AuthenticationError" in errors or "NOAUTH" in errors:
        advice = "the Sentinels reject the password in the broker's URL (requirepass in sentinel.conf)"
    elif were_asked:
        advice = "no Sentinel answers: check their hosts and ports in the broker's URL"
    else:
        advice = (
            "the Sentinels know no such master that is up: wait for a failover, or check the name at the end of "
            "the broker's URL"
        )
    return f"{printable(name, MAX_TEXT)}; {advice}"


@dataclass(slots=True)
class _Refusal:
    """What Redis refuses for one reason. `last` is when it did so the last time."""

    text: str
    last: float
    operations: set[str] = field(default_factory=set)
    """Bound: as many as there are in the program."""


class Problems:
    """What does not work now: connections, by the thread that uses each, and what Redis refuses, by the reason.

    A refusal stays a problem until one of the operations that it struck succeeds, or has not been tried for
    FORGET: a full Redis can be read, and a replica, too, which says nothing about writing.
    """

    def __init__(self) -> None:
        self._connections: dict[str, str] = {_START: "not connected yet"}
        """Bound: as many as there are in the program."""
        self._refusals: dict[str, _Refusal] = {}
        """By the class of the error. Bound: as many as the client has."""
        self._reported: set[str] = set()

    @property
    def current(self) -> str | None:
        """Return a sentence; None if all is well."""
        refusals = [refusal.text for refusal in self._refusals.values()]
        return next(iter([*self._connections.values(), *refusals]), None)

    def failed(self, error: Exception, *, connection: str, operation: str, text: str, now: float) -> bool:
        """Take a failure. Return whether it is news that should be logged."""
        self._connections.pop(_START, None)
        if isinstance(error, ResponseError):
            self._connections.pop(connection, None)  # there was an answer
            refusal = self._refusals.setdefault(type(error).__name__, _Refusal(text, now))
            refusal.text, refusal.last = text, now
            refusal.operations.add(operation)
        else:
            self._connections[connection] = text
        new = text not in self._reported and len(self._reported) < MAX_REPORTED
        if new:
            self._reported.add(text)
        return new

    def succeeded(self, *, connection: str, operation: str, now: float) -> bool:
        """Take a success. Return whether all is well only since now."""
        if not self._connections and not self._refusals:
            return False
        self._connections.pop(_START, None)
        self._connections.pop(connection, None)
        self._refusals = {
            reason: refusal
            for reason, refusal in self._refusals.items()
            if operation not in refusal.operations and now - refusal.last < FORGET
        }
        if self._connections or self._refusals:
            return False
        self._reported.clear()
        return True
