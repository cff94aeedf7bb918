"""Lines from the server to a miner, as bytes."""

from __future__ import annotations

from typing import Any

import orjson

from p2pool.stratum.errors import StratumError


def answer_line(request_id: Any, result: Any, error: StratumError | None) -> bytes:
    """Return the answer to a request; an id that is a list or an object is not repeated."""
    if isinstance(request_id, dict | list):
        request_id = None
    if error is not None:
        error_fields = [int(error.code), error.text, None]
        return orjson.dumps({"id": request_id, "result": False, "error": error_fields}) + b"\n"
    return orjson.dumps({"id": request_id, "result": result, "error": None}) + b"\n"


def notification_line(method: str, params: list[Any]) -> bytes:
    """Return a notification, which the miner does not answer."""
    return orjson.dumps({"id": None, "method": method, "params": params}) + b"\n"


def request_line(request_id: int, method: str) -> bytes:
    """Return a request, which the miner answers under `request_id`."""
    return orjson.dumps({"id": request_id, "method": method, "params": []}) + b"\n"


def difficulty_line(difficulty: float) -> bytes:
    """Return mining.set_difficulty; a whole number is written without a fraction."""
    return notification_line("mining.set_difficulty", [int(difficulty) if difficulty.is_integer() else difficulty])
