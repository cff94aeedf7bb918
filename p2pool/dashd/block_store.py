"""Records of the pool's blocks and what became of them, kept on disk between runs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from p2pool.base.bounded import BoundedDict
from p2pool.base.environment import RunInThread
from p2pool.base.errors import ParseError
from p2pool.base.observable import Event
from p2pool.base.state_file import StateFile, StateFormat
from p2pool.base.text import excerpt, printable
from p2pool.dash.hashes import hash_hex
from p2pool.pool_stats import BlockRecord, BlockStatus

_log = Logger(namespace="p2pool.blocks")

MAX_BLOCKS = 1000
BLOCKS_FILE = StateFormat("blocks.json", "the records of the pool's earlier blocks", 4 * 1024 * 1024)
_FIELDS = tuple(field.name for field in fields(BlockRecord))
_HASHES = ("block_hash", "share_hash")
_STATUSES = frozenset(status.value for status in BlockStatus)
_MAX_NUMBER = 2**53
"""What every reader of JSON keeps exactly; more than all duffs."""


class BlockStore:
    """Records by block hash, the oldest first. `changed` fires with each record that is new or has changed,
    `loaded` once with those of earlier runs, `learned` with older ones that are known from the share chain; of the
    latter two nobody is notified."""

    def __init__(self, path: Path, run_in_thread: RunInThread) -> None:
        self.changed: Event[BlockRecord] = Event()
        self.loaded: Event[Sequence[BlockRecord]] = Event()
        self.learned: Event[Sequence[BlockRecord]] = Event()
        self.records: BoundedDict[int, BlockRecord] = BoundedDict(MAX_BLOCKS)
        self._file = StateFile(path, BLOCKS_FILE)
        self._run_in_thread = run_in_thread
        self._dirty = False
        self._saving = DeferredLock()

    def put(self, record: BlockRecord) -> None:
        """Keep a record, in place of an earlier one of the same block."""
        if self.records.get(record.block_hash) != record:
            self.records[record.block_hash] = record
            self._dirty = True
            self.changed.fire(record)

    def add_earlier(self, records: Iterable[BlockRecord]) -> None:
        """Insert blocks from before the start by their time; those that are known stay."""
        new = {record.block_hash: record for record in records if record.block_hash not in self.records}
        if not new:
            return
        newest = sorted((*self.records.values(), *new.values()), key=lambda record: (record.time, record.height))[
            -MAX_BLOCKS:
        ]
        self.records.clear()
        for record in newest:
            self.records[record.block_hash] = record
        self._dirty = True
        self.learned.fire(tuple(record for record in newest if record.block_hash in new))

    async def load(self) -> None:
        """Load what an earlier run wrote. A file that cannot be read is quarantined, so that the next one does not
        overwrite it."""
        records = await self._run_in_thread(lambda: self._file.read(_records)) or []
        for record in records[-MAX_BLOCKS:]:
            self.records[record.block_hash] = record
        self.loaded.fire(tuple(self.records.values()))

    def save_changes(self) -> Awaitable[None] | None:
        """Write what changed, if anything did: see `save`."""
        return self.save() if self._dirty else None

    async def save(self) -> None:
        """Write what changed. A failure is logged once; the next call tries again."""
        await self._saving.acquire()
        try:
            if self._dirty:
                await self._write()
        finally:
            self._saving.release()

    async def _write(self) -> None:
        self._dirty = False
        records = list(self.records.values())
        written = False
        try:
            written = await self._run_in_thread(
                lambda: self._file.save({"blocks": [_plain(record) for record in records]})
            )
        finally:
            if not written:
                self._dirty = True  # after a bug as well, or it would end all later attempts


def _plain(record: BlockRecord) -> dict[str, Any]:
    """Return a record as JSON: hashes as hex, since JSON has no integers so large."""
    plain = {name: getattr(record, name) for name in _FIELDS}
    for name in _HASHES:
        plain[name] = None if plain[name] is None else hash_hex(plain[name])
    # A peer's share may claim any 64 bits, and what is written must be readable.
    plain["subsidy"] = min(record.subsidy, _MAX_NUMBER - 1)
    return plain


def _records(document: object) -> list[BlockRecord]:
    """Return the records in a document. Raises ParseError if it holds no list of blocks."""
    blocks = document.get("blocks") if isinstance(document, dict) else None
    if not isinstance(blocks, list):
        raise ParseError("it holds no list of blocks")
    return [_record(entry) for entry in blocks]


def _record(entry: object) -> BlockRecord:
    match entry:
        case {
            "time": int() | float() as time,
            "block_hash": str(block_hash),
            "height": int(height),
            "worker": str(worker),
            "share_hash": str() | None as share_hash,
            "subsidy": int(subsidy),
            "status": str(status),
            "reason": str(reason),
            "confirmations": int(confirmations),
            "chainlocked": bool(chainlocked),
        } if status in _STATUSES and max(abs(time), abs(height), abs(subsidy), abs(confirmations)) < _MAX_NUMBER:
            return BlockRecord(
                time=float(time),
                block_hash=_hash(block_hash),
                height=height,
                worker=printable(worker, 200),
                share_hash=None if share_hash is None else _hash(share_hash),
                subsidy=subsidy,
                status=BlockStatus(status),
                reason=printable(reason, 200),
                confirmations=confirmations,
                chainlocked=chainlocked,
            )
    raise ParseError(f"{excerpt(entry)} is not a record of a block")


def _hash(text: str) -> int:
    if re.fullmatch("[0-9a-f]{64}", text) is None:
        raise ParseError(f"{excerpt(text)} is not a hash")
    return int(text, 16)
