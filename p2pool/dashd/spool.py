"""Found blocks on disk: written before they are sent, synced while they are, kept until their fate is certain.

A file holds the hex that `dash-cli submitblock` takes. `HEIGHT-HASH.pending` waits for the chain, or is not
buried deep enough to be deleted; `HASH.hex` was refused, and is quarantined for people to examine.
`HEIGHT-HASH.json` says who found a pending block, and when; without it, what the block's own header and coinbase
tell is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from errno import EACCES, EDQUOT, EINVAL, EIO, ENOSPC, EROFS
from pathlib import Path
from stat import S_ISREG

import orjson
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from p2pool.base.environment import RunInThread
from p2pool.base.errors import ParseError, reason_of
from p2pool.base.files import NewFile, write_file
from p2pool.base.text import printable
from p2pool.dash.block import read_header
from p2pool.dash.hashes import hash_hex, optional_hash_hex
from p2pool.dash.transaction import MIN_TRANSACTION, read_transaction
from p2pool.dashd.found_block import FoundBlock, hex_of
from p2pool.wire.codec import Reader

_log = Logger(namespace="p2pool.blocks")

MAX_READ = 200
"""Blocks that are loaded at the start, the newest; more stay where they are. A block has 2 MB at most."""
MAX_FILE = 8 * 1024 * 1024
"""Characters: hex of a block of twice the largest size."""
MAX_DETAILS = 4096
"""Bytes of the file about a block: it has some 250."""
MAX_WORKER = 200
MAX_TIME = 2.0**33
"""Unix seconds: the year 2242."""
MAX_AMOUNT = 2**53
"""Duffs: more than there will ever be, and what every reader of JSON keeps exactly."""
_VERSION = 1
_PASSING = frozenset({ENOSPC, EDQUOT, EROFS, EIO, EACCES})
"""Errors of the disk as a whole, which may pass: `check_room` tries."""
_NAME = re.compile("(0|[1-9][0-9]{0,9})-([0-9a-f]{64})")
UNKNOWN = "found before the node was restarted"


class BlockSpool:
    """The directory of found blocks. `run_in_thread` runs a callable off the reactor."""

    def __init__(self, directory: Path, run_in_thread: RunInThread) -> None:
        self.directory = directory
        self.problem: str | None = None
        """Why the newest block could not be written; None while all is well."""
        self._failed_size = 0
        """Bytes that could not be written because the disk was full or the like; 0 if none."""
        self._run_in_thread = run_in_thread
        self._under_way: dict[Path, DeferredLock] = {}
        """One lock per file, so that a slow disk does not finish two actions on it out of order. Bound: one per
        block that is being delivered."""

    async def keep(self, block: FoundBlock, written: Callable[[], None] = lambda: None) -> bool:
        """Write a block. Return whether it is on disk; before that, `written` is called as soon as the block would
        outlive this process, though not yet the machine."""
        path = self._pending(block.height, block.block_hash)
        new = NewFile(path)

        async def write() -> None:
            await self._run_in_thread(lambda: _write(new, path, block))
            written()
            await self._run_in_thread(lambda: _commit(new, path))

        return await self._file_action(path, write, 2 * len(block.data) + 1)

    async def forget(self, height: int, block_hash: int) -> None:
        """Delete the file of a block whose fate is certain."""
        path = self._pending(height, block_hash)

        def unlink() -> None:
            path.unlink(missing_ok=True)
            _remove_details(path)

        await self._file_action(path, lambda: self._run_in_thread(unlink))

    async def quarantine(self, height: int, block_hash: int) -> Path | None:
        """Quarantine a refused block for people to examine. Return its file, or None if it is not on disk."""
        path, kept = self._pending(height, block_hash), self.directory / f"{hash_hex(block_hash)}.hex"
        missing = False

        def rename() -> None:
            nonlocal missing
            try:
                os.replace(path, kept)
            except FileNotFoundError:  # the disk was full when it was to be written, as is logged already
                missing = True
            _remove_details(path)

        moved = await self._file_action(path, lambda: self._run_in_thread(rename))
        return kept if moved and not missing else None

    async def load(self) -> list[FoundBlock]:
        """Return the blocks that an earlier run left, the lowest first. Unreadable files stay, and are logged."""
        try:
            found, unreadable = await self._run_in_thread(self._read)
        except OSError as error:
            found, unreadable = [], [f"{self.directory} cannot be read: {reason_of(error)}"]
        for problem in unreadable:
            _log.warn("cannot load a found block: {problem}", problem=problem)
        return sorted(found, key=lambda block: block.height)

    def _pending(self, height: int, block_hash: int) -> Path:
        return self.directory / f"{height}-{hash_hex(block_hash)}.pending"

    async def check_room(self) -> None:
        """Clear the warning as soon as the disk takes as many bytes again as it refused. Do nothing without a
        warning."""
        if self.problem is None or not self._failed_size:
            return
        path, size = self.directory / ".room", self._failed_size

        def write() -> None:
            write_file(path, bytes(size))
            path.unlink()

        with suppress(OSError):
            await self._run_in_thread(write)
            if self.problem is not None:
                _log.info("found blocks can be written to disk again")
            self.problem, self._failed_size = None, 0

    async def _file_action(self, path: Path, action: Callable[[], Awaitable[None]], size: int = 1) -> bool:
        lock = self._under_way.setdefault(path, DeferredLock())
        await lock.acquire()
        try:
            await action()
        except OSError as error:
            problem = f"cannot write {path}: {reason_of(error)}"
            if problem != self.problem:
                _log.error(
                    "cannot keep a found block on disk: {problem}; check the disk and its free space: the block "
                    "is lost if this node stops before it is in the chain",
                    problem=problem,
                )
            self.problem = problem
            self._failed_size = size if error.errno in _PASSING else 0
            return False
        finally:
            if not lock.waiting:
                del self._under_way[path]
            lock.release()
        self.problem, self._failed_size = None, 0
        return True

    def _read(self) -> tuple[list[FoundBlock], list[str]]:
        """Read the directory, in a thread: the blocks, and what is wrong with other files."""
        found, unreadable = [], []
        self._finish_writing()
        self._remove_orphaned_details()
        names = [(_NAME.fullmatch(path.stem), path) for path in self.directory.glob("*.pending")]
        for name, path in sorted(names, key=_height_of, reverse=True)[:MAX_READ]:
            try:
                if name is None:
                    raise ValueError("its name is not HEIGHT-HASH.pending")
                data = bytes.fromhex(_read_file(path, MAX_FILE).decode("ascii"))
                if not data or len(data) >= MAX_FILE // 2:
                    raise ValueError("it is empty, or larger than a block can be")
                found.append(
                    _with_details(FoundBlock(int(name[2], 16), int(name[1]), data, UNKNOWN, None, 0), path)
                )
            except (OSError, ValueError) as error:
                unreadable.append(f"cannot resend the found block in {path}: {error}")
        return found, unreadable

    def _finish_writing(self) -> None:
        """Adopt complete files of blocks whose node was killed while it waited for the disk. (In a thread.)"""
        for path in self.directory.glob("*.pending.new"):
            pending = path.with_suffix("")
            try:
                data = _read_file(path, MAX_FILE)
                whole = data.endswith(b"\n") and bytes.fromhex(data.decode("ascii"))
                if _NAME.fullmatch(pending.stem) and whole and not pending.exists():
                    os.replace(path, pending)
            except (OSError, ValueError):
                continue

    def _remove_orphaned_details(self) -> None:
        """Delete details of blocks that are gone, if the node was killed between two steps. (In a thread.)"""
        for path in self.directory.glob("*.json"):
            if _NAME.fullmatch(path.stem) and not path.with_suffix(".pending").exists():
                with suppress(OSError):
                    path.unlink()


def _details_of(pending: Path) -> Path:
    return pending.with_suffix(".json")


def _remove_details(pending: Path) -> None:
    with suppress(OSError):  # they are worth nothing without the block
        _details_of(pending).unlink(missing_ok=True)


def _write(new: NewFile, path: Path, block: FoundBlock) -> None:
    """Write a block, and next to it what is known of it. Raises OSError if the block cannot be written.

    The details are never forced to the disk: after a power cut, the block itself has to do.
    """
    new.write(hex_of(block.data).encode() + b"\n")
    plain = {
        "version": _VERSION,
        "found": block.time,
        "worker": printable(block.worker, MAX_WORKER),
        "share_hash": optional_hash_hex(block.share_hash),
        "value_duffs": block.subsidy,
    }
    with suppress(OSError):  # a disk that does not take them may still take the block, which matters
        _details_of(path).write_bytes(orjson.dumps(plain) + b"\n")


def _commit(new: NewFile, path: Path) -> None:
    """Put a block that is written on the disk. Raises OSError."""
    try:
        new.commit()
    except OSError:
        _remove_details(path)
        raise


def _read_file(path: Path, limit: int) -> bytes:
    """Return at most `limit` bytes of a file; of a regular one, since a pipe would never end. Raises OSError."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(EINVAL, "it is not a regular file")
        return file.read(limit)


