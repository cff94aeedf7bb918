"""Solutions on a gateway's disk: from before they are sent until the node says that it has stored them.

A node without gateways looks here for what some have left: nothing of this imports the packages of the broker.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2pool.base.errors import ParseError
from p2pool.base.files import write_file

SUFFIX: Final = ".solution"
MAX_SOLUTION: Final = 2 * 1024 * 1024
"""Bytes of a solution: a share that introduces all transactions of the largest block, and room."""


@dataclass(frozen=True, slots=True)
class LeftFile:
    """A file of an earlier run: the solution that it should hold by its name, and what it holds, or why it could
    not be read: an OSError, or a ParseError if it is no solution."""

    path: Path
    solution_hash: bytes
    content: bytes | OSError | ParseError


class SolutionSpool:
    """The directory of solutions that the node has not stored yet, one file each, named by its hash. Blocks."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, solution_hash: bytes, data: bytes) -> None:
        """Write a solution; it is on disk at return. Raises OSError."""
        write_file(self._path(solution_hash), data)

    def forget(self, solution_hash: bytes) -> None:
        """Delete a solution. Raises OSError."""
        self._path(solution_hash).unlink(missing_ok=True)

    def load(self, most: int) -> list[LeftFile]:
        """Return the newest `most` files that an earlier run left, oldest first. A file that cannot be read hides
        no other. Raises OSError if the directory cannot be read."""
        if not self._directory.is_dir():
            return []
        found = sorted(self._directory.glob(f"*{SUFFIX}"), key=_written)
        return [_read(path) for path in found[-most:]]

    def _path(self, solution_hash: bytes) -> Path:
        return self._directory / f"{solution_hash.hex()}{SUFFIX}"


def _written(path: Path) -> float:
    """Return when a file was written; 0 if that cannot be read."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path) -> LeftFile:
    try:
        solution_hash = bytes.fromhex(path.name.removesuffix(SUFFIX))
    except ValueError:
        solution_hash = b""
    content: bytes | OSError | ParseError
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and len(solution_hash) != 32:
            content = ParseError("its name is not the hash of a solution")
        elif stat.S_ISREG(status.st_mode) and status.st_size > MAX_SOLUTION:
            content = ParseError(f"it has {status.st_size} bytes, a solution at most {MAX_SOLUTION}")
        else:
            content = path.read_bytes()
    except OSError as error:
        content = error
    return LeftFile(path, solution_hash, content)
