"""What a miner is told when something is refused."""

from __future__ import annotations

from enum import IntEnum

from p2pool.base.text import printable


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
