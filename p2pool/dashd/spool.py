"""Found blocks on disk: written before they are sent, kept until nothing can become of them any more.

A block is the hex that `dash-cli submitblock` takes. `HEIGHT-HASH.pending` waits for the chain, or is not buried
deep enough to be forgotten; `HASH.hex` was refused, and is kept for people to look at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from p2pool.base.files import write_file
from p2pool.dashd.found_block import FoundBlock

_log = Logger(namespace="p2pool.blocks")

MAX_READ = 200
"""Blocks that are taken over from an earlier run, the newest; more stay where they are. A block has 2 MB at
most."""
MAX_FILE = 8 * 1024 * 1024
"""Characters: hex of a block of twice the size that there can be."""
_NAME = re.compile("(0|[1-9][0-9]{0,9})-([0-9a-f]{64})")
UNKNOWN = "found before the node was restarted"


class BlockSpool:
    """The directory of found blocks. `run_in_thread` runs a callable off the reactor."""

    def __init__(self, directory: Path, run_in_thread: Callable[..., Deferred[Any]]) -> None:
        self.directory = directory
        self.problem: str | None = None
        """Why the newest block could not be written; None while all is well."""
        self._run_in_thread = run_in_thread
        self._under_way: dict[Path, DeferredLock] = {}
        """A slow disk must not finish what was begun first with a file after what was begun last. Bound: one a
        block that is seen to."""

    async def keep(self, block: FoundBlock) -> bool:
        """On disk when this returns; False where that failed."""
        path = self._pending(block.height, block.block_hash)
        return await self._file_action(path, lambda: write_file(path, block.data.hex().encode() + b"\n"))

    async def forget(self, height: int, block_hash: int) -> None:
        """Nothing more can become of a block."""
        path = self._pending(height, block_hash)
        await self._file_action(path, lambda: path.unlink(missing_ok=True))

    async def refuse(self, height: int, block_hash: int) -> Path | None:
        """Set a block aside for people; where it is, or None where it is not on disk."""
        path, kept = self._pending(height, block_hash), self.directory / f"{block_hash:064x}.hex"
        missing = False

        def rename() -> None:
            nonlocal missing
            try:
                os.replace(path, kept)
            except FileNotFoundError:  # the disk was full when it was to be written: that is said already
                missing = True

        return kept if await self._file_action(path, rename) and not missing else None

    async def load(self) -> list[FoundBlock]:
        """What an earlier run left, the lowest first; what cannot be read stays where it is, with a line."""
        try:
            found, unreadable = await self._run_in_thread(self._read)
        except OSError as error:
            found, unreadable = [], [f"{self.directory} cannot be read: {error.strerror or error}"]
        for line in unreadable:
            _log.warn("{line}", line=line)
        return sorted(found, key=lambda block: block.height)

    def _pending(self, height: int, block_hash: int) -> Path:
        return self.directory / f"{height}-{block_hash:064x}.pending"

    async def _file_action(self, path: Path, action: Callable[[], None]) -> bool:
        lock = self._under_way.setdefault(path, DeferredLock())
        await lock.acquire()
        try:
            await self._run_in_thread(action)
        except OSError as error:
            problem = f"cannot write {path}: {error.strerror or error}"
            if problem != self.problem:
                _log.error(
                    "a found block cannot be kept on disk: {problem}; make room, or it is lost if this node ends "
                    "before the chain has it",
                    problem=problem,
                )
            self.problem = problem
            return False
        finally:
            if not lock.waiting:
                del self._under_way[path]
            lock.release()
        self.problem = None
        return True

    def _read(self) -> tuple[list[FoundBlock], list[str]]:
        """In a thread."""
        found, unreadable = [], []
        names = [(_NAME.fullmatch(path.stem), path) for path in self.directory.glob("*.pending")]
        for name, path in sorted(names, key=_height_of, reverse=True)[:MAX_READ]:
            try:
                if name is None:
                    raise ValueError("its name is not HEIGHT-HASH.pending")
                with open(path, encoding="ascii") as file:
                    data = bytes.fromhex(file.read(MAX_FILE))
                if not data or len(data) >= MAX_FILE // 2:
                    raise ValueError("it is empty, or larger than a block can be")
                found.append(FoundBlock(int(name[2], 16), int(name[1]), data, UNKNOWN, None, 0))
            except (OSError, ValueError) as error:
                unreadable.append(f"{path} is not a block to offer again: {error}")
        return found, unreadable


def _height_of(entry: tuple[re.Match[str] | None, Path]) -> int:
    name, _ = entry
    return -1 if name is None else int(name[1])
