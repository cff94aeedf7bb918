"""The share store: one SQLite file in WAL mode.

`ShareDatabase` does the blocking work and is used from one thread at a time; `ShareStore` collects what is to be
written and hands it, in batches, to a thread. Only the collecting is called on the reactor thread.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from p2pool.base.database_format import DatabaseFormat
from p2pool.base.files import quarantine_database
from p2pool.networks.parameters import Network
from p2pool.share.parsing import ParsedShare, parse_shares
from p2pool.share.share import Share
from p2pool.share.versions import SHARE_VERSIONS, ShareVersions
from p2pool.sharechain.archive import ShareArchive

_log = Logger(namespace="p2pool.store")

SHARES_FILE: Final = DatabaseFormat("shares.sqlite", "the share chain", 3)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS shares (
    hash BLOB PRIMARY KEY,        -- 32 bytes, little-endian
    absheight INTEGER NOT NULL,   -- for reading oldest first
    time_seen REAL NOT NULL,      -- Unix seconds
    verified INTEGER NOT NULL,
    own INTEGER NOT NULL,         -- found by a miner of this node
    pruned INTEGER NOT NULL,      -- behind the chain, waits for the archive
    live INTEGER NOT NULL,        -- came as it was found: time_seen tells when that was
    type INTEGER NOT NULL,        -- of the envelope
    contents BLOB NOT NULL        -- as on the wire, without the envelope
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS shares_by_height ON shares (pruned, absheight);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_TO_VERSION_2 = """
ALTER TABLE shares RENAME TO shares_1;
DROP INDEX IF EXISTS shares_by_height;
CREATE TABLE shares (
    hash BLOB PRIMARY KEY, absheight INTEGER NOT NULL, time_seen REAL NOT NULL, verified INTEGER NOT NULL,
    own INTEGER NOT NULL, pruned INTEGER NOT NULL, contents BLOB NOT NULL
) WITHOUT ROWID;
INSERT INTO shares SELECT hash, absheight, time_seen, verified, own, 0, contents FROM shares_1;
DROP TABLE shares_1;
"""
"""Version 1 had no `pruned`, and no `facts`."""
_TO_VERSION_3 = """
ALTER TABLE shares ADD COLUMN live INTEGER NOT NULL DEFAULT 0;
UPDATE shares SET live = own;
ALTER TABLE shares ADD COLUMN type INTEGER NOT NULL DEFAULT 16;
"""
"""Version 2 had no `live`: which of the others came as they were found is no longer known. Nor had it `type`: all
shares were of type 16."""
_STEPS = {0: "", 1: _TO_VERSION_2 + _TO_VERSION_3, 2: _TO_VERSION_3}
"""The statements that bring the tables of a version up to date; 0 is a new file."""
_PARSED_TOGETHER = 64
"""Stored shares whose hashes are computed together."""
_BYTES_TOGETHER = 1_000_000
"""Bytes from which on fewer are: shares may have megabytes."""
_CACHE_KB = 32 * 1024
"""SQLite's cache while all shares are read. They are stored by hash and read by height, so that each page is
needed four or five times; the usual cache of 2 MB has lost most by then."""
ARCHIVE_BATCH = 1000
"""Shares in one archive file. So many pruned ones wait in the database."""


class StoredShare(NamedTuple):
    """A share as it comes back from the store. (A tuple, because it is made for each share at the start.)"""

    share: Share
    time_seen: float
    verified: bool
    own: bool
    live: bool = False


class PackedShare(NamedTuple):
    """A share as it waits to be written."""

    type: int
    contents: bytes
    absheight: int
    time_seen: float
    own: bool
    live: bool

    @classmethod
    def of(cls, share: Share, time_seen: float, *, own: bool, live: bool = False) -> PackedShare:
        """Pack a share, with its version's type."""
        return cls(share.version.type, share.contents, share.absheight, time_seen, own, live)


