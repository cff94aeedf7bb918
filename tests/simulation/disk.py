"""Simulated disks: real files below a temporary directory, of which a power cut takes what was not synced.

`install` puts itself between the program and the system for the whole process: `os.fsync`, `os.replace` and
`os.rename` for plain files, `sqlite3.connect` for databases. A kill loses nothing that was written; a power cut
loses

- the content of a file that was not synced before it was renamed: it is empty then, or the old file is back;
- a part, by chance, of the content of a file that was neither synced nor renamed (`*.new`);
- a rename whose directory was not synced: the old file is back, or not, by chance;
- all commits of a database that is not fully synchronous, since it was opened.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

_fsync, _replace, _rename, _connect = os.fsync, os.replace, os.rename, sqlite3.connect
_SYNCHRONOUS_FULL = 2
T = TypeVar("T")


class Crash(BaseException):
    """The process ends in the middle of a call to the system."""


@dataclass
class _Rename:
    """A rename that is not on the disk yet. `former` is a second name of what was there before."""

    path: str
    former: str | None
    inode: int
    size: int


@dataclass(eq=False)
class Disk:
    """The disk of one machine: all that is below `directory`."""

    directory: Path
    chance: random.Random
    full: bool = False
    """Whether it takes nothing more."""
    delay: float = 0.0
    """Seconds that each use of it takes more than usual."""
    hangs_until: float = 0.0
    """When it does again what it is asked for, in the world's seconds."""
    hangs_since: float = 0.0
    well_since: float = 0.0
    """When it was last full, slow or hanging."""
    crash_in: int | None = None
    """How many more uses by threads succeed; at the next one the process ends."""
    databases: list[_Database] = field(default_factory=list)
    """Those that the running process has opened."""
    _synced: dict[int, int] = field(default_factory=dict)
    """By inode: the size of a file when it was synced."""
    _renames: list[_Rename] = field(default_factory=list)
    _hollow: list[_Rename] = field(default_factory=list)
    """Renames that are on the disk, of files whose content was not."""
    _shadows: int = 0
    _in_thread: bool = False
    _crashed: bool = False

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._shadow = self.directory.with_name(self.directory.name + ".shadow")
        self._shadow.mkdir(exist_ok=True)
        _disks[str(self.directory)] = self

    def check_room(self) -> None:
        """Raise OSError if it is full."""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    # --- crashes in the middle ---------------------------------------------------------------------------

    def run(self, function: Callable[[], T]) -> T:
        """Run what a thread does. Raises Crash if the process ends before it is done."""
        self._in_thread = True
        try:
            return function()
        finally:
            self._in_thread = False
            if self._crashed:
                raise Crash

    def used(self) -> None:
        """Count a use of it. Raises Crash if it is one too many; the files are as they are now, whatever is
        tidied up on the way out."""
        if self.crash_in is None or not self._in_thread or self._crashed:
            return
        self.crash_in -= 1
        if self.crash_in < 0:
            self._crashed = True
            self.save(self._shadow / "crash")
            raise Crash

    def end_crash(self) -> None:
        """Let the files be as they were at the crash."""
        self._crashed = False
        self.restore(self._shadow / "crash")

    def save(self, target: Path) -> None:
        """Copy all files as they are."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.directory, target, ignore=shutil.ignore_patterns("*-shm"))

    def restore(self, source: Path) -> None:
        """Let all files be as in a copy; no process may run."""
        shutil.rmtree(self.directory)
        shutil.copytree(source, self.directory)

    # --- plain files -------------------------------------------------------------------------------------

    def file_synced(self, path: str, descriptor: int) -> None:
        """Note that a file or a directory is on the disk as it is."""
        status = os.fstat(descriptor)
        if os.path.isdir(path):
            for rename in self._renames:
                if os.path.dirname(rename.path) == path:
                    self._drop(rename)
                    self._hollow += [] if self._has_content(rename) else [rename]
            self._renames = [rename for rename in self._renames if os.path.dirname(rename.path) != path]
        else:
            self._synced[status.st_ino] = status.st_size
            if len(self._synced) > 10_000:
                del self._synced[next(iter(self._synced))]

    def renamed(self, source: str, target: str) -> None:
        """Note that a file is about to get another name."""
        former = None
        if os.path.exists(target):
            self._shadows += 1
            former = str(self._shadow / str(self._shadows))
            os.link(target, former)
        status = os.stat(source)
        self._renames.append(_Rename(target, former, status.st_ino, status.st_size))
        while len(self._renames) > 1000:
            self._drop(self._renames.pop(0))

    def _has_content(self, rename: _Rename) -> bool:
        return self._synced.get(rename.inode) == rename.size

    def _lose_content(self, rename: _Rename) -> None:
        """Empty a file that was not synced, if it is still there under its new name."""
        lost = not self._has_content(rename) and os.path.exists(rename.path)
        if lost and os.stat(rename.path).st_ino == rename.inode:
            os.truncate(rename.path, 0)

    def _drop(self, rename: _Rename) -> None:
        if rename.former is not None:
            os.unlink(rename.former)

    # --- the end of a process ----------------------------------------------------------------------------

    def killed(self) -> None:
        """Close what the process had open, as the system does when it ends."""
        self.crash_in = None
        databases, self.databases = self.databases, []
        for database in databases:
            database.abandon()

    def cut_power(self) -> None:
        """Lose what is not on the disk."""
        self.crash_in = None
        databases, self.databases = self.databases, []
        for database in databases:
            database.lose_unsynced()
        renames, self._renames = self._renames, []
        for rename in reversed(renames):
            if self.chance.random() < 0.5:
                if rename.former is not None:
                    _replace(rename.former, rename.path)
                elif os.path.exists(rename.path):
                    os.unlink(rename.path)
            else:
                self._lose_content(rename)
                self._drop(rename)
        for rename in self._hollow:
            self._lose_content(rename)
        self._hollow.clear()
        for path in sorted(self.directory.rglob("*.new")):
            status = path.stat()
            if self._synced.get(status.st_ino) != status.st_size:
                os.truncate(path, self.chance.randint(0, status.st_size))

    def remove(self) -> None:
        """Remove the directory."""
        _disks.pop(str(self.directory), None)
        self.killed()
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self._shadow, ignore_errors=True)


class _Database(sqlite3.Connection):
    """A connection to a database on a simulated disk."""

    disk: Disk | None = None
    path = ""
    unsynced = False
    """Whether there are commits that a power cut would take."""

    def attach(self, disk: Disk, path: str) -> None:
        """Belong to a disk, and keep the files as they are now."""
        self.disk, self.path = disk, path
        disk.databases.append(self)
        disk._shadows += 1
        self._kept = disk._shadow / f"database-{disk._shadows}"
        self._copy(Path(path), self._kept)

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        for suffix in ("", "-wal"):
            if os.path.exists(f"{source}{suffix}"):
                shutil.copyfile(f"{source}{suffix}", f"{target}{suffix}")
            else:
                Path(f"{target}{suffix}").unlink(missing_ok=True)

    def _before(self, sql: str) -> None:
        if self.disk is None or sql.lstrip()[:6].upper() not in _WRITING:
            return
        self.disk.used()
        if self.disk.full:
            raise sqlite3.OperationalError("database or disk is full")

    def _after(self) -> None:
        if self.disk is not None and not self.in_transaction and not self.unsynced:
            (level,) = super().execute("PRAGMA synchronous").fetchone()
            self.unsynced = level < _SYNCHRONOUS_FULL

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        """Execute a statement."""
        self._before(sql)
        cursor = super().execute(sql, *arguments)
        if sql.lstrip()[:6].upper() in _WRITING:
            self._after()
        return cursor

    def executemany(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        """Execute a statement several times."""
        self._before(sql)
        cursor = super().executemany(sql, *arguments)
        self._after()
        return cursor

    def close(self) -> None:
        """Close it properly: everything is in one file then."""
        if self.disk is not None and self in self.disk.databases:
            self.disk.databases.remove(self)
        super().close()

    def abandon(self) -> None:
        """Close it as the end of its process does: without folding the log into the file."""
        aside = self._kept.with_name(self._kept.name + "-now")
        self._copy(Path(self.path), aside)
        super().close()
        self._copy(aside, Path(self.path))
        self._forget(aside)
        self._forget(self._kept)

    def lose_unsynced(self) -> None:
        """Close it as a power cut does."""
        if not self.unsynced:
            self.abandon()
            return
        super().close()
        self._copy(self._kept, Path(self.path))
        self._forget(self._kept)

    def _forget(self, kept: Path) -> None:
        for suffix in ("", "-wal"):
            Path(f"{kept}{suffix}").unlink(missing_ok=True)


_WRITING = ("BEGIN ", "BEGIN", "COMMIT", "INSERT", "DELETE", "UPDATE", "CREATE")
_disks: dict[str, Disk] = {}


def _disk_of(path: str) -> Disk | None:
    while path:
        disk = _disks.get(path)
        if disk is not None:
            return disk
        path = path.rpartition("/")[0]
    return None


def _simulated_fsync(descriptor: int) -> None:
    path = os.readlink(f"/proc/self/fd/{descriptor}")
    disk = _disk_of(path)
    if disk is None:
        _fsync(descriptor)
        return
    disk.used()
    disk.check_room()
    disk.file_synced(path, descriptor)


def _simulated_replace(source: Any, target: Any, **options: Any) -> None:
    disk = _disk_of(os.fspath(target))
    if disk is not None:
        disk.used()
        disk.renamed(os.fspath(source), os.fspath(target))
    _replace(source, target, **options)


def _simulated_connect(path: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
    disk = _disk_of(name)
    if disk is None:
        return _connect(path, *arguments, **options)
    connection = _connect(path, *arguments, **options, factory=_Database)
    assert isinstance(connection, _Database)
    connection.attach(disk, name)
    return connection


def install() -> None:
    """Put simulated disks between this process and the system."""
    os.fsync = _simulated_fsync  # type: ignore[assignment]
    os.replace = os.rename = _simulated_replace  # type: ignore[assignment]
    sqlite3.connect = _simulated_connect  # type: ignore[assignment]
