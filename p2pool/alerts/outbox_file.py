"""The outbox on disk: a small SQLite file that only its owner may read. Blocks: called in a thread.

A file that cannot be read is quarantined, never deleted. It holds events and messages, and names destinations by
their ids: no address, no URL, no secret.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import orjson

from p2pool.alerts.channel import OutboxEntry
from p2pool.base.database_format import DatabaseFormat
from p2pool.base.files import quarantine

MAX_READ: Final = 100_000
"""Rows that are loaded."""
MAX_CONTENT: Final = 65_536
"""Bytes of an entry; larger ones are ignored."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY, destination TEXT NOT NULL, content BLOB NOT NULL, created REAL NOT NULL,
    attempts INTEGER NOT NULL, next_attempt REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""
OUTBOX_FILE: Final = DatabaseFormat("alerts.sqlite", "the pending alerts in it", 1)
"""Files from before versions have 0 and the same tables."""


class OutboxFile:
    """The file at `path`. Methods raise OSError if the disk fails, and OperatorError if a newer version wrote the
    file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> tuple[list[OutboxEntry], object, str | None]:
        """Return (entries, the oldest first; the state that `save` was last given; why an earlier file was
        quarantined, None if it was not)."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return (*self._read(), None)
        except sqlite3.DatabaseError as error:
            if not _is_corruption(error):
                raise OSError(str(error)) from None
            moved = quarantine(self.path)
            journal = self.path.with_name(self.path.name + "-journal")
            if journal.exists():
                os.replace(journal, moved.with_name(moved.name + "-journal"))
            return [], None, f"{error}; it is quarantined as {moved.name}"

    def _read(self) -> tuple[list[OutboxEntry], object]:
        with closing(self._open()) as database:
            rows = database.execute(
                "SELECT id, destination, content, created, attempts, next_attempt FROM deliveries "
                "WHERE length(content) <= ? ORDER BY created, rowid LIMIT ?",
                (MAX_CONTENT, MAX_READ),
            ).fetchall()
            state = database.execute("SELECT value FROM state WHERE name = 'grouper'").fetchone()
        entries = [entry for row in rows if (entry := _entry(row)) is not None]
        return entries, None if state is None else _parsed(state[0])

    def save(self, changes: Mapping[str, OutboxEntry | None], state: object) -> None:
        """Write changed entries (None: removed) and the state, in one transaction."""
        try:
            with closing(self._open()) as database, database:
                gone = [(key,) for key, each in changes.items() if each is None]
                kept = [_row(each) for each in changes.values() if each is not None]
                database.executemany("DELETE FROM deliveries WHERE id = ?", gone)
                database.executemany("INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?, ?)", kept)
                database.execute("INSERT OR REPLACE INTO state VALUES ('grouper', ?)", (orjson.dumps(state),))
        except sqlite3.Error as error:
            raise OSError(str(error)) from None

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        database = sqlite3.connect(self.path, timeout=5)
        try:
            database.execute("PRAGMA synchronous = FULL")
            version = OUTBOX_FILE.check_version(self.path, database)
            if version < OUTBOX_FILE.version:  # else each save would write, and wait for the disk, twice
                database.executescript(f"{_SCHEMA} PRAGMA user_version = {OUTBOX_FILE.version};")
        except BaseException:
            database.close()
            raise
        return database


def _is_corruption(error: sqlite3.DatabaseError) -> bool:
    """Return whether the file is corrupt, as opposed to a disk that is full or fails."""
    # Python's own errors, as for text that is not UTF-8, have no SQLite code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _row(entry: OutboxEntry) -> tuple[Any, ...]:
    content = orjson.dumps(entry.content)
    return (
        *(entry.id, entry.destination, content),
        *(entry.created, entry.attempts, entry.next_attempt),
    )


def _entry(row: tuple[Any, ...]) -> OutboxEntry | None:
    match row:
        case (
            str(key),
            str(destination),
            bytes(content),
            int() | float() as created,
            int(attempts),
            int() | float() as next_attempt,
        ):
            plain = _parsed(content)
            if isinstance(plain, dict):
                return OutboxEntry(key, destination, plain, float(created), attempts, float(next_attempt))
    return None


def _parsed(data: object) -> object:
    try:
        return orjson.loads(data) if isinstance(data, bytes) else None
    except orjson.JSONDecodeError:
        return None
