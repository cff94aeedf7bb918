"""The files of a data directory as a backup has them: which ones, how each is copied, and the manifest."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import orjson

from p2pool.app.data_directory import LOCK
from p2pool.base.errors import OperatorError, reason_of
from p2pool.base.files import synchronise, write_file

MANIFEST: Final = "manifest.json"
"""The file of a backup that lists all others; it is written last."""
FILES: Final = "files"
"""The directory of a backup that the files are in."""
VERSION: Final = 1
"""Of the manifest's format."""
_MAX_MANIFEST: Final = 64 << 20
_PIECE: Final = 1 << 20
_DATABASE: Final = ".sqlite"
_OMITTED: Final = (".sqlite-wal", ".sqlite-shm", ".new")
"""What a copy of a database contains already, and files that are being written."""
_UNSYNCED: Final = ".pending.new"
"""The end of the name of a found block that is being synced to the disk: the node adopts it at its next start."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a backup: its size in bytes, and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is of. `created` is Unix time in seconds; `files` are by their path in the data directory,
    with slashes."""

    network: str
    program: str
    created: int
    files: Mapping[str, Entry]


def listed_files(directory: Path) -> Iterator[PurePosixPath]:
    """Yield the paths, relative to a data directory, of the files that belong into a backup: no locks, sockets and
    logs, and nothing temporary. Links are followed: they lead to other disks."""
    for parent, directories, names in os.walk(directory, followlinks=True):
        directories.sort()
        for name in sorted(names):
            path = Path(parent, name)
            relative = PurePosixPath(path.relative_to(directory))
            is_log = len(relative.parts) == 1 and (name == "log" or name.startswith("log."))
            is_omitted = name.endswith(_OMITTED) and not name.endswith(_UNSYNCED)
            if name == LOCK or is_log or is_omitted:
                continue
            try:
                if stat.S_ISREG(path.stat().st_mode):
                    yield relative
            except FileNotFoundError:
                continue  # a found block that is safe in the chain, and has been removed


def copy_file(source: Path, target: Path, *, in_use: bool) -> bool:
    """Copy a file with its permissions, and a database that is `in_use` as one state of it; it is on disk at
    return. Return False if it is gone. Raises OSError, OperatorError."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        status = source.stat()
        if in_use and source.name.endswith(_DATABASE):
            _copy_database(source, target)
        else:
            shutil.copyfile(source, target)
    except FileNotFoundError:
        return False
    os.chmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    synchronise(target)
    return True


def synced_name(name: PurePosixPath) -> PurePosixPath | None:
    """Return the name that a found block's file has once it is synced; None if `name` is no unsynced block."""
    return name.with_suffix("") if name.name.endswith(_UNSYNCED) else None


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database while others write into it, in one transaction. Raises OperatorError."""
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=60)) as read,
            closing(sqlite3.connect(target)) as written,
        ):
            read.backup(written)
            (answer,) = written.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise OperatorError(f"cannot copy the database {source}: {error}", 1) from None
    if answer != "ok":
        raise OperatorError(f"the database {source} is corrupt: {answer}", 1)


def entry_of(path: Path) -> Entry:
    """Return size and checksum of a file. Raises OSError."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Entry(path.stat().st_size, digest)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write the manifest of a backup. Raises OSError."""
    files = {name: {"bytes": each.size, "sha256": each.sha256} for name, each in manifest.files.items()}
    document = {
        "version": VERSION,
        "network": manifest.network,
        "program": manifest.program,
        "created": manifest.created,
        "files": files,
    }
    write_file(directory / MANIFEST, orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n", mode=0o600)


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of a backup. Raises OperatorError."""
    path = directory / MANIFEST
    try:
        with open(path, "rb") as file:
            document = orjson.loads(file.read(_MAX_MANIFEST))
        return _parse_manifest(document, path)
    except OSError as error:
        raise OperatorError(f"{directory} is no backup: cannot read {path}: {reason_of(error)}") from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise OperatorError(f"{path} is no manifest of a backup") from None


def _parse_manifest(document: Any, path: Path) -> Manifest:
    version = document["version"]
    if version != VERSION:
        raise OperatorError(
            f"{path} has version {version} of its format, and this program knows {VERSION}: use a newer one"
        )
    files = {}
    for name, each in document["files"].items():
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts or "\0" in name:
            raise OperatorError(f"{path} lists a file outside of the data directory")
        files[name] = Entry(int(each["bytes"]), str(each["sha256"]))
    return Manifest(str(document["network"]), str(document["program"]), int(document["created"]), files)


def verify(directory: Path, manifest: Manifest) -> None:
    """Raise OperatorError unless each file of a backup is there and is what the manifest says."""
    for name, expected in manifest.files.items():
        path = directory / FILES / name
        try:
            is_same = path.stat().st_size == expected.size and entry_of(path) == expected
        except OSError as error:
            raise OperatorError(f"the backup is not complete: {path}: {reason_of(error)}", 1) from None
        if not is_same:
            raise OperatorError(f"the backup is corrupt: {path} is not what was saved", 1)
