"""The kinds of SQLite files in the data directory, and their versions, which are read without changing anything.
Blocks."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from p2pool.base.state_file import NewerFile, newer_than_known


@dataclass(frozen=True, slots=True)
class DatabaseFormat:
    """A kind of SQLite file in the data directory. `version` is the newest `user_version` that this program knows.
    `holds` completes "to start without ..."."""

    name: str
    holds: str
    version: int

    def check(self, directory: Path) -> None:
        """Raise NewerFile if the file in `directory` is of a newer version; ignore one that cannot be read. The
        file stays as it is, and gets no journal."""
        path = directory / self.name
        with suppress(sqlite3.Error), closing(open_unchanged(path)) as database:
            self.check_version(path, database)

    def check_version(self, path: Path, database: sqlite3.Connection) -> int:
        """Return the version of an open file; 0 if it is new. Raises NewerFile, sqlite3.Error."""
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if not 0 <= version <= self.version:
            raise NewerFile(newer_than_known(path, found=version, known=self.version, holds=self.holds))
        return int(version)


def open_unchanged(path: Path) -> sqlite3.Connection:
    """Open a database to read it. What is in its write-ahead log is read as well. Raises sqlite3.Error."""
    # SQLite would make a write-ahead log if there is none, and leave it behind.
    mode = "mode=ro" if _has_content(path.with_name(path.name + "-wal")) else "mode=ro&immutable=1"
    return sqlite3.connect(f"file:{quote(os.fsencode(path.absolute()))}?{mode}", uri=True)


def _has_content(path: Path) -> bool:
    try:
        return os.stat(path).st_size > 0
    except OSError:
        return False
