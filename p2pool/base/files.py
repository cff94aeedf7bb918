"""Replacing a file so that a crash at any moment leaves the old one or the new one, and quarantining files that
cannot be used: renaming them, never deleting. Blocks."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from io import BufferedWriter
from pathlib import Path

_MAX_OF_A_NAME = 1000
"""Files that are kept under one name with numbers; if there are more, something is wrong that a person must look
at."""


class NewFile:
    """A file that takes another one's place in two steps, `write` and `commit`; until then it is `<name>.new`.

    Both block and raise OSError; they may be called in different threads, one after the other.
    """

    def __init__(self, path: Path, *, mode: int = 0o666) -> None:
        """`mode` holds the file's permissions, less the umask."""
        self._path = path
        self._temporary = path.with_name(path.name + ".new")
        self._mode = mode
        self._file: BufferedWriter | None = None

    def write(self, data: bytes) -> None:
        """Give the data to the system, making the directory if it is missing: `<name>.new` survives the end of
        this process, but not that of the machine."""
        try:
            descriptor = self._open()
        except FileNotFoundError:
            self._temporary.parent.mkdir(parents=True, exist_ok=True)
            descriptor = self._open()
        except FileExistsError:  # left by a crash, perhaps with other permissions
            self._temporary.unlink(missing_ok=True)
            descriptor = self._open()
        self._file = open(descriptor, "wb")  # noqa: SIM115 `commit` closes it
        try:
            self._file.write(data)
            self._file.flush()
        except OSError:
            self._give_up()
            raise

    def _open(self) -> int:
        return os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._mode)

    def commit(self) -> None:
        """Put what was written on the disk, and give it its name: it survives whatever happens."""
        if self._file is None:
            raise ValueError("nothing is written")
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._temporary, self._path)
        except OSError:
            self._give_up()
            raise
        synchronise(self._path.parent)

    def _give_up(self) -> None:
        """Remove half a file, which would fill the disk even more."""
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)
        if self._file is not None:
            with suppress(OSError):
                self._file.close()


def write_file(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Replace a file, making its directory if it is missing; it is on disk at return. `mode` holds its
    permissions, less the umask. Raises OSError."""
    new = NewFile(path, mode=mode)
    new.write(data)
    new.commit()


def synchronise(path: Path) -> None:
    """Put a file, or the names in a directory, on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_name(path: Path, suffix: str) -> Path:
    """Return `<name><suffix>` in the same directory, or `<name><suffix>-2` and so on if that is taken. Raises
    OSError."""
    for number in range(1, _MAX_OF_A_NAME):
        free = path.with_name(f"{path.name}{suffix}" + (f"-{number}" if number > 1 else ""))
        if not os.path.lexists(free):
            return free
    raise FileExistsError(errno.EEXIST, f"there are {_MAX_OF_A_NAME} {path.name}{suffix} already")


def quarantine(path: Path) -> Path:
    """Rename a file that cannot be used to `<name>.damaged`, or `<name>.damaged-2` and so on if that is taken.
    Returns its new name. Raises OSError."""
    moved = free_name(path, ".damaged")
    os.rename(path, moved)
    return moved


def quarantine_database(path: Path, stamp: str) -> Path:
    """Rename a corrupt SQLite file to `<name>.damaged-<stamp>`, with its journals. Returns its new name. Raises
    OSError."""
    moved = path.with_name(f"{path.name}.damaged-{stamp}")
    os.replace(path, moved)
    for suffix in ("-wal", "-shm"):
        journal = path.with_name(path.name + suffix)
        if journal.exists():
            os.replace(journal, moved.with_name(moved.name + suffix))
    return moved
