"""The share store: one SQLite file in WAL mode.

`ShareDatabase` does the blocking work and is used from one thread at a time; `ShareStore` collects what is to be
written and hands it, in batches, to a thread. Nothing here is called on the reactor thread but the collecting.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from p2pool.base.errors import ParseError
from p2pool.networks.parameters import Network
from p2pool.share.errors import ShareInvalid
from p2pool.share.share import Share, parse_share

_log = Logger(namespace="p2pool.store")

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS shares (
    hash BLOB PRIMARY KEY,        -- 32 bytes, little-endian
    absheight INTEGER NOT NULL,   -- for reading oldest first
    time_seen REAL NOT NULL,      -- Unix seconds
    verified INTEGER NOT NULL,
    own INTEGER NOT NULL,         -- found by a miner of this node
    contents BLOB NOT NULL        -- as on the wire, without the envelope
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS shares_by_height ON shares (absheight);
"""


@dataclass(frozen=True, slots=True)
class StoredShare:
    """A share as it comes back from the store."""

    share: Share
    time_seen: float
    verified: bool
    own: bool


@dataclass(slots=True)
class Batch:
    """What one transaction writes."""

    shares: dict[int, tuple[bytes, int, float, bool]] = field(default_factory=dict)
    """hash -> (contents, absheight, time seen, own)"""
    verified: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.shares or self.verified or self.removed)


def _key(share_hash: int) -> bytes:
    return share_hash.to_bytes(32, "little")


class ShareDatabase:
    """The file. Every method blocks; sqlite3.Error where the disk does not do its part."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        execute = self._connection.execute
        if execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("quick_check found damage")
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=NORMAL")
        (version,) = execute("PRAGMA user_version").fetchone()
        if version not in (0, _SCHEMA_VERSION):
            raise sqlite3.DatabaseError(f"schema version {version} is not known to this version")
        self._connection.executescript(_SCHEMA)
        execute(f"PRAGMA user_version={_SCHEMA_VERSION}")

    def count(self) -> int:
        """How many shares are stored."""
        (count,) = self._connection.execute("SELECT count(*) FROM shares").fetchone()
        return int(count)

    def read(self, network: Network) -> Iterator[StoredShare | str]:
        """All shares, oldest first; a text instead where one is damaged (and passed over)."""
        rows = self._connection.execute(
            "SELECT hash, time_seen, verified, own, contents FROM shares ORDER BY absheight, time_seen"
        )
        for key, time_seen, verified, own, contents in rows:
            try:
                share = parse_share(contents, network)
            except (ParseError, ShareInvalid) as error:
                yield f"stored share {bytes(key)[::-1].hex()}: {error}"
                continue
            if _key(share.hash) != key:
                yield f"stored share {bytes(key)[::-1].hex()} has another hash"
                continue
            yield StoredShare(share, time_seen, bool(verified), bool(own))

    def write(self, batch: Batch, durable: bool = False) -> None:
        """One transaction; with `durable` it is on the disk, not only with the operating system, at return."""
        connection = self._connection
        execute = connection.execute
        try:
            if durable:
                execute("PRAGMA synchronous=FULL")
            execute("BEGIN IMMEDIATE")
            # First, because a share of the batch may have been removed and have come back since.
            connection.executemany("DELETE FROM shares WHERE hash = ?", [(_key(h),) for h in batch.removed])
            connection.executemany(
                "INSERT OR IGNORE INTO shares VALUES (?, ?, ?, 0, ?, ?)",
                [
                    (_key(share_hash), absheight, time_seen, own, contents)
                    for share_hash, (contents, absheight, time_seen, own) in batch.shares.items()
                ],
            )
            connection.executemany(
                "UPDATE shares SET verified = 1 WHERE hash = ?", [(_key(h),) for h in batch.verified]
            )
            execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                execute("ROLLBACK")
            raise
        finally:
            if durable:
                execute("PRAGMA synchronous=NORMAL")

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it."""
        self._connection.close()


def open_database(path: Path, stamp: str) -> tuple[ShareDatabase, Path | None]:
    """Open the store; a damaged file is set aside as `<name>.damaged-<stamp>` (second result) and a new one begun.

    Raises OSError or sqlite3.OperationalError where no file can be made at all.
    """
    try:
        return ShareDatabase(path), None
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        aside = path.with_name(f"{path.name}.damaged-{stamp}")
        os.replace(path, aside)
        for suffix in ("-wal", "-shm"):
            journal = path.with_name(path.name + suffix)
            if journal.exists():
                os.replace(journal, aside.with_name(aside.name + suffix))
        return ShareDatabase(path), aside


RunInThread = Callable[[Callable[[], None]], "Deferred[None]"]


class ShareStore:
    """Collects and writes. `run_in_thread` runs a callable off the reactor thread, one at a time.

    Bound: MAX_PENDING shares (and as many marks of each kind) wait while the disk fails; beyond it the oldest
    shares and any marks are given up (the node goes on in memory, and says so once).
    """

    MAX_PENDING = 20_000

    def __init__(self, database: ShareDatabase, run_in_thread: RunInThread) -> None:
        self._database = database
        self._run_in_thread = run_in_thread
        self._pending = Batch()
        self._lock = DeferredLock()
        self.failing = False

    def add(self, share: Share, time_seen: float, own: bool) -> None:
        """Remember to write a share."""
        self._pending.shares[share.hash] = (share.contents, share.absheight, time_seen, own)
        self._trim()

    def mark_verified(self, share_hash: int) -> None:
        """Remember that a share is verified."""
        self._pending.verified.add(share_hash)
        self._trim()

    def remove(self, share_hash: int) -> None:
        """Remember to forget a share."""
        self._pending.shares.pop(share_hash, None)
        self._pending.verified.discard(share_hash)
        self._pending.removed.add(share_hash)
        self._trim()

    def _trim(self) -> None:
        """Keep the bound. A lost mark costs one more verification, or one row too many, after a restart."""
        pending = self._pending
        while len(pending.shares) > self.MAX_PENDING:
            del pending.shares[next(iter(pending.shares))]
        for marks in (pending.verified, pending.removed):
            while len(marks) > self.MAX_PENDING:
                marks.pop()

    async def flush(self, durable: bool = False) -> None:
        """Write all that is pending now; returns when it is written (or the failure is logged)."""
        async with self._lock:
            batch, self._pending = self._pending, Batch()
            if not batch:
                return
            try:
                await self._run_in_thread(lambda: self._database.write(batch, durable))
            except sqlite3.Error as error:
                self._put_back(batch)
                self._report(error)
            else:
                if self.failing:
                    _log.info("share store writes again")
                self.failing = False

    def _report(self, error: sqlite3.Error) -> None:
        """One alarm, not one a second."""
        if not self.failing:
            self.failing = True
            _log.error(
                "cannot write shares to {path}: {error}; going on in memory, a restart would lose them",
                path=str(self._database.path),
                error=error,
            )

    def _put_back(self, batch: Batch) -> None:
        newer, self._pending = self._pending, batch
        for share_hash in newer.removed:
            self.remove(share_hash)
        batch.shares.update(newer.shares)
        batch.verified |= newer.verified
        self._trim()

    async def close(self) -> None:
        """Write what is left and close the file."""
        await self.flush()
        async with self._lock:
            await self._run_in_thread(self._database.close)
