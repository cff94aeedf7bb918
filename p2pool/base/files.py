"""Replacing a file so that a crash at any moment leaves the old one or the new one, and quarantining files that
cannot be used: renaming them, never deleting. Blocks."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

_MAX_QUARANTINED = 1000
"""Quarantined files of one name; if there are more, something is wrong that a person must look at."""


def write_file(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Replace a file, making its directory if it is missing; it is on disk at return. `mode` holds its
    permissions, less the umask. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)  # left by a crash, perhaps with other permissions
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # half a file fills the disk even more
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def quarantine(path: Path) -> Path:
    """Rename a file that cannot be used to `<name>.damaged`, or `<name>.damaged-2` and so on if that is taken.
    Returns its new name. Raises OSError."""
    for number in range(1, _MAX_QUARANTINED):
        moved = path.with_name(f"{path.name}.damaged" + (f"-{number}" if number > 1 else ""))
        if not os.path.lexists(moved):
            os.rename(path, moved)
            return moved
    raise FileExistsError(errno.EEXIST, f"there are {_MAX_QUARANTINED} quarantined ones already")


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
