"""Small files that the node keeps between runs, read and written in one way.

Reading is safe with any content: size and depth are bounded, and what cannot be used is quarantined (renamed,
never deleted) with one line in the log. A file of a newer version is no corruption: it stops the start with a
sentence. Writing replaces the file so that a crash leaves the old one or the new one. Everything here blocks: it
is called in threads, or at the start.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson
from twisted.logger import Logger

from p2pool.base.errors import OperatorError, ParseError, reason_of
from p2pool.base.files import quarantine, write_file
from p2pool.base.write_problem import WriteProblem

T = TypeVar("T")
_log = Logger(namespace="p2pool.files")

_SYSTEM_ERRORS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN))
"""Errors of a read that say nothing about the file: it may be as it should be."""


class NewerFile(OperatorError):
    """A newer version of the program wrote the file."""


@dataclass(frozen=True, slots=True)
class StateFormat:
    """A kind of file in the data directory. `version` is the newest that this program knows (JSON: the field
    `version`; a file without one is older than all). `holds` completes "starting without ..." for the log."""

    name: str
    holds: str
    max_bytes: int
    version: int = 1

    def check(self, directory: Path) -> None:
        """Raise NewerFile if the file in `directory` is of a newer version; ignore one that cannot be read."""
        with suppress(OSError, ParseError):
            path = directory / self.name
            self.check_version(path, _parse_json(_read_bytes(path, self.max_bytes)))

    def check_version(self, path: Path, document: object) -> None:
        """Raise NewerFile for a newer version, ParseError for what is not a version."""
        if not isinstance(document, dict) or "version" not in document:
            return
        found = document["version"]
        if isinstance(found, bool) or not isinstance(found, int) or found < 0:
            raise ParseError("its version is not a number")
        if found > self.version:
            raise NewerFile(newer_than_known(path, found=found, known=self.version, holds=self.holds))


def newer_than_known(path: Path, *, found: int, known: int, holds: str) -> str:
    """Return what the operator is told about a file of version `found`; this program knows those up to `known`."""
    return (
        f"{path} has version {found} of its format, and this program knows versions up to {known}: a newer "
        f"p2pool-dash wrote it. Install that version again, or restore a backup from before the upgrade, or move "
        f"the file away to start without {holds}"
    )


class StateFile:
    """A file of a format, read and written at `path`."""

    def __init__(self, path: Path, form: StateFormat) -> None:
        self.path = path
        self._form = form
        self._in_the_way = False
        """Whether the file could be neither read nor renamed: it must not be overwritten."""
        self._problem = WriteProblem(path)

    def read(self, parse: Callable[[Any], T]) -> T | None:
        """Return `parse(document)` of the JSON in the file; None if there is no file, or it was quarantined.

        `parse` raises ParseError if the document is not what it should be. Raises NewerFile.
        """

        def parse_document(data: bytes) -> T:
            document = _parse_json(data)
            self._form.check_version(self.path, document)
            return parse(document)

        return self.read_bytes(parse_document)

    def read_bytes(self, parse: Callable[[bytes], T]) -> T | None:
        """Return `parse(data)` of the file, as `read` does."""
        try:
            return parse(_read_bytes(self.path, self._form.max_bytes))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ParseError) as error:
            if isinstance(error, OSError) and error.errno in _SYSTEM_ERRORS:
                self._leave(error)
            else:
                self._quarantine(error)
            return None

    def _leave(self, error: OSError) -> None:
        self._in_the_way = True
        _log.error(
            "{path} cannot be read now ({why}): starting without {holds}, and not saving any in this run; "
            "restart the node to try again",
            path=str(self.path),
            why=reason_of(error),
            holds=self._form.holds,
        )

    def _quarantine(self, error: OSError | ParseError) -> None:
        why = reason_of(error)
        try:
            moved = quarantine(self.path).name
        except OSError as failure:
            self._in_the_way = True
            _log.error(
                "{path} cannot be used ({why}) and cannot be quarantined ({failure}): starting without "
                "{holds}, and not saving any in this run; move the file away and restart the node",
                path=str(self.path),
                why=why,
                failure=reason_of(failure),
                holds=self._form.holds,
            )
        else:
            _log.warn(
                "{path} cannot be used ({why}): quarantined as {moved}; starting without {holds}",
                path=str(self.path),
                why=why,
                moved=moved,
                holds=self._form.holds,
            )

    def write(self, document: Mapping[str, Any]) -> None:
        """Replace the file by JSON with the format's version; only its owner may read it. Raises OSError."""
        self.write_bytes(self._pack(document))

    def _pack(self, document: Mapping[str, Any]) -> bytes:
        return orjson.dumps({"version": self._form.version, **document}) + b"\n"

    def save(self, document: Mapping[str, Any]) -> bool:
        """Replace the file as `write` does, and return whether it succeeded. A failure is logged once, until a
        write succeeds."""
        return self.save_bytes(self._pack(document))

    def save_bytes(self, data: bytes) -> bool:
        """Replace the file as `write_bytes` does; otherwise as `save`."""
        try:
            self.write_bytes(data)
        except OSError as error:
            self._problem.failed(error)
            return False
        self._problem.succeeded()
        return True

    def write_bytes(self, data: bytes) -> None:
        """Replace the file; only its owner may read it. Raises OSError."""
        if self._in_the_way:
            raise FileExistsError(0, "the previous file could not be read, or could not be quarantined")
        write_file(self.path, data, mode=0o600)


def _read_bytes(path: Path, limit: int) -> bytes:
    """Return a file's content. Raises OSError, and ParseError if it is not a regular file or is too large."""
    # A pipe would never be opened otherwise.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ParseError("it is not a regular file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ParseError(f"it has more than {limit} bytes")
    return data


def _parse_json(data: bytes) -> object:
    if not data.strip():
        raise ParseError("it is empty")
    try:
        return orjson.loads(data)  # its depth is bounded: no RecursionError
    except orjson.JSONDecodeError as error:
        raise ParseError(f"it is not JSON: {error}") from None
