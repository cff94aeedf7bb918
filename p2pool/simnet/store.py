"""Blocks on disk: one append-only file, synchronised after each block. Called by `chain`.

The file starts with a magic and the hash of the chain's genesis; a record is `uint32 size | first 4 bytes of the
double SHA-256 | block`, little-endian. What a crash left of the last record is quarantined at the next start.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, Protocol

from twisted.logger import Logger
from typing_extensions import override

from p2pool.base.errors import OperatorError
from p2pool.base.text import printable
from p2pool.dash.hashes import sha256d

_NAME, _VERSION = b"p2pool simnet ", b"1"
_MAGIC = _NAME + _VERSION + b"\n"
_HEADER_SIZE = len(_MAGIC) + 32
_RECORD_HEADER = 8
# A block has at most 2 000 000 bytes; a larger size is corrupt.
_MAX_RECORD = 4_000_000


class RawBlockStore(Protocol):
    """Where a chain keeps its blocks. Positions are opaque numbers."""

    @property
    def size(self) -> int:
        """Return the size of all blocks in bytes."""

    def positions(self) -> list[int]:
        """Return the positions of all blocks, in the order in which they were appended."""

    def append(self, raw: bytes) -> int:
        """Keep a block; its position. OSError if it could not be kept (nothing is kept then)."""

    def read(self, position: int) -> bytes:
        """Return the block at a position. OSError if it cannot be read."""

    def close(self) -> None:
        """Release what is held."""


class MemoryStore(RawBlockStore):
    """Blocks in memory: for chains that need not survive. It grows with the chain."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._size = 0

    @property
    def size(self) -> int:
        """Return the size of all blocks in bytes."""
        return self._size

    @override
    def positions(self) -> list[int]:
        return list(range(len(self._blocks)))

    @override
    def append(self, raw: bytes) -> int:
        self._blocks.append(raw)
        self._size += len(raw)
        return len(self._blocks) - 1

    @override
    def read(self, position: int) -> bytes:
        return self._blocks[position]

    def close(self) -> None:
        """Do nothing: memory needs no release."""


class FileStore(RawBlockStore):
    """Blocks in `directory`/blocks.dat, locked against a second process.

    Raises OperatorError if the file belongs to another chain, is in use, or cannot be opened.
    """

    _log = Logger(namespace="p2pool.simnet.store")

    def __init__(self, directory: Path, genesis_hash: int) -> None:
        self.path = directory / "blocks.dat"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = open(self.path, "a+b", buffering=0)  # noqa: SIM115 - held until close()
        except OSError as error:
            raise OperatorError(f"cannot open the simulated chain {self.path}: {error}") from None
        try:
            self._lock()
            self._check_header(genesis_hash)
            self._positions = self._scan()
        except BaseException:
            self._file.close()
            raise

    @property
    def size(self) -> int:
        """Return the size of all blocks in bytes."""
        return self._end

    @override
    def positions(self) -> list[int]:
        return list(self._positions)

    def append(self, raw: bytes) -> int:
        """Keep a block; its position. Returns only when the block is on the disk. Raises OSError."""
        position = self._end
        record = len(raw).to_bytes(4, "little") + sha256d(raw)[:4] + raw
        try:
            written = self._file.write(record)
            if written != len(record):
                raise OSError(f"only {written} of {len(record)} bytes were written to {self.path}")
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(position)
            raise
        self._end += len(record)
        return position

    @override
    def read(self, position: int) -> bytes:
        raw = self._read_record(position)
        if raw is None:
            raise OSError(f"the block at offset {position} of {self.path} is corrupt")
        return raw

    def close(self) -> None:
        """Close the file, which ends the lock."""
        self._file.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OperatorError(
                f"{self.path} is in use by another process; give this one a data directory of its own"
            ) from None

    def _check_header(self, genesis_hash: int) -> None:
        header = _MAGIC + genesis_hash.to_bytes(32, "little")
        found = os.pread(self._file.fileno(), _HEADER_SIZE, 0)
        if len(found) < len(header) and header.startswith(found):  # new, or cut short before the first block
            self._file.truncate(0)
            self._file.write(header)
            os.fsync(self._file.fileno())
        elif found.startswith(_NAME) and not found.startswith(_MAGIC):
            version = found[len(_NAME) :].partition(b"\n")[0].decode("ascii", "replace")
            raise OperatorError(
                f"{self.path} has version {printable(version)} of its format, and this program knows "
                f"{_VERSION.decode()}: install the p2pool-dash that wrote it, or use another data directory"
            )
        elif found != header:
            raise OperatorError(
                f"{self.path} holds a simulated chain with other parameters (network, block period, initial "
                "attempts, intervals or seed); use the same ones, or another data directory"
            )
        self._end = _HEADER_SIZE

    def _scan(self) -> list[int]:
        positions = []
        size = os.fstat(self._file.fileno()).st_size
        while self._end < size:
            raw = self._read_record(self._end)
            if raw is None:
                self._quarantine_tail(size)
                break
            positions.append(self._end)
            self._end += _RECORD_HEADER + len(raw)
        return positions

    def _read_record(self, position: int) -> bytes | None:
        """Return the block at `position`; None if there is no whole one."""
        descriptor = self._file.fileno()
        head = os.pread(descriptor, _RECORD_HEADER, position)
        size = int.from_bytes(head[:4], "little")
        if len(head) != _RECORD_HEADER or size > _MAX_RECORD:
            return None
        raw = os.pread(descriptor, size, position + _RECORD_HEADER)
        return raw if len(raw) == size and sha256d(raw)[:4] == head[4:] else None

    def _quarantine_tail(self, size: int) -> None:
        """Move what follows the last whole record into a file of its own."""
        tail = os.pread(self._file.fileno(), size - self._end, self._end)
        aside = self.path.with_name(f"blocks.dat.torn-at-{self._end}")
        aside.write_bytes(tail)
        self._file.truncate(self._end)
        os.fsync(self._file.fileno())
        self._log.warn(
            "{path}: {size} bytes after the last whole block were quarantined in {aside}",
            path=str(self.path),
            size=len(tail),
            aside=aside.name,
        )