def _with_details(block: FoundBlock, path: Path) -> FoundBlock:
    """Return the block of a file with its details, or with what can be learned from the block."""
    try:
        return _parse_details(block, _read_file(_details_of(path), MAX_DETAILS))
    except (OSError, ParseError):
        pass
    try:
        reader = Reader(block.data)
        header = read_header(reader)
        reader.count(MIN_TRANSACTION)
        value = sum(output.value for output in read_transaction(reader).outputs)
    except ParseError:
        return block
    return replace(block, time=float(header.timestamp), subsidy=value if value < MAX_AMOUNT else 0)


def _parse_details(block: FoundBlock, data: bytes) -> FoundBlock:
    """Return the block with the details of a file. Raises ParseError."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise ParseError("no JSON") from None
    match document:
        case {
            "version": 1,
            "found": int() | float() | None as found,
            "worker": str(worker),
            "share_hash": str() | None as share_hash,
            "value_duffs": int(value),
        } if 0 <= (found or 0) < MAX_TIME and 0 <= value < MAX_AMOUNT:
            if share_hash is not None and re.fullmatch("[0-9a-f]{64}", share_hash) is None:
                raise ParseError("not a share hash")
            return replace(
                block,
                worker=printable(worker, MAX_WORKER),
                share_hash=None if share_hash is None else int(share_hash, 16),
                subsidy=value,
                time=None if found is None else float(found),
            )
    raise ParseError("not a record of a found block")


def _height_of(entry: tuple[re.Match[str] | None, Path]) -> int:
    name, _ = entry
    return -1 if name is None else int(name[1])
