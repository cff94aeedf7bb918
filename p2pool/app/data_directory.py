"""The data directory: made if missing, and used by one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import BinaryIO, Final

from p2pool.base.errors import OperatorError

LOCK: Final = "lock"
"""The file that the process which uses a data directory has locked. It holds the number of the process."""


def lock_owner(directory: Path) -> int | None:
    """Return the process that runs on a data directory, 0 if it is not known which; None if there is none. The
    lock is taken for an instant."""
    try:
        with open(directory / LOCK, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = _written_owner(file)
                return int(text) if text.isdigit() else 0
    except OSError:
        pass
    return None


def _written_owner(file: BinaryIO) -> str:
    file.seek(0)
    return file.read(20).decode("ascii", "replace").strip()


class DataDirectory:
    """The data directory, locked while this object lives. Raises OperatorError if the directory cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = open(path / LOCK, "a+b")  # noqa: SIM115 - held while the process lives
        except OSError as error:
            raise OperatorError(f"--datadir: cannot use {path}: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _written_owner(self._file) or "another process"
            self._file.close()
            raise OperatorError(
                f"the data directory {path} is in use by process {owner}: stop that process, or choose another "
                "--datadir"
            ) from None
        except OSError as error:
            self._file.close()
            raise OperatorError(f"--datadir: cannot lock {path / LOCK}: {error.strerror}") from None
        try:
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n".encode())
            self._file.flush()
        except OSError as error:
            self._file.close()
            raise OperatorError(f"--datadir: cannot write to {path}: {error.strerror}") from None

    def release(self) -> None:
        """Release the lock, so that another process can use the directory."""
        self._file.close()
