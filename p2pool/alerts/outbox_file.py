"""What is on its way, on disk: a small SQLite file that its owner alone may read. Blocks: called in a thread.

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

from p2pool.alerts.channel import Delivery
from p2pool.base.errors import OperatorError
from p2pool.base.files import quarantine
from p2pool.base.state_file import newer_than_known

MAX_READ: Final = 100_000
"""Rows that are taken over."""
MAX_CONTENT: Final = 65_536
"""Bytes of one; larger ones are passed over."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY, destination TEXT NOT NULL, content BLOB NOT NULL, created REAL NOT NULL,
    attempts INTEGER NOT NULL, next_attempt REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""
_VERSION: Final = 1
"""Of these tables. Files from before versions have 0 and the same tables."""


class OutboxFile:
    """The file at `path`. Raises OSError where the disk does not do what it should, and OperatorError if a newer
    version wrote the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> tuple[list[Delivery], object, str | None]:
        """(deliveries, the oldest first; what `save` was last given as state; why an earlier file was set
        aside)."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return (*self._read(), None)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise OSError(str(error)) from None
            aside = quarantine(self.path)
            journal = self.path.with_name(self.path.name + "-journal")
            if journal.exists():
                os.replace(journal, aside.with_name(aside.name + "-journal"))
            return [], None, f"{error}; it is quarantined as {aside.name}"

    def _read(self) -> tuple[list[Delivery], object]:
        with closing(self._open()) as database:
            rows = database.execute(
                "SELECT id, destination, content, created, attempts, next_attempt FROM deliveries "
                "WHERE length(content) <= ? ORDER BY created, rowid LIMIT ?",
                (MAX_CONTENT, MAX_READ),
            ).fetchall()
            state = database.execute("SELECT value FROM state WHERE name = 'grouper'").fetchone()
        deliveries = [delivery for row in rows if (delivery := _delivery(row)) is not None]
        return deliveries, None if state is None else _parsed(state[0])

    def save(self, changes: Mapping[str, Delivery | None], state: object) -> None:
        """Write what changed (None: gone), and the state, in one transaction."""
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
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if not 0 <= version <= _VERSION:
                raise OperatorError(
                    newer_than_known(self.path, found=version, known=_VERSION, holds="the alerts that wait in it")
                )
            if version < _VERSION:  # or each save would write, and wait for the disk, twice
                database.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")
        except BaseException:
            database.close()
            raise
        return database


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is not what it should be, other than a disk that is full or does not answer."""
    # Python's own complaints, as of a text that is not UTF-8, have no code of SQLite's.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _row(delivery: Delivery) -> tuple[Any, ...]:
    content = orjson.dumps(delivery.content)
    return (
        *(delivery.id, delivery.destination, content),
        *(delivery.created, delivery.attempts, delivery.next_attempt),
    )


def _delivery(row: tuple[Any, ...]) -> Delivery | None:
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
                return Delivery(key, destination, plain, float(created), attempts, float(next_attempt))
    return None


def _parsed(data: object) -> object:
    try:
        return orjson.loads(data) if isinstance(data, bytes) else None
    except orjson.JSONDecodeError:
        return None
