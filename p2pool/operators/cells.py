"""Text from outside on a terminal: names that miners chose cannot control it, and take the columns they get."""

from __future__ import annotations

import unicodedata
from typing import Final

from p2pool.base.text import printable

CUT: Final = "…"
_RIGHT_TO_LEFT: Final = ("R", "AL", "AN")


def safe(text: str, limit: int = 500) -> str:
    """Return `text` in at most `limit` characters, each of which takes one or two columns of a terminal.

    "?" stands for control characters, for those that would change the order of the line, and for marks that
    combine with others."""
    shown = printable(text, limit)
    if shown.isascii():
        return shown
    return "".join("?" if _disturbs(each) else each for each in shown)


def _disturbs(character: str) -> bool:
    is_mark = unicodedata.category(character) in ("Mn", "Me", "Mc")
    # Medial vowels and final consonants of Hangul combine with what is before them, though they are letters.
    is_part = "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff"
    return is_mark or is_part or unicodedata.bidirectional(character) in _RIGHT_TO_LEFT


def width_of(text: str) -> int:
    """Return how many columns of a terminal a safe text takes."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def fit(text: str, width: int, *, right: bool = False, middle: bool = False) -> str:
    """Return `text`, made safe, in exactly `width` columns: padded, or cut at its end, or in the `middle` if
    both ends of it matter."""
    shown = safe(text, 4 * max(width, 64))
    missing = width - width_of(shown)
    if missing < 0:
        tail = (width - 1) // 2 if middle else 0
        end = _last(shown, tail)
        shown = _first(shown, max(0, width - 1 - width_of(end))) + (CUT + end)[: max(0, width)]
        missing = width - width_of(shown)
    return " " * missing + shown if right else shown + " " * missing


def _first(text: str, width: int) -> str:
    """Return as much of the beginning of a text as fits."""
    used = 0
    for place, character in enumerate(text):
        used += width_of(character)
        if used > width:
            return text[:place]
    return text


def _last(text: str, width: int) -> str:
    """Return as much of the end of a text as fits."""
    return _first(text[::-1], width)[::-1]
