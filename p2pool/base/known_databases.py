"""Remembers which database files this node used, so that one that is missing or was emptied is not taken for a new
one. Called by the owners of the databases before they open them, each in a thread. Blocks."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from threading import Lock

from p2pool.base.errors import ParseError
from p2pool.base.files import quarantine_database
from p2pool.base.state_file import StateFile, StateFormat

DATABASES_FILE = StateFormat("databases.json", "the list of databases that this node used", 64 * 1024)
MAX_DATABASES = 100
"""Paths that are remembered, the newest ones: operators may try several."""


class KnownDatabases:
    """The databases that the node of a data directory has used."""

    def __init__(self, directory: Path) -> None:
        self._file = StateFile(directory / DATABASES_FILE.name, DATABASES_FILE)
        self._lock = Lock()

    def before_opening(self, path: Path, stamp: str) -> str | None:
        """Return a sentence if the database at `path` is suspiciously empty or missing, else None.

        Its write-ahead log, which SQLite would delete then, is quarantined with it as `<name>.damaged-<stamp>`.
        Raises OSError.
        """
        size = _size(path)
        if size is not None and size > 0:
            return None
        kept = None
        if _size(path.with_name(path.name + "-wal")):
            path.touch()
            kept = quarantine_database(path, stamp)
        if size == 0:
            problem = f"{path} is empty (0 bytes), although this node has used it"
        elif kept is not None or self._knows(path):
            problem = f"{path} is missing, although this node has used it"
        else:
            return None
        rest = "" if kept is None else f"; what is left of it is kept as {kept.name} and {kept.name}-wal"
        return (
            f"{problem}. Starting with a new one; to recover the old one, stop the node and restore a backup{rest}"
        )

    def _knows(self, path: Path) -> bool:
        return _name(path) in (self._file.read(_paths) or [])

    def opened(self, path: Path) -> None:
        """Remember that the database at `path` is in use. If that cannot be written, a line is logged."""
        name = _name(path)
        with self._lock:
            paths = self._file.read(_paths) or []
            if name in paths:
                return
            self._file.save({"paths": [*paths, name][-MAX_DATABASES:]})


def _name(path: Path) -> str:
    """Return the path as JSON can hold it, whatever bytes it has."""
    return os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")


def _size(path: Path) -> int | None:
    with suppress(OSError):
        return os.stat(path).st_size
    return None


def _paths(document: object) -> list[str]:
    paths = document.get("paths") if isinstance(document, dict) else None
    if not isinstance(paths, list):
        raise ParseError("it holds no list of paths")
    return [path for path in paths if isinstance(path, str)]
