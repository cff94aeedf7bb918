"""Solutions on a gateway's disk: from before they are sent until the node says that it has stored them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from p2pool.base.files import quarantine, write_file
from p2pool.gateway.messages import MAX_SOLUTION

SUFFIX: Final = ".solution"
MAX_SIZE: Final = MAX_SOLUTION


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

    def quarantine(self, solution_hash: bytes) -> Path:
        """Rename the file of a solution that cannot be used. Return its new name. Raises OSError."""
        return quarantine(self._path(solution_hash))

    def load(self, most: int) -> Iterator[tuple[bytes, bytes]]:
        """Yield (hash, data) of the newest `most` that an earlier run left, oldest first. Raises OSError."""
        if not self._directory.is_dir():
            return
        found = sorted(self._directory.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)
        for path in found[-most:]:
            try:
                solution_hash = bytes.fromhex(path.name.removesuffix(SUFFIX))
            except ValueError:
                continue
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_size <= MAX_SIZE and len(solution_hash) == 32:
                    yield solution_hash, file.read(MAX_SIZE)

    def _path(self, solution_hash: bytes) -> Path:
        return self._directory / f"{solution_hash.hex()}{SUFFIX}"
