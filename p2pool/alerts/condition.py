"""A thing that is well or not, looked at again and again: told once when it has been bad for long enough, and once
when it has been well again for a while."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """What a look told: `bad` since then (Unix seconds), or well again after that, for `lasted` seconds;
    `reason` is the newest that was given."""

    bad: bool
    since: float
    lasted: float
    reason: str


class Condition:
    """`patience`: seconds of being bad before that is told; `calm`: seconds of being well before that is."""

    def __init__(self, patience: float, calm: float = 30.0) -> None:
        self.patience = patience
        self._calm = calm
        self._bad_since: float | None = None
        self._well_since: float | None = None
        self._told = False
        self._reason = ""

    @property
    def told(self) -> bool:
        """Whether it was told that it is bad, and not yet that it is well."""
        return self._told

    def look(self, reason: str | None, now: float) -> Turn | None:
        """`reason` says why it is bad, None while it is well. A clock that was set back begins the wait anew."""
        if reason is None:
            return self._well(now)
        self._reason, self._well_since = reason, None
        if self._bad_since is None or (now < self._bad_since and not self._told):
            self._bad_since = now
        if self._told or now - self._bad_since < self.patience:
            return None
        self._told = True
        return Turn(True, self._bad_since, now - self._bad_since, reason)

    def _well(self, now: float) -> Turn | None:
        if not self._told:
            self._bad_since = None
            return None
        if self._well_since is None or now < self._well_since:
            self._well_since = now
        if self._bad_since is None or now - self._well_since < self._calm:
            return None
        since, well_since = self._bad_since, self._well_since
        self._told, self._bad_since, self._well_since = False, None, None
        return Turn(False, since, max(0.0, well_since - since), self._reason)

    def forget(self) -> None:
        """Take it for well, and tell nobody."""
        self._told, self._bad_since, self._well_since = False, None, None
