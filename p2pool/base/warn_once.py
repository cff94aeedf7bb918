"""Warnings that last are logged once, those that others cause are rate-limited."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

_DIGITS = re.compile(r"[0-9]+")
PERIOD: Final = 600.0
"""Seconds in which a warning that others cause is logged once."""
MOST: Final = 8
"""Such warnings of one kind that are logged in that time."""


class WarnOnce:
    """Remembers which warnings were logged already. Two texts that differ only in their numbers are the same."""

    def __init__(self) -> None:
        self._logged: set[str] = set()
        """Bound: what holds at one time."""

    def new(self, texts: Iterable[str]) -> list[str]:
        """Return those of the texts, all that hold now, that did not hold the last time."""
        holding = {_DIGITS.sub("", text): text for text in texts}
        new = [text for key, text in holding.items() if key not in self._logged]
        self._logged = set(holding)
        return new


class WarnRarely:
    """Limits warnings that others cause with what they send: each text is logged once in PERIOD, and at most MOST
    of them. `monotonic` gives seconds. Two texts that differ only in their numbers are the same."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._logged: set[str] = set()
        """Bound: MOST."""
        self._end = float("-inf")

    def is_due(self, problem: object) -> bool:
        """Return whether to log a warning now: a text, or an exception with one."""
        now, key = self._monotonic(), _DIGITS.sub("", str(problem))
        if now >= self._end:
            self._logged, self._end = set(), now + PERIOD
        if key in self._logged or len(self._logged) >= MOST:
            return False
        self._logged.add(key)
        return True
