"""A condition that is good or bad, checked again and again: reported once when it has been bad for long enough,
and once when it has been good again for a while."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transition:
    """A change to report: `bad` since `since` (Unix seconds), or good again after that, having been bad for
    `lasted` seconds; `reason` is the newest that was given."""

    bad: bool
    since: float
    lasted: float
    reason: str

    def details(self) -> dict[str, object]:
        """Return the times of the change as details of an event."""
        return {"since": self.since} if self.bad else {"since": self.since, "lasted": self.lasted}


class Condition:
    """`patience`: seconds of being bad before that is reported; `calm`: seconds of being good before that is."""

    def __init__(self, patience: float, calm: float = 30.0) -> None:
        self.patience = patience
        self._calm = calm
        self._bad_since: float | None = None
        self._good_since: float | None = None
        self._reported = False
        self._reason = ""

    @property
    def reported(self) -> bool:
        """Return whether it was reported as bad, and not yet as good again."""
        return self._reported

    def check(self, reason: str | None, now: float) -> Transition | None:
        """Return what to report now, None if nothing. `reason` says why the condition is bad, None while it is
        good. A clock that was set back restarts the wait."""
        if reason is None:
            return self._good(now)
        self._reason, self._good_since = reason, None
        if self._bad_since is None or (now < self._bad_since and not self._reported):
            self._bad_since = now
        if self._reported or now - self._bad_since < self.patience:
            return None
        self._reported = True
        return Transition(True, self._bad_since, now - self._bad_since, reason)

    def _good(self, now: float) -> Transition | None:
        if not self._reported:
            self._bad_since = None
            return None
        if self._good_since is None or now < self._good_since:
            self._good_since = now
        if self._bad_since is None or now - self._good_since < self._calm:
            return None
        since, good_since = self._bad_since, self._good_since
        self._reported, self._bad_since, self._good_since = False, None, None
        return Transition(False, since, max(0.0, good_since - since), self._reason)

    def forget(self) -> None:
        """Take the condition for good, without a report."""
        self._reported, self._bad_since, self._good_since = False, None, None
