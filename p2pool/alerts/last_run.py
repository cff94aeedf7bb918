"""A small file that says when this node was last running and whether that run was stopped in order, so that the
next start can report it. Blocks: called in a thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from p2pool.base.errors import ParseError
from p2pool.base.state_file import StateFile, StateFormat

LAST_RUN_FILE = StateFormat("last-run.json", "the record of the last run", 4096)


@dataclass(frozen=True, slots=True)
class LastRun:
    """The end of a run. `time` in Unix seconds: when it was stopped, or last seen running."""

    time: float
    orderly: bool


def read_last_run(path: Path) -> LastRun | None:
    """Return how the last run ended; None if there was none, or the file could not be used."""
    return StateFile(path, LAST_RUN_FILE).read(_parse)


def _parse(document: object) -> LastRun:
    match document:
        case {"time": int() | float() as time, "orderly": bool(orderly)} if 0 <= time < 2**53:
            return LastRun(float(time), orderly)
    raise ParseError("it does not say when and how a run ended")


def write_last_run(path: Path, run: LastRun) -> None:
    """Write how this run ended, or that it is running. Raises OSError."""
    StateFile(path, LAST_RUN_FILE).write({"time": run.time, "orderly": run.orderly})
