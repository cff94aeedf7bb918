"""Lines from a miner: JSON objects, and what is left of one with a bad byte in it."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from p2pool.stratum.errors import Code, Refusal

_CONTROL = re.compile("[\x00-\x1f\x7f]")


class BadLine(Exception):
    """A line that is no request. Unless `fatal`, a byte that does not belong in text explains it, and the
    connection goes on."""

    def __init__(self, text: str, *, fatal: bool) -> None:
        super().__init__(text)
        self.fatal = fatal


def parse_line(line: bytes) -> tuple[dict[str, Any], Refusal | None]:
    """Return (message, refusal) of a line without its end.

    A bad byte (not UTF-8, or a control character) costs its line a refusal, not the connection: what can be read
    of the request tells whom to answer. Raises BadLine for what is no JSON object."""
    refusal: Refusal | None = None
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        message, refusal = _salvage(line)
    if not isinstance(message, dict):
        raise BadLine("a line that is not a JSON object", fatal=True)
    return message, refusal


def _salvage(line: bytes) -> tuple[Any, Refusal]:
    """What a line says without its bad characters, and what was wrong. Raises BadLine."""
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
    return message, Refusal(Code.OTHER, what)


def _can_be_repeated(request_id: Any) -> bool:
    """Whether an answer can hold it: orjson writes neither half a surrogate pair nor very large numbers."""
    try:
        orjson.dumps(request_id)
    except TypeError:
        return False
    return True
