"""Keys of a terminal: the bytes that it sends, and what `top` does with them. Pure: no terminal is read here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from p2pool.operators.top_screen import Selection

_SEQUENCE: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~])")
_UNFINISHED: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?")
_MAX_SEQUENCE: Final = 32
"""Bytes of a sequence; more of it is no key."""
_NAMES: Final = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\x1b[H": "home",
    b"\x1b[1~": "home",
    b"\x1b[7~": "home",
    b"\x1b[F": "end",
    b"\x1b[4~": "end",
    b"\x1b[8~": "end",
}
"""What terminals send, also with O in place of [ (application mode)."""


class KeyReader:
    """Makes keys of bytes, which may come in any pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Return the keys: characters as they are, others by name. Unknown sequences are none."""
        data, self._rest = self._rest + data, b""
        place = 0
        while place < len(data):
            sequence = _SEQUENCE.match(data, place)
            if sequence is not None:
                name = _NAMES.get(sequence[0].replace(b"\x1bO", b"\x1b["))
                if name is not None:
                    yield name
                place = sequence.end()
            elif _UNFINISHED.fullmatch(data, place) and len(data) - place <= _MAX_SEQUENCE:
                self._rest = data[place:]
                return
            else:
                if data[place] < 0x7F:
                    yield chr(data[place])
                place += 1


def press(key: str, selection: Selection, *, total: int, room: int) -> Selection | None:
    """Return what is selected after a key, with so many workers in all and on the screen; None to quit."""
    if key in ("q", "Q"):
        return None
    if key in ("?", "h") or selection.helping:
        return replace(selection, helping=not selection.helping)
    if key == "p":
        return replace(selection, paused=not selection.paused)
    if key in ("s", "right", "left"):
        return selection.sorted_by(-1 if key == "left" else 1)
    steps = {"up": -1, "down": 1, "page up": -room, "page down": room, "home": -total, "end": total}
    if key in steps:
        return selection.moved(selection.offset + steps[key], total, room)
    return selection
