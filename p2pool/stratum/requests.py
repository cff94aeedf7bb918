"""Parsing of lines from a miner: JSON objects, also if a bad byte is in them."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from p2pool.stratum.errors import ErrorCode, StratumError

_CONTROL = re.compile("[\x00-\x1f\x7f]")


class BadLine(Exception):
    """A line that is not a request. Unless `fatal`, bad bytes explain that, and the connection goes on."""

    def __init__(self, text: str, *, fatal: bool) -> None:
        super().__init__(text)
        self.fatal = fatal


def parse_line(line: bytes) -> tuple[dict[str, Any], StratumError | None]:
    """Return (message, error) of a line without its line end.

    A bad byte (not UTF-8, or a control character) gets its line rejected with `error`, but does not end the
    connection: the readable rest of the request has the id to answer to. Raises BadLine if the line is not a JSON
    object."""
    error: StratumError | None = None
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        message, error = _salvage(line)
    if not isinstance(message, dict):
        raise BadLine("a line that is not a JSON object", fatal=True)
    return message, error


def _salvage(line: bytes) -> tuple[Any, StratumError]:
    """Return what a line says without its bad characters, and the error. Raises BadLine."""
    text = line.decode("utf-8", "replace")
    cleaned = _CONTROL.sub("", text)
    if "\ufffd" in text:
        what = "the line is not valid UTF-8"
    elif cleaned != text.strip("\r\t "):
        what = "the line has a control character in it"
    elif "\\ud" in text.lower():
        what = "the line has half a surrogate pair in it"
    else:
        raise BadLine("a line that is not JSON", fatal=True)
    try:
        message = json.loads(cleaned)
    except (ValueError, RecursionError):
        raise BadLine(what, fatal=False) from None
    if isinstance(message, dict) and not _can_be_repeated(message.get("id")):
        message["id"] = None
    return message, StratumError(ErrorCode.OTHER, what)


def _can_be_repeated(request_id: Any) -> bool:
    """Return whether an answer can contain an id: orjson writes no half surrogate pairs and no very large
    numbers."""
    try:
        orjson.dumps(request_id)
    except TypeError:
        return False
    return True
