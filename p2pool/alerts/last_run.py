"""A small file that says when this node was last seen running and whether its run ended in good order, so that the
next start can tell. Blocks: called in a thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson

from p2pool.base.files import write_file

MAX_FILE = 4096


@dataclass(frozen=True, slots=True)
class LastRun:
    """`time` in Unix seconds: when it was stopped, or last seen."""

    time: float
    orderly: bool


def read_last_run(path: Path) -> LastRun | None:
    """None where there was none, or the file says nothing that makes sense."""
    try:
        with open(path, "rb") as file:
            match orjson.loads(file.read(MAX_FILE)):
                case {"time": int() | float() as time, "orderly": bool(orderly)} if 0 <= time < 2**53:
                    return LastRun(float(time), orderly)
    except (OSError, orjson.JSONDecodeError):
        pass
    return None


def write_last_run(path: Path, run: LastRun) -> None:
    """Raises OSError."""
    write_file(path, orjson.dumps({"time": run.time, "orderly": run.orderly}) + b"\n")