_Row = tuple[bytes, float, int, int, int, int, bytes]
"""What is read of a share from the file: its columns in the order of _COLUMNS."""
_COLUMNS = "hash, time_seen, verified, own, live, type, contents"
_TYPE: Final = 5
_CONTENTS: Final = 6


def _stored(row: _Row, parsed: ParsedShare | str) -> StoredShare | str:
    """Return the share that a row is, or why it is none."""
    key, time_seen, verified, own, live, _, _ = row
    if isinstance(parsed, Share) and _key(parsed.hash) == key:
        return StoredShare(parsed, time_seen, bool(verified), bool(own), bool(live))
    name = f"stored share {key[::-1].hex()}"
    if isinstance(parsed, str):
        return f"{name} {parsed}"
    return f"{name}: {parsed}" if isinstance(parsed, Exception) else f"{name} has another hash"


def _chunks(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    """Yield rows in the portions that are parsed together."""
    chunk: list[_Row] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += len(row[_CONTENTS])
        if len(chunk) >= _PARSED_TOGETHER or size >= _BYTES_TOGETHER:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


@dataclass(slots=True)
class Batch:
    """What one transaction writes, in this order: removed, shares, verified, pruned."""

    removed: set[int] = field(default_factory=set)
    shares: dict[int, PackedShare] = field(default_factory=dict)
    """By hash."""
    verified: set[int] = field(default_factory=set)
    pruned: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.removed or self.shares or self.verified or self.pruned)


def _key(share_hash: int) -> bytes:
    return share_hash.to_bytes(32, "little")


def _keys(share_hashes: set[int]) -> list[tuple[bytes]]:
    return [(_key(share_hash),) for share_hash in share_hashes]


