"""Warnings that last: each is logged once, and again after it has gone away and come back."""

from __future__ import annotations

import re
from collections.abc import Iterable

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
