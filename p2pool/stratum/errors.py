"""The errors with which requests of miners are answered."""

from __future__ import annotations

import math
from enum import IntEnum

from twisted.internet.defer import Deferred

from p2pool.base.text import printable
from p2pool.dash.target import target_to_difficulty


class ErrorCode(IntEnum):
    """The error codes of stratum (the first element of an error)."""

    OTHER = 20
    JOB_NOT_FOUND = 21
    DUPLICATE = 22
    LOW_DIFFICULTY = 23
    UNAUTHORIZED = 24
    NOT_SUBSCRIBED = 25


class StratumError(Exception):
    """A request is rejected: answered with `[code, text, null]`; `text` is cut and cleaned for the wire.

    `is_offence` is False if the request was fine in itself and met a limit of the server: its sender is not
    charged for that.
    """

    def __init__(self, code: ErrorCode, text: str, *, is_offence: bool = True) -> None:
        self.code = code
        self.is_offence = is_offence
        self.text = printable(text, 200)
        super().__init__(self.text)


class AnswerLater(Exception):
    """A request cannot be answered yet: it is to be handled again once `until` has fired, which never fails."""

    def __init__(self, until: Deferred[None]) -> None:
        super().__init__("the answer has to wait")
        self.until = until


def low_difficulty(found: int, required: float) -> StratumError:
    """Return the error for a submission whose hash is `found` and does not meet the difficulty `required`."""
    difficulty = min(target_to_difficulty(max(found, 1)), math.nextafter(required, 0.0))  # never equal by rounding
    shown, wanted = f"{difficulty:g}", f"{required:g}"
    if shown == wanted:
        shown, wanted = repr(difficulty), repr(required)
    return StratumError(ErrorCode.LOW_DIFFICULTY, f"low difficulty share: {shown} is below the required {wanted}")
