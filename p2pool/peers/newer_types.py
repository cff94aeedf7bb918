"""Share types above the one that this software knows: which ones peers send, how many, since when. Pure. Called by
`peer_watch`, which warns of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pool.pool_stats import NewerType

LAST_COUNTED = 127
"""Types above it are counted together: whoever invents types fills a table of so many rows, and pushes none
out."""
MAX_HOSTS = 100
"""Hosts that are counted for each type."""
WARN_PERIOD = 3600.0
"""Seconds after which a type that is still sent is worth another line."""
GROWTH = 10
"""A type is worth another line at once when so many times more of it came than the last line said."""
MAX_WARNINGS = 20
"""Lines in WARN_PERIOD, of all types together."""


@dataclass(slots=True)
class _Seen:
    first: float
    last: float
    peer: str
    software: str
    shares: int = 0
    hosts: set[str] = field(default_factory=set)
    warned: float | None = None
    warned_shares: int = 0


class NewerTypes:
    """Bound: one row for each type up to LAST_COUNTED, and one for all others."""

    def __init__(self) -> None:
        self._seen: dict[int | None, _Seen] = {}
        self._warnings, self._warnings_since = 0, 0.0

    def record(self, kind: int, *, peer: str, host: str, software: str, now: float) -> NewerType | None:
        """Count a share of a type above this node's. Return the type's row if it is worth a line in the log. `now`
        is Unix time in seconds."""
        key = kind if kind <= LAST_COUNTED else None
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = _Seen(now, now, peer, software)
        seen.shares += 1
        seen.last = now
        if len(seen.hosts) < MAX_HOSTS:
            seen.hosts.add(host)
        if not self._is_news(seen, now):
            return None
        seen.warned, seen.warned_shares = now, seen.shares
        return _row(key, seen)

    def _is_news(self, seen: _Seen, now: float) -> bool:
        recent = seen.warned is not None and 0 <= now - seen.warned < WARN_PERIOD
        if recent and seen.shares < GROWTH * seen.warned_shares:
            return False
        if not 0 <= now - self._warnings_since < WARN_PERIOD:
            self._warnings, self._warnings_since = 0, now
        self._warnings += 1
        return self._warnings <= MAX_WARNINGS

    def rows(self) -> tuple[NewerType, ...]:
        """Return all that were seen since the start, in order of their numbers."""
        counted = sorted((key, seen) for key, seen in self._seen.items() if key is not None)
        rows = [_row(key, seen) for key, seen in counted]
        if None in self._seen:
            rows.append(_row(None, self._seen[None]))
        return tuple(rows)


def _row(kind: int | None, seen: _Seen) -> NewerType:
    return NewerType(kind, seen.shares, seen.first, seen.last, seen.peer, seen.software, len(seen.hosts))