class ShareDatabase:
    """The file. Every method blocks; sqlite3.Error if the disk fails.

    Tables of an older version are brought up to date. Raises OperatorError for those of a newer one.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open a file, `read_only` if another process uses it: then it must exist, and be of this version."""
        self.path = path
        name = f"file:{quote(os.fsencode(path))}?mode=ro" if read_only else path
        self._connection = sqlite3.connect(name, uri=read_only, check_same_thread=False, isolation_level=None)
        try:
            if read_only:
                self._check_version()
            else:
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _check_version(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version != SHARES_FILE.version:
            raise sqlite3.OperationalError(f"tables of version {version}, not {SHARES_FILE.version}")

    def _prepare(self) -> None:
        execute = self._connection.execute
        # Before anything else: a file of a newer version is not corrupt, whatever it holds.
        version = SHARES_FILE.check_version(self.path, self._connection)
        if execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("quick_check found corruption")
        execute("PRAGMA journal_mode=WAL")
        # A commit is on the disk, not only with the operating system: there are few, and off the reactor.
        execute("PRAGMA synchronous=FULL")
        if version == SHARES_FILE.version:
            return
        # In one transaction: a crash between would leave tables of one version under the number of another.
        self._connection.executescript(
            f"BEGIN IMMEDIATE; {_STEPS[version]} {_SCHEMA} PRAGMA user_version={SHARES_FILE.version}; COMMIT;"
        )

    def count(self) -> int:
        """Return how many shares are stored that belong to the chain."""
        (count,) = self._connection.execute("SELECT count(*) FROM shares WHERE pruned = 0").fetchone()
        return int(count)

    def verified(self, share_hashes: Iterable[int]) -> list[int]:
        """Return which of these shares are stored as verified."""
        query = "SELECT verified FROM shares WHERE hash = ? AND pruned = 0"
        return [each for each in share_hashes if self._connection.execute(query, (_key(each),)).fetchone() == (1,)]

    def read(
        self,
        network: Network,
        versions: ShareVersions = SHARE_VERSIONS,
        *,
        held: Collection[int] = (),
    ) -> Iterator[StoredShare | str]:
        """Yield all shares of the chain but those that are `held` already, oldest first; a text instead of each
        that is corrupt, or of a type that is not known, and is skipped."""
        for chunk in _chunks(self._rows(held)):
            known = [versions.get(row[_TYPE]) for row in chunk]
            packed = [
                (version, row[_CONTENTS]) for row, version in zip(chunk, known, strict=True) if version is not None
            ]
            parsed = iter(parse_shares(packed, network))
            for row, version in zip(chunk, known, strict=True):
                yield _stored(row, f"is of type {row[_TYPE]}, not {versions}" if version is None else next(parsed))

    def _rows(self, held: Collection[int]) -> Iterator[_Row]:
        execute = self._connection.execute
        query = f"SELECT {_COLUMNS} FROM shares WHERE pruned = 0"
        (usual,) = execute("PRAGMA cache_size").fetchone()
        execute(f"PRAGMA cache_size={-_CACHE_KB}")
        if not held:
            yield from execute(f"{query} ORDER BY absheight")
        else:
            # The index is enough for this; what is held is not read from the disk again.
            keys = execute("SELECT hash FROM shares WHERE pruned = 0 ORDER BY absheight").fetchall()
            for (key,) in keys:
                if int.from_bytes(key, "little") not in held:
                    yield from execute(f"{query} AND hash = ?", (key,))
        execute(f"PRAGMA cache_size={usual}")
        execute("PRAGMA shrink_memory")

    def write(self, batch: Batch) -> None:
        """Write everything in one transaction, which is on the disk at return."""
        connection = self._connection
        execute = connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            connection.executemany("DELETE FROM shares WHERE hash = ?", _keys(batch.removed))
            connection.executemany(
                "INSERT INTO shares (hash, type, contents, absheight, time_seen, own, live, verified, pruned) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT (hash) DO UPDATE SET pruned = 0",
                [(_key(share_hash), *packed) for share_hash, packed in batch.shares.items()],
            )
            connection.executemany("UPDATE shares SET verified = 1 WHERE hash = ?", _keys(batch.verified))
            # What was never verified is not history, and whoever sends rubbish must not fill the archive with it.
            connection.executemany("DELETE FROM shares WHERE hash = ? AND verified = 0", _keys(batch.pruned))
            connection.executemany("UPDATE shares SET pruned = 1 WHERE hash = ?", _keys(batch.pruned))
            execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                execute("ROLLBACK")
            raise

    def move_to(self, archive: ShareArchive) -> Path | None:
        """Move ARCHIVE_BATCH pruned shares, if there are so many, into an archive file, which is returned.

        The file is complete before the rows go: a crash between costs at most a file that is written twice.
        """
        rows = self._connection.execute(
            "SELECT hash, absheight, type, contents FROM shares WHERE pruned = 1 ORDER BY absheight LIMIT ?",
            (ARCHIVE_BATCH,),
        ).fetchall()
        if len(rows) < ARCHIVE_BATCH:
            return None
        path = archive.write(rows[0][1], [(kind, contents) for _, _, kind, contents in rows])
        self.write(Batch(removed={int.from_bytes(key, "little") for key, *_ in rows}))
        return path

    def fact(self, name: str) -> str | None:
        """Return what is stored under a name, None if there is nothing."""
        row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        """Remember a value under a name."""
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it."""
        self._connection.close()


def open_database(path: Path, stamp: str) -> tuple[ShareDatabase, Path | None]:
    """Open the store; a corrupt file is quarantined as `<name>.damaged-<stamp>` (second result), a new one made.

    Raises OSError or sqlite3.OperationalError if no file can be made at all, and OperatorError if a newer
    version wrote it.
    """
    try:
        return ShareDatabase(path), None
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        aside = quarantine_database(path, stamp)
        return ShareDatabase(path), aside


RunInThread = Callable[[Callable[[], None]], "Deferred[None]"]


class ShareStore:
    """Collects and writes. `run_in_thread` runs a callable off the reactor thread; without an `archive` pruned
    shares are deleted.

    Bound: MAX_PENDING shares (and as many marks of each kind) wait while the disk fails; beyond it the oldest
    shares and any marks are given up (the node goes on in memory, and reports it once).
    """

    MAX_PENDING = 20_000

    def __init__(
        self, database: ShareDatabase, run_in_thread: RunInThread, archive: ShareArchive | None = None
    ) -> None:
        self._database = database
        self._run_in_thread = run_in_thread
        self._archive = archive
        self._archive_fails = False
        self._pending = Batch()
        self._lock = DeferredLock()
        self.problem: str | None = None
        """Why nothing can be written, for people; None while all is well."""

    def add(self, share: Share, time_seen: float, own: bool, *, live: bool = False) -> None:
        """Remember to write a share."""
        self._pending.shares[share.hash] = PackedShare.of(share, time_seen, own=own, live=live)
        self._pending.pruned.discard(share.hash)
        self._trim()

    def mark_verified(self, share_hash: int) -> None:
        """Remember that a share is verified."""
        self._pending.verified.add(share_hash)
        self._trim()

    def remove(self, share_hash: int) -> None:
        """Remember to forget a share."""
        self._pending.shares.pop(share_hash, None)
        self._pending.verified.discard(share_hash)
        self._pending.pruned.discard(share_hash)
        self._pending.removed.add(share_hash)
        self._trim()

    def prune(self, share_hash: int) -> None:
        """Remember that a share lies behind the chain: it is for the archive if it was verified."""
        if self._archive is None:
            self.remove(share_hash)
            return
        self._pending.pruned.add(share_hash)
        self._trim()

    def _trim(self) -> None:
        """Keep the bound. A lost mark costs one more verification, or one row too many, after a restart."""
        pending = self._pending
        while len(pending.shares) > self.MAX_PENDING:
            del pending.shares[next(iter(pending.shares))]
        for marks in (pending.verified, pending.removed, pending.pruned):
            while len(marks) > self.MAX_PENDING:
                marks.pop()

    @property
    def is_pending(self) -> bool:
        """Return whether there is anything to write."""
        return bool(self._pending)

    async def flush(self) -> None:
        """Write all that is pending now; it is on the disk at return, or the failure is reported."""
        async with self._lock:
            batch, self._pending = self._pending, Batch()
            if not batch:
                return
            try:
                await self._run_in_thread(lambda: self._database.write(batch))
            except sqlite3.Error as error:
                self._put_back(batch)
                self._report(error)
                return
            except BaseException:
                self._put_back(batch)
                raise
            if self.problem is not None:
                _log.info("shares are written to {path} again", path=str(self._database.path))
                self.problem = None
            if batch.pruned and self._archive is not None:
                await self._move_to_archive(self._archive)

    async def _move_to_archive(self, archive: ShareArchive) -> None:
        def move() -> None:
            while (path := self._database.move_to(archive)) is not None:
                _log.debug("moved old shares to {path}", path=str(path))

        try:
            await self._run_in_thread(move)
        except (OSError, sqlite3.Error) as error:
            if not self._archive_fails:
                self._archive_fails = True
                _log.error(
                    "cannot archive old shares in {path}: {error}; they stay in the store, which grows",
                    path=str(archive.directory),
                    error=error,
                )
        else:
            self._archive_fails = False

    def _report(self, error: sqlite3.Error) -> None:
        """Log a problem once, not once a second."""
        if self.problem is None:
            self.problem = f"cannot write shares to {self._database.path}: {error}"
            _log.error("{problem}; continuing in memory; a restart would lose them", problem=self.problem)

    def _put_back(self, batch: Batch) -> None:
        newer, self._pending = self._pending, batch
        for share_hash in newer.removed:
            self.remove(share_hash)
        batch.shares.update(newer.shares)
        batch.verified |= newer.verified
        batch.pruned -= newer.shares.keys()
        batch.pruned |= newer.pruned
        self._trim()

    async def close(self) -> None:
        """Write what is left and close the file."""
        await self.flush()
        async with self._lock:
            await self._run_in_thread(self._database.close)
