"""Warnings that stand for long are said once in the log, and again when they come back."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DIGITS = re.compile(r"[0-9]+")


class SaidOnce:
    """Remembers what stands in the log. Two texts that differ in their numbers only are the same."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        """Bound: what holds at one time."""

    def news(self, texts: Iterable[str]) -> list[str]:
        """Those of the texts, all that hold now, that did not hold the last time."""
        holding = {_DIGITS.sub("", text): text for text in texts}
        new = [text for key, text in holding.items() if key not in self._said]
        self._said = set(holding)
        return new
