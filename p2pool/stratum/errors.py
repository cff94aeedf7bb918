"""What a miner is told when something is refused."""

from __future__ import annotations

import math
from enum import IntEnum

from p2pool.base.text import printable
from p2pool.dash.target import target_to_difficulty


class Code(IntEnum):
    """Stratum's error codes."""

    OTHER = 20
    JOB_NOT_FOUND = 21
    DUPLICATE = 22
    LOW_DIFFICULTY = 23
    UNAUTHORIZED = 24
    NOT_SUBSCRIBED = 25


class Refusal(Exception):
    """A request is refused: answered with `[code, text, null]`; `text` is cut and cleaned for the wire.

    `is_offence` is False if the request was fine in itself and met a limit of the server: that costs its sender
    nothing.
    """

    def __init__(self, code: Code, text: str, is_offence: bool = True) -> None:
        self.code = code
        self.is_offence = is_offence
        self.text = printable(text, 200)
        super().__init__(self.text)


def low_difficulty(found: int, required: float) -> Refusal:
    """Return the refusal of a submission whose hash is `found` and does not meet the difficulty `required`."""
    difficulty = min(target_to_difficulty(max(found, 1)), math.nextafter(required, 0.0))  # never equal by rounding
    shown, wanted = f"{difficulty:g}", f"{required:g}"
    if shown == wanted:
        shown, wanted = repr(difficulty), repr(required)
    return Refusal(Code.LOW_DIFFICULTY, f"low difficulty share: {shown} is below the required {wanted}")
