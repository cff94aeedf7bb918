"""Warnings that last or repeat themselves: each is logged once, and not again before something has changed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from p2pool.base.bounded import BoundedDict

MAX_TEXTS: Final = 64
"""Texts that a WarnSeldom remembers."""
_DIGITS = re.compile(r"[0-9]+")


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


class WarnSeldom:
    """Remembers for so many seconds which warnings were logged, for what comes between other things that are well.
    Two texts that differ only in their numbers are the same."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._logged: BoundedDict[str, float] = BoundedDict(MAX_TEXTS)

    def new(self, texts: Iterable[str], now: float) -> list[str]:
        """Return those of the texts that were not returned in the last seconds."""
        new = []
        for text in texts:
            key = _DIGITS.sub("", text)
            if now - self._logged.get(key, now - self._seconds) >= self._seconds:
                self._logged.pop(key, None)
                self._logged[key] = now
                new.append(text)
        return new
